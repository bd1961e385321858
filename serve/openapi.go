package serve

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tidelock-cache/tidelock/serve/entity"
)

// object is an object of the OpenAPI document.
type object map[string]any

// openapiOf makes the OpenAPI document of the entities.
func (s *Server) openapiOf() ([]byte, error) {
	paths := object{
		"/v1/batch": object{"post": s.batchSpec()},
		"/livez":    object{"get": plain("Whether the process answers.", "health")},
		"/readyz":   object{"get": plain("Whether requests can be answered: ready, degraded or unready.", "health", 503)},
	}
	schemas := object{"Problem": problemSpec(), "Batch": s.batchBody(), "BatchAnswer": itemsOf(writtenSpec(object{}, "row"))}
	for _, name := range s.order {
		e := s.entities[name]
		paths["/v1/"+name+"/"+pathOf(e)] = rowSpec(e)
		paths["/v1/"+name+":batchGet"] = object{"post": operationSpec("batchGet_"+name, name, "Read several rows.", ref("Ids_"+name), ref("Got_"+name), readHeaders, 413)}
		paths["/v1/"+name+":invalidate"] = object{"post": operationSpec("invalidate_"+name, name, "Have rows loaded anew that were changed by others.", ref("Ids_"+name), writtenSpec(object{}),
			writeHeaders[:1], 413)}
		schemas["Row_"+name] = columnsSpec(e, names(e.Columns), func(entity.Column) bool { return true })
		schemas["Put_"+name] = columnsSpec(e, required(e), func(c entity.Column) bool { return !c.ReadOnly })
		patch := columnsSpec(e, nil, func(c entity.Column) bool { return !c.ReadOnly })
		patch["minProperties"] = 1
		schemas["Patch_"+name] = patch
		schemas["Written_"+name] = writtenSpec(ref("Row_"+name), "row")
		schemas["Ids_"+name] = closed(object{"ids": object{"type": "array", "minItems": 1, "maxItems": s.cfg.batchMax(), "items": idSpec(e)}}, "ids")
		schemas["Got_"+name] = itemsOf(closed(object{"id": object{}, "found": object{"type": "boolean"}, "etag": object{"type": "string"}, "row": ref("Row_" + name)}, "id", "found"))
	}
	return json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{"title": "Tidelock", "version": "1", "description": "Rows of Postgres through a cache that does not lie. Numbers are exact: read integers and " +
			"numerics with a parser that keeps their digits."},
		"servers": []object{{"url": "/"}}, "paths": paths,
		"components": object{"schemas": schemas, "securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer"}, "certificate": object{"type": "mutualTLS"}}},
		"security":   s.securitySpec(),
	}, "", " ")
}

func (s *Server) securitySpec() []object {
	if s.clients.anyone != nil {
		return []object{{}}
	}
	return []object{{"bearer": []string{}}, {"certificate": []string{}}}
}

func ref(schema string) object { return object{"$ref": "#/components/schemas/" + schema} }

