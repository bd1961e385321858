package check

import (
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// checkPod fails if a pod may do more than open connections, or knows a password by itself.
func checkPod(t *testing.T, name string, pod corev1.PodTemplateSpec) {
	t.Helper()
	s := pod.Spec.SecurityContext
	if s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 || s.SeccompProfile == nil {
		t.Errorf("%s may run as root, or without seccomp: %+v", name, s)
	}
	if pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
		t.Errorf("%s holds a token for Kubernetes", name)
	}
	var volumes []string
	for _, v := range pod.Spec.Volumes {
		volumes = append(volumes, v.Name)
	}
	for _, c := range pod.Spec.Containers {
		checkContainer(t, name, c)
		var mounts []string
		for _, m := range c.VolumeMounts {
			mounts = append(mounts, m.Name)
		}
		if !slices.Equal(slices.Sorted(slices.Values(volumes)), slices.Sorted(slices.Values(mounts))) {
			t.Errorf("%s has the volumes %v and mounts %v", name, volumes, mounts)
		}
	}
}

func checkContainer(t *testing.T, name string, c corev1.Container) {
	t.Helper()
	s := c.SecurityContext
	if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
		s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") {
		t.Errorf("%s has privileges: %+v", name, s)
	}
	if c.Resources.Requests == nil || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("%s asks for no resources, or has no limit of memory", name)
	}
	for _, e := range c.Env {
		secret := e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil
		if strings.HasSuffix(e.Name, "_URL") != secret || strings.Contains(e.Value, "://") && e.Name != endpoint {
			t.Errorf("%s has %s=%q, which belongs into a Secret, or does not", name, e.Name, e.Value)
		}
		known(t, name, e.Name)
	}
}

// checkProbes fails if a deployment is not asked whether it lives and is ready, at a port that it has.
func checkProbes(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	c := d.Spec.Template.Spec.Containers[0]
	for path, probe := range map[string]*corev1.Probe{"/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || !hasPort(c, probe.HTTPGet.Port.StrVal) {
			t.Errorf("%s is not asked for %s: %+v", d.Name, path, probe)
		}
	}
	if d.Spec.Template.Spec.Containers[0].Args[0] != c.Name {
		t.Errorf("%s runs tidelock %v in a container called %s", d.Name, c.Args, c.Name)
	}
}

func hasPort(c corev1.Container, name string) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
}

// selected are the deployments whose pods have these labels.
func (r *release) selected(labels map[string]string) (found []*appsv1.Deployment) {
	for _, d := range r.deployments {
		has := d.Spec.Template.Labels
		if !slices.ContainsFunc(slices.Collect(maps.Keys(labels)), func(k string) bool { return has[k] != labels[k] }) {
			found = append(found, d)
		}
	}
	return found
}

// checkSelectors fails if something selects other pods than those of the deployment of its name.
func (r *release) checkSelectors(t *testing.T) {
	t.Helper()
	selectors := make(map[string]map[string]string)
	for _, d := range r.deployments {
		selectors["Deployment "+d.Name] = d.Spec.Selector.MatchLabels
	}
	for _, s := range r.services {
		selectors["Service "+s.Name] = s.Spec.Selector
		for _, d := range r.selected(s.Spec.Selector) {
			for _, port := range s.Spec.Ports {
				if !hasPort(d.Spec.Template.Spec.Containers[0], port.TargetPort.StrVal) {
					t.Errorf("the service %s leads to the port %s, which %s does not have", s.Name, port.Name, d.Name)
				}
			}
		}
	}
	for _, b := range r.budgets {
		selectors["PodDisruptionBudget "+b.Name] = b.Spec.Selector.MatchLabels
	}
	for _, p := range r.policies {
		selectors["NetworkPolicy "+p.Name] = p.Spec.PodSelector.MatchLabels
	}
	for who, labels := range selectors {
		_, name, _ := strings.Cut(who, " ")
		if found := r.selected(labels); len(found) != 1 || found[0].Name != name {
			t.Errorf("%s selects %d deployments by %v", who, len(found), labels)
		}
	}
}

// checkBudgets fails if a budget lets none go, or all, or holds a node back for pods that are not ready. The schemas do not list the words that may stand there.
func (r *release) checkBudgets(t *testing.T) {
	t.Helper()
	for _, b := range r.budgets {
		words := b.Spec.UnhealthyPodEvictionPolicy
		if b.Spec.MaxUnavailable == nil || b.Spec.MaxUnavailable.IntVal != 1 || b.Spec.MinAvailable != nil || words == nil || *words != policyv1.AlwaysAllow {
			t.Errorf("%s is %+v", b.Name, b.Spec)
		}
	}
}

// endpoint is where traces go. It holds no password: headers do, and have a variable of their own.
const endpoint = "TIDELOCK_OTLP_ENDPOINT"

// out is how many kinds of servers a pod has to reach.
func (r *release) out() int {
	env := r.deployments[0].Spec.Template.Spec.Containers[0].Env
	if slices.ContainsFunc(env, func(e corev1.EnvVar) bool { return e.Name == endpoint }) {
		return 5
	}
	return 4
}

// checkPolicies fails if anybody may come in by any other port than those that are served, each for its own, or if a pod may leave to a port that no server of ours has.
func (r *release) checkPolicies(t *testing.T) {
	t.Helper()
	for _, p := range r.policies {
		if !slices.Equal(p.Spec.PolicyTypes, []networkingv1.PolicyType{"Ingress", "Egress"}) || len(p.Spec.Egress) != r.out() {
			t.Errorf("%s has %d ways in and %d out", p.Name, len(p.Spec.Ingress), len(p.Spec.Egress))
			continue
		}
		var open, served []string
		for _, in := range p.Spec.Ingress {
			if len(in.From) == 0 || len(in.Ports) != 1 {
				t.Errorf("%s lets anybody in: %+v", p.Name, in)
				continue
			}
			open = append(open, in.Ports[0].Port.StrVal)
		}
		for _, d := range r.selected(p.Spec.PodSelector.MatchLabels) {
			for _, port := range d.Spec.Template.Spec.Containers[0].Ports {
				served = append(served, port.Name)
			}
		}
		if slices.Sort(open); !slices.Equal(open, slices.Sorted(slices.Values(served))) {
			t.Errorf("%s opens %v, and %v are served", p.Name, open, served)
		}
		for _, out := range p.Spec.Egress {
			if len(out.Ports) == 0 {
				t.Errorf("%s lets out to every port", p.Name)
			}
			for _, port := range out.Ports {
				if !slices.Contains([]int32{53, 5432, 6432, 6379, 26379, 4222, 4317, 4318}, port.Port.IntVal) {
					t.Errorf("%s lets out to port %s", p.Name, port.Port)
				}
			}
		}
	}
}

// checkScalers fails if an autoscaler scales nothing, or if the chart scales against it.
func (r *release) checkScalers(t *testing.T) {
	t.Helper()
	for _, d := range r.deployments {
		scaled := false
		for _, s := range r.scalers {
			scaled = scaled || s.Spec.ScaleTargetRef.Name == d.Name
		}
		if scaled != (d.Spec.Replicas == nil) {
			t.Errorf("%s: autoscaled %v, replicas %v", d.Name, scaled, d.Spec.Replicas)
		}
	}
	for _, s := range r.scalers {
		if len(s.Spec.Metrics) != 1 || s.Spec.Metrics[0].External == nil || s.Spec.Metrics[0].External.Metric.Name != "tidelock_outbox_oldest_pending_seconds" {
			t.Errorf("%s scales by %+v", s.Name, s.Spec.Metrics)
		}
	}
}
