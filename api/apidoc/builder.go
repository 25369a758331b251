package main

import (
	"net/http"
	"strconv"
	"strings"
)

// operation is one method of one path.
type operation struct {
	method, path string
	id, tag      string
	summary      string
	description  string
	params       []string // names of components
	open         bool     // needs no token
	in           *content // the request's body
	optional     bool     // of the body
	out          []answer // those of the errors are added
	errors       []int
}

// content is a body of one media type; its schema is named.
type content struct {
	media, schema string
	example       any
}

// answer is a response that is not an error.
type answer struct {
	status  int
	what    string
	content []content // of one body in several media types
	headers []string
}

func jsonOf(schema string) []content { return []content{{media: "application/json", schema: schema}} }

func body(schema string, example any) *content {
	return &content{media: "application/json", schema: schema, example: example}
}

func (o operation) object() obj {
	out := obj{
		"operationId": o.id, "tags": []string{o.tag}, "summary": o.summary,
		"responses": o.responses(),
	}
	if o.description != "" {
		out["description"] = o.description
	}
	if params := o.parameters(); len(params) > 0 {
		out["parameters"] = params
	}
	if o.in != nil {
		out["requestBody"] = obj{"required": !o.optional, "content": mediaTypes([]content{*o.in})}
	}
	if o.open {
		out["security"] = []obj{}
	}
	return out
}

// parameters refers to the path's own parameters and then the operation's.
func (o operation) parameters() []obj {
	var refs []obj
	for part := range strings.SplitSeq(o.path, "{") {
		if name, _, found := strings.Cut(part, "}"); found {
			refs = append(refs, ref("parameters", inPathAs(name)))
		}
	}
	for _, name := range o.params {
		refs = append(refs, ref("parameters", name))
	}
	return refs
}

// inPathAs is the name of the component of a path's parameter: a list's limit
// is another one than the limit that a path names, and so is an import's key.
func inPathAs(name string) string {
	switch name {
	case "limit":
		return "limit-name"
	case "key":
		return "key-id"
	}
	return name
}

func ref(kind, name string) obj { return obj{"$ref": "#/components/" + kind + "/" + name} }

func (o operation) responses() obj {
	out := obj{}
	for _, a := range o.out {
		out[strconv.Itoa(a.status)] = a.object()
	}
	for _, status := range o.allErrors() {
		key := strconv.Itoa(status)
		if _, there := out[key]; !there {
			out[key] = ref("responses", "Problem"+key)
		}
	}
	return out
}

// allErrors adds the errors that every operation with a token can end in.
func (o operation) allErrors() []int {
	if o.open {
		return append([]int{431}, o.errors...)
	}
	all := append([]int{400, 401, 403, 429, 431, 500, 503}, o.errors...)
	if o.in != nil {
		all = append(all, 413, 415)
	}
	return all
}

func (a answer) object() obj {
	out := obj{"description": a.what}
	if len(a.content) > 0 {
		out["content"] = mediaTypes(a.content)
	}
	headers := obj{"X-Request-Id": ref("headers", "X-Request-Id")}
	for _, name := range a.headers {
		headers[name] = ref("headers", name)
	}
	out["headers"] = headers
	return out
}

func mediaTypes(list []content) obj {
	out := obj{}
	for _, c := range list {
		media := obj{}
		if c.schema != "" {
			media["schema"] = ref("schemas", c.schema)
		}
		if c.example != nil {
			media["example"] = c.example
		}
		out[c.media] = media
	}
	return out
}

// problems returns the responses that errors end in, one a status.
func problems() obj {
	out := obj{}
	for _, status := range []int{400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 431, 500, 503} {
		out["Problem"+strconv.Itoa(status)] = problem(status)
	}
	return out
}

func problem(status int) obj {
	names := []string{}
	switch status {
	case 401:
		names = append(names, "WWW-Authenticate", "DPoP-Nonce")
	case 409, 503:
		names = append(names, "Retry-After")
	case 429:
		names = append(names, "Retry-After", "RateLimit", "RateLimit-Policy")
	}
	return answer{status, http.StatusText(status), []content{{media: "application/problem+json", schema: "Problem"}}, names}.object()
}
