package serve_test

import (
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/serve"
)

func TestRowsAreReadAndWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.do("GET", "/v1/flights/42", "").want(404, "/docs#not-found").has("Cache-Status", "tidelock; fwd=miss")
	made := w.do("PUT", "/v1/flights/42", `{"number":"TL 42","price":12345678901234567890.120}`).
		want(200, `"cache":"applied"`, `"row":{"id":42,"number":"TL 42","delay":0,"gate":null,"state":"planned","price":12345678901234567890.120,"at":null,"changes":0}`)
	w.do("GET", "/v1/flights/42", "").want(200, `"price":12345678901234567890.120`).
		has("Cache-Status", "tidelock; hit").has("ETag", made.header.Get("ETag")).has("Content-Type", "application/json")
	patched := w.do("PATCH", "/v1/flights/42", `{"delay":15,"gate":"A1"}`).want(200, `"delay":15`, `"changes":30`)
	if patched.header.Get("ETag") == made.header.Get("ETag") {
		t.Error("two versions have one entity-tag")
	}
	got := w.do("GET", "/v1/flights/42", "").want(200).has("ETag", patched.header.Get("ETag"))
	if got.body != patched.row() {
		t.Errorf("read %s, wrote %s", got.body, patched.row())
	}
	w.do("PUT", "/v1/flights/42", `{"id":42,"number":"TL 43"}`).want(200, `"delay":0`, `"gate":null`)
	w.do("HEAD", "/v1/flights/42", "").want(200)
	w.do("DELETE", "/v1/flights/42", "").want(200, `{"cache":"applied"}`)
	w.do("GET", "/v1/flights/42", "").want(404).has("Cache-Status", "tidelock; hit")
	w.do("PATCH", "/v1/flights/42", `{"delay":1}`).want(404)
	w.do("DELETE", "/v1/flights/42", "").want(404)
}

func TestAFillIsWhatAWriteSets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	wrote := w.do("PUT", "/v1/seats/7/12%2FA:%25", `{"taken":true}`).want(200, `"cache":"settled"`).row()
	if got := w.do("GET", "/v1/seats/7/12%2FA:%25", "").want(200).has("Cache-Status", "tidelock; fwd=miss").body; got != wrote {
		t.Errorf("loaded %s, wrote %s", got, wrote)
	}
	if got := w.do("GET", "/v1/seats/7/12%2FA:%25", "").want(200).has("Cache-Status", "tidelock; hit").body; got != wrote {
		t.Errorf("the cache has %s, wrote %s", got, wrote)
	}
	w.do("PUT", "/v1/seats/7/..", `{"taken":false}`).want(200, `"seat no":".."`)
	w.do("GET", "/v1/seats/7/..", "").want(200, `"seat no":".."`)
}

func TestValuesAreExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	const id = "0191d1f2-7a5c-7c3e-8000-2f6d3a0b9c11"
	const row = `{"n":0.10000000000000000000000000000000001,"f":0.1,"t":"2026-11-26T14:00:00.123456+00:00","b":"\\x00ff","u":"0191d1f2-7a5c-7c3e-8000-2f6d3a0b9c11",` +
		`"a":[[1,null],[3,4]],"aa":["a,b","\"",null],"j":{"a": 1e400, "b": [1.50]},"js":{ "z":1,"a":1 , "z":2 },"i":"1 day 02:00:00","r":"[1,5)","d":"2026-11-26","big":9223372036854775807}`
	first := w.do("PUT", "/v1/kinds/"+strings.ToUpper(id), row).want(200, `"n":0.10000000000000000000000000000000001`, `"f":0.1`, `"t":"2026-11-26T14:00:00.123456+00:00"`,
		`"b":"\\x00ff"`, `"a":[[1,null],[3,4]]`, `"aa":["a,b","\"",null]`, `1.50`, `"i":"1 day 02:00:00"`, `"r":"[1,5)"`, `"big":9223372036854775807`)
	got := w.do("GET", "/v1/kinds/"+id, "").want(200).has("Cache-Status", "tidelock; hit")
	if !strings.Contains(got.body, `"js":{ "z":1,"a":1 , "z":2 }`) {
		t.Errorf("a json column is no longer the text that was written: %s", got.body)
	}
	// What was read can be written, and comes back the same.
	w.do("PUT", "/v1/kinds/"+id, got.body).want(200)
	if again := w.do("GET", "/v1/kinds/"+id, "").want(200); again.body != got.body {
		t.Errorf("%s became %s", got.body, again.body)
	}
	w.do("PATCH", "/v1/kinds/"+id, `{"n":"NaN","f":"-Infinity"}`).want(200, `"n":"NaN"`, `"f":"-Infinity"`)
	_ = first
}

