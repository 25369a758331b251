package api

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestRoutesAreTheDocuments holds the router against the document, both ways.
func TestRoutesAreTheDocuments(t *testing.T) {
	documented, routed := map[string]bool{}, map[string]bool{}
	for _, p := range theContract.paths {
		for method := range p.item {
			if method != "servers" {
				documented[strings.ToUpper(method)+" "+p.template] = true
			}
		}
	}
	for _, r := range newScripted(t).server.tree {
		for _, e := range r.endpoints {
			routed[e.method+" "+r.route] = true
		}
	}
	for route := range routed {
		if !documented[route] {
			t.Errorf("%s is routed and not documented", route)
		}
	}
	for route := range documented {
		if !routed[route] {
			t.Errorf("%s is documented and not routed", route)
		}
	}
}

// TestDocumentIsSound compiles every schema, so that each reference leads
// somewhere, and checks the examples against them.
func TestDocumentIsSound(t *testing.T) {
	for name := range theContract.at("/components/schemas") {
		if _, err := theContract.schema("/components/schemas/" + name); err != nil {
			t.Errorf("schema %s: %v", name, err)
		}
	}
	ids := map[string]bool{}
	for _, o := range theContract.requests() {
		if ids[o.id] {
			t.Errorf("operationId %s is there twice", o.id)
		}
		ids[o.id] = true
		if o.body == nil || o.media == mediaForm {
			continue
		}
		if err := theContract.checkMedia(o.pointer+"/requestBody/content/"+escapePointer(o.media)+"/schema", o.media, o.body); err != nil {
			t.Errorf("the example of %s: %v", o.id, err)
		}
	}
}

// request is a request made of the document's examples.
type request struct {
	id, pointer   string
	method, path  string
	media         string
	body          []byte
	public        bool
	documentedFor []int
}

// requests returns one request for every operation.
func (c *contract) requests() []request {
	var all []request
	for _, p := range c.paths {
		for method, op := range p.item {
			if op, ok := op.(map[string]any); ok {
				all = append(all, c.example(p.template, method, op))
			}
		}
	}
	slices.SortFunc(all, func(a, b request) int { return strings.Compare(a.id, b.id) })
	return all
}

func (c *contract) example(template, method string, op map[string]any) request {
	r := request{id: op["operationId"].(string), method: strings.ToUpper(method), path: template,
		pointer: "/paths/" + escapePointer(template) + "/" + method}
	parameters, _ := op["parameters"].([]any)
	for _, p := range parameters {
		parameter := c.at(strings.TrimPrefix(p.(map[string]any)["$ref"].(string), "#"))
		if example, ok := parameter["example"].(string); ok {
			r.path = strings.Replace(r.path, "{"+parameter["name"].(string)+"}", example, 1)
		}
	}
	if r.id == "deleteIntegration" {
		r.path += "?confirm=acme-crm"
	}
	if security, has := op["security"].([]any); has && len(security) == 0 {
		r.public = true
	}
	if in, ok := op["requestBody"].(map[string]any); ok {
		for media, content := range in["content"].(map[string]any) {
			r.media = media
			switch example := content.(map[string]any)["example"]; media {
			case mediaForm:
				r.body = []byte("grant_type=client_credentials")
			case mediaNDJSON:
				r.body = []byte(`{"fields":{"email":"a"}}` + "\n" + `{"fields":{"email":"b"}}`)
			default:
				r.body, _ = json.Marshal(example)
			}
		}
	}
	for status := range op["responses"].(map[string]any) {
		n, _ := strconv.Atoi(status)
		r.documentedFor = append(r.documentedFor, n)
	}
	slices.Sort(r.documentedFor)
	return r
}