// closed is an object with these properties and no others.
func closed(properties object, required ...string) object {
	o := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

func itemsOf(item object) object {
	return closed(object{"items": object{"type": "array", "items": item}}, "items")
}

func names(columns []entity.Column) (list []string) {
	for _, c := range columns {
		list = append(list, c.Name)
	}
	return list
}

// required are the columns that a PUT must give.
func required(e *served) (list []string) {
	for _, c := range e.Columns[len(e.Key):] {
		if !c.Nullable && !c.Default && !c.ReadOnly {
			list = append(list, c.Name)
		}
	}
	return list
}

func columnsSpec(e *served, required []string, take func(entity.Column) bool) object {
	properties := object{}
	for _, c := range e.Columns {
		if take(c) {
			properties[c.Name] = columnSpec(c)
		}
	}
	return closed(properties, required...)
}

func columnSpec(c entity.Column) object {
	o := shapeSpec(c.Shape)
	if c.Nullable && len(o) > 0 {
		o = object{"anyOf": []object{o, {"type": "null"}}}
	}
	o["description"] = strings.TrimSpace(c.About + " (" + c.Type + ")")
	if c.ReadOnly {
		o["readOnly"] = true
	}
	return o
}

func shapeSpec(s entity.Shape) object {
	switch s.Kind {
	case entity.Any:
		return object{}
	case entity.Integer:
		highest := int64(math.MaxInt64) >> (64 - s.Bits)
		return object{"type": "integer", "minimum": -highest - 1, "maximum": highest}
	case entity.Number:
		return object{"anyOf": []object{{"type": "number"}, {"enum": []string{"NaN", "Infinity", "-Infinity"}}}}
	case entity.Array:
		return object{"type": "array", "items": object{"anyOf": []object{shapeSpec(*s.Elem), {"type": "null"}, {"type": "array"}}}}
	}
	o := object{"type": string(s.Kind)}
	for name, value := range map[string]string{"format": s.Format, "pattern": s.Form} {
		if value != "" {
			o[name] = value
		}
	}
	if s.Enum != nil {
		o["enum"] = s.Enum
	}
	if s.Max > 0 {
		o["maxLength"] = s.Max
	}
	return o
}

// idSpec is a key in a body.
func idSpec(e *served) object {
	if len(e.Key) == 1 {
		return keySpec(e.Key[0])
	}
	parts := make([]object, len(e.Key))
	for i, c := range e.Key {
		parts[i] = keySpec(c)
	}
	return object{"type": "array", "prefixItems": parts, "minItems": len(parts), "maxItems": len(parts)}
}

func keySpec(c entity.Column) object {
	o := shapeSpec(c.Shape)
	if c.Shape.Kind == entity.String && c.Shape.Format == "" {
		o["minLength"] = 1
	}
	return o
}

func pathOf(e *served) string {
	parts := make([]string, len(e.Key))
	for i, c := range e.Key {
		parts[i] = "{" + c.Name + "}"
	}
	return strings.Join(parts, "/")
}

func rowSpec(e *served) object {
	var parameters []object
	for _, c := range e.Key {
		parameters = append(parameters, object{"name": c.Name, "in": "path", "required": true, "schema": keySpec(c), "description": c.About})
	}
	o := object{"parameters": parameters}
	for _, method := range e.Methods() {
		switch method {
		case "get":
			o["get"] = operationSpec("get_"+e.Name, e.Name, cmp.Or(e.About, "Read a row."), nil, ref("Row_"+e.Name), slices.Concat(conditionHeaders, readHeaders), 304, 404, 412)
		case "put":
			o["put"] = operationSpec("put_"+e.Name, e.Name, "Write a whole row: what is left out gets its default.", ref("Put_"+e.Name), ref("Written_"+e.Name),
				slices.Concat(conditionHeaders, writeHeaders), 404, 409, 412, 413, 422)
		case "patch":
			o["patch"] = operationSpec("patch_"+e.Name, e.Name, "Write some columns.", ref("Patch_"+e.Name), ref("Written_"+e.Name), slices.Concat(conditionHeaders, writeHeaders), 404, 409, 412, 413, 422)
		case "delete":
			o["delete"] = operationSpec("delete_"+e.Name, e.Name, "Delete a row.", nil, writtenSpec(object{}), slices.Concat(conditionHeaders, writeHeaders), 404, 409, 412, 422)
		}
	}
	return o
}

// writtenSpec is the answer to a write; with is what it may have beside the state of the cache.
func writtenSpec(row object, with ...string) object {
	properties := object{"cache": object{"enum": []string{"applied", "superseded", "settled", "deferred"}, "description": "What the cache holds. \"deferred\" is a warning: the write is " +
		"committed, and reads without its token may be older for a while."}}
	if slices.Contains(with, "row") {
		properties["row"], properties["etag"] = row, object{"type": "string"}
	}
	return closed(properties)
}

// header is a header of a request.
type header struct{ name, about string }

var (
	conditionHeaders = []header{{"If-Match", "Only if the row is of one of these versions, or * if there is one."}, {"If-None-Match", "Only if it is of none of these, or * if there is none."}}
	readHeaders      = []header{{tokenHeader, "Of an earlier answer: nothing older than what that showed or wrote."}, {consistencyHeader, "default, within=2s or strict."}}
	writeHeaders     = []header{{tokenHeader, "Of an earlier answer: the session goes on in the answer's."}, {idempotencyHeader, "The write is done once, however often it is sent."}}
)

// always are the statuses that any operation of an entity may end with.
var always = []int{400, 401, 403, 429, 500, 503, 504}

func operationSpec(id, tag, summary string, body, answer object, headers []header, statuses ...int) object {
	var parameters []object
	for _, h := range headers {
		parameters = append(parameters, object{"name": h.name, "in": "header", "description": h.about, "schema": object{"type": "string"}})
	}
	responses := object{"200": object{"description": "Done.", "headers": object{"ETag": stringHeader, tokenHeader: stringHeader, "Cache-Status": stringHeader}, "content": content("application/json", answer)}}
	if body != nil {
		statuses = append(statuses, 415)
	}
	for _, status := range append(statuses, always...) {
		responses[fmt.Sprint(status)] = object{"description": titles(status), "content": content("application/problem+json", ref("Problem"))}
	}
	if slices.Contains(statuses, 304) {
		responses["304"] = object{"description": "Not modified."}
	}
	o := object{"operationId": id, "tags": []string{tag}, "summary": summary, "parameters": parameters, "responses": responses}
	if body != nil {
		o["requestBody"] = object{"required": true, "content": content("application/json", body)}
	}
	return o
}

var stringHeader = object{"schema": object{"type": "string"}}

func content(media string, schema object) object {
	return object{media: object{"schema": schema}}
}

// titles are those of the problems that have a status.
func titles(status int) string {
	var list []string
	for _, k := range kinds {
		if k.status == status {
			list = append(list, k.title)
		}
	}
	return strings.Join(list, "; or: ")
}

func plain(summary, tag string, statuses ...int) object {
	responses := object{"200": object{"description": "It is well."}}
	for _, status := range statuses {
		responses[fmt.Sprint(status)] = object{"description": "It is not."}
	}
	return object{"tags": []string{tag}, "summary": summary, "responses": responses, "security": []object{{}}}
}

func (s *Server) batchSpec() object {
	return operationSpec("batch", "batch", "Write rows of several entities in one transaction: all, or none.", ref("Batch"), ref("BatchAnswer"), writeHeaders, 404, 405, 409, 412, 413, 422)
}

func (s *Server) batchBody() object {
	one := closed(object{
		"method": object{"enum": []string{"PUT", "PATCH", "DELETE"}}, "entity": object{"enum": s.order}, "id": object{"description": "A string, an integer, or an array of them."},
		"if_match": object{"type": "string"}, "if_none_match": object{"type": "string"}, "row": object{"type": "object"},
	}, "method", "entity", "id")
	return closed(object{"operations": object{"type": "array", "minItems": 1, "maxItems": s.cfg.batchMax(), "items": one}}, "operations")
}

func problemSpec() object {
	text, number := object{"type": "string"}, object{"type": "integer"}
	return closed(object{"type": text, "title": text, "status": number, "detail": text, "request_id": text, "operation": number,
		"errors": object{"type": "array", "items": closed(object{"pointer": text, "detail": text}, "pointer", "detail")}}, "type", "title", "status", "request_id")
}
