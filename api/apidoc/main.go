// Command apidoc writes the OpenAPI 3.1 document of the API, which package api
// embeds. It is run by go generate in package api; a test fails when the
// document that is committed is not the one it writes.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: apidoc FILE")
		os.Exit(2)
	}
	text, err := document()
	if err == nil {
		err = os.WriteFile(os.Args[1], text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "apidoc:", err)
		os.Exit(1)
	}
}

// obj is a JSON object; its members are written in the order of their names.
type obj = map[string]any

// document returns the whole document, indented.
func document() ([]byte, error) {
	paths := obj{}
	for _, o := range operations() {
		item, _ := paths[o.path].(obj)
		if item == nil {
			item = obj{}
			paths[o.path] = item
		}
		item[o.method] = o.object()
	}
	for _, path := range []string{"/metrics"} {
		paths[path].(obj)["servers"] = []obj{opsServer}
	}
	doc := obj{
		"openapi": "3.1.0",
		"info": obj{
			"title": "Strongroom", "version": "1",
			"description": about,
			"license":     obj{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers": []obj{{"url": "https://127.0.0.1:8443", "description": "the API, where serve listens unless told otherwise"}},
		"tags":    tags(),
		"paths":   paths,
		"components": obj{
			"schemas":    schemas(),
			"parameters": parameters(),
			"headers":    headers(),
			"responses":  problems(),
			"securitySchemes": obj{"oauth2": obj{"type": "oauth2",
				"description": "Client credentials; /.well-known/oauth-authorization-server tells the ways in which a client authenticates.",
				"flows":       obj{"clientCredentials": obj{"tokenUrl": "/oauth2/token", "scopes": obj{}}}},
				"dpop": obj{"type": "http", "scheme": "dpop", "description": "The token that is bound to a key, with a proof for each request in the header DPoP (RFC 9449)."}},
		},
		"security": []obj{{"oauth2": []string{}}, {"dpop": []string{}}},
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err := encoder.Encode(doc)
	return b.Bytes(), err
}

const about = "An encrypted store for integration data. Every request but the one for a token carries an access token. " +
	"Times are RFC 3339. Errors are problem documents (RFC 9457), told apart by their code; the same request may succeed later when retryable is true. " +
	"HEAD is answered wherever GET is. Members may be added to answers; requests with unknown members or parameters are refused."

var opsServer = obj{"url": "https://127.0.0.1:8444", "description": "the operations listener"}

func tags() []obj {
	return []obj{
		{"name": "records", "description": "Sealed records and their fields."},
		{"name": "collections", "description": "Records of one shape: a schema, or a preset for credentials."},
		{"name": "integrations", "description": "Namespaces with keys of their own."},
		{"name": "access", "description": "Roles, clients and their secrets, tokens."},
		{"name": "governance", "description": "What a second person decides about: changes that widen access, approvals of reads."},
		{"name": "keys", "description": "Rotations and their schedules, the inventory of keys, erasures."},
		{"name": "operations", "description": "Backups, health, metrics."},
	}
}
