package check

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

// compose loads the compose file as Docker does: against its schema, with all references resolved.
func compose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../compose/compose.yaml"}, cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeHasEverything(t *testing.T) {
	t.Parallel()
	project := compose(t)
	want := []string{"grafana", "migrate", "nats-1", "nats-2", "nats-3", "postgres", "prometheus", "relay-1", "relay-2", "sentinel-1", "sentinel-2", "sentinel-3",
		"serve", "valkey-1", "valkey-2"}
	names := project.ServiceNames()
	slices.Sort(names)
	if !slices.Equal(names, want) {
		t.Errorf("the services are %v, want %v", names, want)
	}
	if s := project.Services["serve"]; !slices.Equal(s.Profiles, []string{"serve"}) {
		t.Errorf("serve starts with the profiles %v; it needs a file that is not there", s.Profiles)
	}
}

func TestComposeServices(t *testing.T) {
	t.Parallel()
	for name, s := range compose(t).Services {
		checkFiles(t, name, s)
		if !regexp.MustCompile(`:[0-9v][\w.-]*$`).MatchString(s.Image) && s.Build == nil {
			t.Errorf("%s: the image %s has no version", name, s.Image)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s is open to other machines at port %s", name, p.Published)
			}
		}
		for variable := range s.Environment {
			known(t, name, variable)
		}
		if s.Build != nil && (!s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"})) {
			t.Errorf("%s has privileges", name)
		}
	}
}

// checkFiles fails if a service mounts or is built from a file that is not there: Docker would make a folder of that name.
func checkFiles(t *testing.T, name string, s types.ServiceConfig) {
	t.Helper()
	paths := []string{}
	if s.Build != nil {
		paths = append(paths, filepath.Join(s.Build.Context, s.Build.Dockerfile))
	}
	for _, v := range s.Volumes {
		if v.Type == "bind" && (v.Bind == nil || bool(v.Bind.CreateHostPath)) {
			paths = append(paths, v.Source)
		}
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s needs the file %s: %v", name, path, err)
		}
	}
}

// TestComposeAddressesExist fails if a setting or a configuration speaks of a host that is no service.
func TestComposeAddressesExist(t *testing.T) {
	t.Parallel()
	project := compose(t)
	texts := map[string]string{}
	for name, s := range project.Services {
		for variable, value := range s.Environment {
			if value != nil && strings.HasSuffix(variable, "_URL") {
				texts[name+" "+variable] = *value
			}
		}
	}
	for _, file := range []string{"nats.conf", "sentinel.conf", "prometheus.yml", "grafana/datasources.yaml"} {
		text, err := os.ReadFile(filepath.Join("../compose", file))
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	for where, text := range texts {
		hosts := regexp.MustCompile(`(?:@|//|=|\[|, |tidelock )([a-z]+(?:-\d)?)[: ]\d{4,5}\b`).FindAllStringSubmatch(text, -1)
		if len(hosts) == 0 {
			t.Errorf("%s has no address", where)
		}
		for _, h := range hosts {
			if _, there := project.Services[h[1]]; !there {
				t.Errorf("%s speaks of %s, which is no service", where, h[1])
			}
		}
	}
}

// scrapeConfig is the part of Prometheus's configuration that we use. What is not here is refused.
type scrapeConfig struct {
	Global struct {
		ScrapeInterval     string `json:"scrape_interval"`
		EvaluationInterval string `json:"evaluation_interval"`
	} `json:"global"`
	RuleFiles     []string `json:"rule_files"`
	ScrapeConfigs []struct {
		JobName       string `json:"job_name"`
		StaticConfigs []struct {
			Targets []string `json:"targets"`
		} `json:"static_configs"`
	} `json:"scrape_configs"`
}

// TestPrometheusFindsThem holds its configuration against the compose file, and the relays' job against the alerts.
func TestPrometheusFindsThem(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../compose/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	var c scrapeConfig
	if err := yaml.UnmarshalStrict(text, &c); err != nil {
		t.Fatal(err)
	}
	services := compose(t).Services
	var mounted []string
	for _, v := range services["prometheus"].Volumes {
		mounted = append(mounted, v.Target)
	}
	if len(c.RuleFiles) != 1 || !slices.Contains(mounted, c.RuleFiles[0]) {
		t.Errorf("the rules %v are not mounted: %v", c.RuleFiles, mounted)
	}
	if len(c.ScrapeConfigs) != 2 || !strings.HasPrefix(c.ScrapeConfigs[0].JobName, "tidelock-relay") || strings.HasPrefix(c.ScrapeConfigs[1].JobName, "tidelock-relay") {
		t.Fatalf("the jobs are %+v", c.ScrapeConfigs)
	}
	for name, s := range services {
		job, setting := 0, "TIDELOCK_LISTEN"
		if name == "serve" {
			job, setting = 1, "TIDELOCK_OPS_LISTEN"
		}
		if s.Environment[setting] == nil {
			continue
		}
		targets := c.ScrapeConfigs[job].StaticConfigs[0].Targets
		_, port, err := net.SplitHostPort(*s.Environment[setting])
		if err != nil || !slices.Contains(targets, net.JoinHostPort(name, port)) {
			t.Errorf("%s is not scraped at port %s: %v", name, port, targets)
		}
	}
}