func TestWhatIsNotDeclaredCannotBeReached(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.do("PUT", "/v1/flights/1", `{"number":"TL 1"}`).want(200)
	w.do("PATCH", "/v1/flights/1", `{"secret":"mine"}`).want(422, "#/secret", "there is no such column")
	w.do("PATCH", "/v1/flights/1", `{"changes":1}`).want(422, "it cannot be written")
	w.do("PATCH", "/v1/flights/1", `{"id":2,"delay":3}`).want(422, "it is not what the path says")
	w.do("PATCH", "/v1/flights/1", `{"delay\" = 1, \"secret":3}`).want(422)
	if got := w.do("GET", "/v1/flights/1", ""); strings.Contains(got.body, "secret") || strings.Contains(got.body, "hidden") {
		t.Errorf("got %s", got.body)
	}
	for _, path := range []string{"/v1/pg_class/1", "/v1/kinds", "/v1/flights", "/v1/flights:drop", "/v1", "/", "/v2/flights/1", "/v1/flights/1/2", "/v1//1"} {
		if got := w.do("GET", path, ""); got.status != 404 && got.status != 400 {
			t.Errorf("%s got %d", path, got.status)
		}
	}
}

// TestOneRowHasOneKey: another spelling of a key is not another entry of the cache, which a write would leave old.
func TestOneRowHasOneKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.do("PUT", "/v1/flights/7", `{"number":"TL 7"}`).want(200)
	for _, id := range []string{"07", "+7", "%207", "7%20", "7.0", "0x7", "7e0", "٧", "-0", ""} {
		if got := w.do("GET", "/v1/flights/"+id, ""); got.status != 400 {
			t.Errorf("%q got %d, want 400: %s", id, got.status, got.body)
		}
	}
	const id = "0191d1f2-7a5c-7c3e-8000-2f6d3a0b9c11"
	w.do("PUT", "/v1/kinds/"+id, `{"n":1}`).want(200)
	w.do("GET", "/v1/kinds/"+strings.ToUpper(id), "").want(200).has("Cache-Status", "tidelock; hit")
	w.do("GET", "/v1/kinds/"+strings.ReplaceAll(id, "-", ""), "").want(400)
	w.do("GET", "/v1/kinds/%7B"+id+"%7D", "").want(400)
}

// TestTwoRowsHaveTwoKeys: what stands between the columns of a key may stand in their values.
func TestTwoRowsHaveTwoKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `
  pairs:
    table: pairs
    key: [a, b]
    cache: PREFIXpair:{a}:{b}
    columns: [v]
`, func(c *serve.Config) {
		if _, err := c.DB.Exec(t.Context(), `CREATE TABLE pairs (a text, b text, v int NOT NULL, PRIMARY KEY (a, b))`); err != nil {
			t.Fatal(err)
		}
	})
	for i, path := range []string{"x:y/z", "x/y:z", "x%253Ay/z", "x%3Ay/z", "%25/%25", "%2525/%25"} {
		w.do("PUT", "/v1/pairs/"+path, `{"v":`+string(rune('1'+i))+`}`).want(200)
	}
	for path, v := range map[string]string{"x:y/z": "4", "x/y:z": "2", "x%253Ay/z": "3", "%25/%25": "5", "%2525/%25": "6"} {
		w.do("GET", "/v1/pairs/"+path, "").want(200, `"v":`+v+`}`).has("Cache-Status", "tidelock; hit")
	}
}
