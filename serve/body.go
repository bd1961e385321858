package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// strictJSON reads a body of a known form. Values that go on to Postgres are raw messages, so that no number is read as a float.
func strictJSON(body []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return badBody.because("%v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badBody.because("there is something after the object")
	}
	return nil
}

// bodyID reads a key in a body: a string, an integer, or an array of them for a key of several columns.
func bodyID(e *served, raw json.RawMessage) ([]string, error) {
	var elements []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' {
		elements = []json.RawMessage{raw}
	} else if err := json.Unmarshal(raw, &elements); err != nil {
		return nil, badID.because("an id is not JSON")
	}
	parts := make([]string, len(elements))
	for i, element := range elements {
		switch {
		case len(element) == 0 || bytes.IndexByte([]byte(`{[tfn`), element[0]) >= 0:
			return nil, badID.because("an id is a string, an integer, or an array of them")
		case element[0] == '"':
			if err := json.Unmarshal(element, &parts[i]); err != nil {
				return nil, badID.because("an id is not JSON")
			}
		default:
			parts[i] = string(element)
		}
	}
	return e.ID(parts)
}

func jsonResponse(header http.Header, body any) (*response, error) {
	var text bytes.Buffer
	d := json.NewEncoder(&text)
	d.SetEscapeHTML(false)
	if err := d.Encode(body); err != nil {
		return nil, internal.from(err)
	}
	header.Set("Content-Type", "application/json")
	return &response{http.StatusOK, header, bytes.TrimSuffix(text.Bytes(), []byte("\n"))}, nil
}
