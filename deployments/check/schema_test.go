package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// kubernetes are the releases that the manifests are held against: the chart's oldest and the newest whose schemas there are.
var kubernetes = []string{"1.27", "1.30"}

// schemas is the folder with a folder of OpenAPI documents for each release. They are files of a module that is pinned, and of which nothing is built.
var schemas = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", "sigs.k8s.io/kubectl-validate")
	cmd.Dir, cmd.Stderr = "schemas", os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("fetching the schemas of Kubernetes: %w", err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", err
	}
	return filepath.Join(module.Dir, "pkg", "openapiclient", "builtins"), nil
})

// typed is the Go type of each kind that the chart may have. It refuses what the schemas let pass: fields that do not exist.
func typed(apiVersion, kind string) any {
	switch apiVersion + " " + kind {
	case "apps/v1 Deployment":
		return new(appsv1.Deployment)
	case "batch/v1 Job":
		return new(batchv1.Job)
	case "v1 Service":
		return new(corev1.Service)
	case "policy/v1 PodDisruptionBudget":
		return new(policyv1.PodDisruptionBudget)
	case "networking.k8s.io/v1 NetworkPolicy":
		return new(networkingv1.NetworkPolicy)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return new(autoscalingv2.HorizontalPodAutoscaler)
	}
	return nil
}

// decode holds a manifest against the schemas and returns it as its Go type.
func decode(manifest []byte) (any, error) {
	var head struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(manifest, &head); err != nil {
		return nil, err
	}
	object := typed(head.APIVersion, head.Kind)
	if object == nil {
		return nil, fmt.Errorf("the chart has a %s of %s, which the check does not know", head.Kind, head.APIVersion)
	}
	if err := yaml.UnmarshalStrict(manifest, object); err != nil {
		return nil, err
	}
	text, err := yaml.YAMLToJSON(manifest)
	if err != nil {
		return nil, err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	for _, release := range kubernetes {
		schema, err := schemaOf(release, head.APIVersion, head.Kind)
		if err != nil {
			return nil, err
		}
		if err := schema.Validate(value); err != nil {
			return nil, fmt.Errorf("Kubernetes %s: %w", release, err)
		}
	}
	return object, nil
}

var compiled sync.Map // of schemas by release, API version and kind

func schemaOf(release, apiVersion, kind string) (*jsonschema.Schema, error) {
	name := release + " " + apiVersion + " " + kind
	if s, ok := compiled.Load(name); ok {
		return s.(*jsonschema.Schema), nil
	}
	s, err := compileSchema(release, apiVersion, kind)
	if err != nil {
		return nil, fmt.Errorf("the schema of %s: %w", name, err)
	}
	compiled.Store(name, s)
	return s, nil
}

func compileSchema(release, apiVersion, kind string) (*jsonschema.Schema, error) {
	folder, err := schemas()
	if err != nil {
		return nil, err
	}
	group, version, grouped := strings.Cut(apiVersion, "/")
	path := filepath.Join(folder, release, "apis", group, version+".json")
	if !grouped {
		group, version = "", apiVersion
		path = filepath.Join(folder, release, "api", version+".json")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	name, err := definition(text, group, version, kind)
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	if err := c.AddResource("openapi.json", document); err != nil {
		return nil, err
	}
	return c.Compile("openapi.json#/components/schemas/" + name)
}

// definition finds a kind in an OpenAPI document.
func definition(text []byte, group, version, kind string) (string, error) {
	type id struct{ Group, Version, Kind string }
	var document struct {
		Components struct {
			Schemas map[string]struct {
				IDs []id `json:"x-kubernetes-group-version-kind"`
			}
		}
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return "", err
	}
	for name, s := range document.Components.Schemas {
		if len(s.IDs) == 1 && s.IDs[0] == (id{group, version, kind}) {
			return name, nil
		}
	}
	return "", fmt.Errorf("there is no %s", kind)
}

// TestSchemasRefuse is the check of the check: what is wrong in one way each.
func TestSchemasRefuse(t *testing.T) {
	t.Parallel()
	const good = `{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: x}, spec: {maxUnavailable: 1, selector: {matchLabels: {a: b}}}}`
	if _, err := decode([]byte(good)); err != nil {
		t.Error(err)
	}
	for name, manifest := range map[string]string{
		"a field that does not exist": `{apiVersion: policy/v1, kind: PodDisruptionBudget, spec: {maxUnavailabel: 1}}`,
		"a wrong type":                `{apiVersion: policy/v1, kind: PodDisruptionBudget, spec: {selector: [a]}}`,
		"a field that is missing":     `{apiVersion: apps/v1, kind: Deployment, spec: {template: {}}}`,
		"a kind that does not exist":  `{apiVersion: policy/v1, kind: PodDisruption}`,
	} {
		if _, err := decode([]byte(manifest)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
