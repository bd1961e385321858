package serve_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// each calls f for every operation of every entity in the document, in one order.
func (s spec) each(f func(path, method string, operation, item schema)) {
	paths := s.root["paths"].(map[string]any)
	names := make([]string, 0, len(paths))
	for path := range paths {
		names = append(names, path)
	}
	slices.Sort(names)
	for _, path := range names {
		item := paths[path].(map[string]any)
		for _, method := range []string{"put", "patch", "get", "post", "delete"} {
			if operation, ok := item[method].(map[string]any); ok && strings.HasPrefix(path, "/v1/") {
				f(path, method, operation, item)
			}
		}
	}
}

func readSpec(t *testing.T, w *world) spec {
	t.Helper()
	s := spec{t: t}
	d := json.NewDecoder(strings.NewReader(w.do("GET", "/openapi.json", "").want(200).has("Content-Type", "application/json").body))
	d.UseNumber()
	if err := d.Decode(&s.root); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRequestsAreWhatTheDocumentSays sends requests made of the OpenAPI document, right ones and wrong ones, and holds every answer against it.
func TestRequestsAreWhatTheDocumentSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	s := readSpec(t, w)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 60 {
		s.each(func(path, method string, operation, item schema) {
			w.try(s, r, path, method, operation, item)
		})
	}
}

// try sends one random request of an operation.
func (w *world) try(s spec, r *rand.Rand, path, method string, operation, item schema) {
	w.t.Helper()
	parameters, _ := item["parameters"].([]any)
	var keys []string
	for _, p := range parameters {
		p := p.(map[string]any)
		name := p["name"].(string)
		var value any
		text := s.make(r, p["schema"])
		if json.Unmarshal([]byte(text), &value); strings.HasPrefix(text, `"`) {
			text = value.(string)
		}
		keys = append(keys, name)
		path = strings.Replace(path, "{"+name+"}", url.PathEscape(text), 1)
	}
	body, broken := "", false
	if wanted, ok := operation["requestBody"].(map[string]any); ok {
		of := wanted["content"].(map[string]any)["application/json"].(map[string]any)["schema"]
		body = s.make(r, of, keys...)
		if broken = r.IntN(3) == 0; broken {
			body = breakBody(r, body)
		}
	}
	got := w.do(strings.ToUpper(method), path, body)
	s.check(got, operation, body)
	switch easy := strings.HasPrefix(path, "/v1/flights/") || strings.HasPrefix(path, "/v1/seats/"); {
	case broken && got.status < 400:
		w.t.Errorf("%s with %s got %d, want a refusal", got.asked, body, got.status)
	case !broken && easy && method == "put" && got.status != 200:
		w.t.Errorf("%s with %s got %d: %s", got.asked, body, got.status, got.body)
	}
}

// breakBody makes a body that no operation takes.
func breakBody(r *rand.Rand, body string) string {
	switch r.IntN(6) {
	case 0:
		return strings.TrimSuffix(body, "}")
	case 1:
		return body + body
	case 2:
		return "[" + body + "]"
	case 3:
		return `{"no such field": 1,` + strings.TrimPrefix(body, "{")
	case 4:
		return `"text"`
	default:
		return `{"delay": "7", "taken": 1, "n": [], "ids": [{}], "operations": [1]}`
	}
}

// check holds an answer against the document.
func (s spec) check(got answer, operation schema, body string) {
	s.t.Helper()
	documented, ok := operation["responses"].(map[string]any)[fmt.Sprint(got.status)].(map[string]any)
	if !ok || got.status >= 500 {
		s.t.Errorf("%s with %s got %d, which the document does not have: %s", got.asked, body, got.status, got.body)
		return
	}
	for media, c := range documented["content"].(map[string]any) {
		if got.header.Get("Content-Type") != media {
			s.t.Errorf("%s got the type %q, want %q", got.asked, got.header.Get("Content-Type"), media)
		}
		var value any
		d := json.NewDecoder(strings.NewReader(got.body))
		d.UseNumber()
		if err := d.Decode(&value); err != nil {
			s.t.Errorf("%s got %s: %v", got.asked, got.body, err)
		}
		if reason := s.against(c.(map[string]any)["schema"], value); reason != "" {
			s.t.Errorf("%s with %s got %s, which is not what the document says: %s", got.asked, body, got.body, reason)
		}
	}
}

func TestDocs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	page := w.do("GET", "/docs", "").want(200, "<h2 id=\"flights\">", "Flights that leave today.", "/v1/seats/{flight}/{seat no}", `id="precondition-failed"`)
	for _, outside := range []string{"http://", "https://", "<script", "@import"} {
		if strings.Contains(page.body, outside) {
			t.Errorf("the page has %q", outside)
		}
	}
}
