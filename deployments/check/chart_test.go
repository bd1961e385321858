package check

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const chartPath = "../chart/tidelock"

// good are values that the chart takes; what it makes of each is held against all rules.
var good = map[string]string{
	"the defaults": ``,
	"all there is": `
image: {repository: registry.example/tidelock, tag: v1.2.3}
imagePullSecrets: [{name: registry}]
valkeyCA: {name: valkey-ca}
natsCreds: {name: nats}
otlpEndpoint: http://collector:4318
env: [{name: TIDELOCK_LOG_LEVEL, value: warn}]
migrate: {secret: {name: owner}}
relay: {args: [--audit-rate=1000], podAnnotations: {a: b}, nodeSelector: {c: d}, tolerations: [{key: e, operator: Exists}]}
autoscaling: {enabled: true}
serve: {enabled: true, entities: {name: entities}, podAnnotations: {a: b}, nodeSelector: {c: d}, tolerations: [{key: e, operator: Exists}]}
networkPolicy:
  clients: [{podSelector: {matchLabels: {app: web}}}]
  postgres: {to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [5432, 6432]}`,
	"relays that read rows": `relay: {entities: {name: entities}}`,
	"the HTTP API":          `serve: {enabled: true, entities: {name: entities}}`,
	"the least":             `{migrate: {enabled: false}, networkPolicy: {enabled: false}, podDisruptionBudget: {enabled: false}, relay: {replicas: 1}}`,
}

// bad are values that it must refuse, and a word of the reason.
var bad = []struct{ name, values, reason string }{
	{"a misspelt value", `relay: {replica: 3}`, "replica"},
	{"a collector that is no URL", `otlpEndpoint: "collector:4318"`, "otlpEndpoint"},
	{"a password among the values", `secret: {databaseURL: "postgres://u:p@h/d"}`, "databaseURL"},
	{"a policy that lets all scrape", `networkPolicy: {monitoring: []}`, "monitoring"},
	{"an API without entities", `serve: {enabled: true}`, "entities"},
	{"a port that only root may have", `relay: {port: 80}`, "port"},
	{"a policy without a port", `networkPolicy: {postgres: {to: [], ports: []}}`, "ports"},
	{"an autoscaler without a target", `autoscaling: {oldestPendingSeconds: 0}`, "oldestPendingSeconds"},
}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	values := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// render returns the manifests that Helm makes of values.
func render(values map[string]any) ([][]byte, error) {
	chart, err := loader.Load(chartPath)
	if err != nil {
		return nil, err
	}
	caps := common.DefaultCapabilities.Copy()
	all, err := util.ToRenderValues(chart, values, common.ReleaseOptions{Name: "cache", Namespace: "app", IsInstall: true}, caps)
	if err != nil {
		return nil, err
	}
	files, err := engine.Engine{Strict: true}.Render(chart, all)
	if err != nil {
		return nil, err
	}
	var manifests [][]byte
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, document := range regexp.MustCompile(`(?m)^---\s*$`).Split(files[name], -1) {
			if strings.TrimSpace(document) != "" && strings.HasSuffix(name, ".yaml") {
				manifests = append(manifests, []byte(document))
			}
		}
	}
	return manifests, nil
}

// release is what the chart makes, by kind.
type release struct {
	deployments []*appsv1.Deployment
	jobs        []*batchv1.Job
	services    []*corev1.Service
	budgets     []*policyv1.PodDisruptionBudget
	policies    []*networkingv1.NetworkPolicy
	scalers     []*autoscalingv2.HorizontalPodAutoscaler
}

func (r *release) add(object any) error {
	switch o := object.(type) {
	case *appsv1.Deployment:
		r.deployments = append(r.deployments, o)
	case *batchv1.Job:
		r.jobs = append(r.jobs, o)
	case *corev1.Service:
		r.services = append(r.services, o)
	case *policyv1.PodDisruptionBudget:
		r.budgets = append(r.budgets, o)
	case *networkingv1.NetworkPolicy:
		r.policies = append(r.policies, o)
	case *autoscalingv2.HorizontalPodAutoscaler:
		r.scalers = append(r.scalers, o)
	default:
		return fmt.Errorf("%T has no rules", object)
	}
	return nil
}

// install renders the chart, holds all it makes against the schemas, and sorts it.
func install(t *testing.T, values string) *release {
	t.Helper()
	manifests, err := render(parse(t, values))
	if err != nil {
		t.Fatal(err)
	}
	r := new(release)
	for _, manifest := range manifests {
		object, err := decode(manifest)
		if err == nil {
			err = r.add(object)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, manifest)
		}
	}
	return r
}

func TestChartLints(t *testing.T) {
	t.Parallel()
	for name, values := range good {
		for _, m := range lint.RunAll(chartPath, parse(t, values), "app").Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

func TestChartRefuses(t *testing.T) {
	t.Parallel()
	for _, b := range bad {
		if _, err := render(parse(t, b.values)); err == nil || !strings.Contains(err.Error(), b.reason) {
			t.Errorf("%s is not refused for what it is: %v", b.name, err)
		}
	}
}

func TestChart(t *testing.T) {
	t.Parallel()
	for name, values := range good {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := install(t, values)
			for _, d := range r.deployments {
				checkPod(t, d.Name, d.Spec.Template)
				checkProbes(t, d)
			}
			for _, j := range r.jobs {
				checkPod(t, j.Name, j.Spec.Template)
			}
			r.checkSelectors(t)
			r.checkBudgets(t)
			r.checkPolicies(t)
			r.checkScalers(t)
		})
	}
}

// TestChartHasEverything says what there is by default, and what more there is if it is asked for.
func TestChartHasEverything(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][6]int{"the defaults": {1, 1, 1, 1, 1, 0}, "all there is": {2, 1, 2, 2, 2, 1}, "the least": {1, 0, 1, 0, 0, 0}} {
		r := install(t, good[name])
		got := [6]int{len(r.deployments), len(r.jobs), len(r.services), len(r.budgets), len(r.policies), len(r.scalers)}
		if got != want {
			t.Errorf("%s: %v deployments, jobs, services, budgets, policies and autoscalers, want %v", name, got, want)
		}
	}
}
