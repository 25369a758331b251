package schema

import (
	"encoding/base64"
	"errors"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// location is what the one schema of a compiler is called; nothing is ever
// loaded from it.
const location = "strongroom:///schema"

var errNoLoading = errors.New("schema: nothing is loaded from elsewhere")

// noLoader refuses every URL: compilers read files by default.
type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errNoLoading }

// annotatedFormats are the formats of jsonschema that this package doesn't
// assert.
var annotatedFormats = []string{
	"json-pointer", "relative-json-pointer", "duration", "period", "ipv4", "ipv6", "hostname",
	"date", "time", "iri", "uri-reference", "iri-reference", "uri-template", "semver",
}

var errNotBase64 = errors.New("not base64")

// decodeBase64 takes base64 with padding and refuses what the standard
// decoder forgives: line breaks and stray bits in the last character. So one
// sequence of bytes has one text.
func decodeBase64(text string) ([]byte, error) {
	for i := range len(text) {
		if text[i] == '\n' || text[i] == '\r' {
			return nil, errNotBase64
		}
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errNotBase64
	}
	return raw, nil
}

// newEngine compiles a parsed schema with the decisions of the package
// comment.
func newEngine(schema map[string]any) (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	c.AssertFormat()
	for _, name := range annotatedFormats {
		c.RegisterFormat(&jsonschema.Format{Name: name, Validate: func(any) error { return nil }})
	}
	c.AssertContent()
	c.RegisterContentEncoding(&jsonschema.Decoder{Name: "base64", Decode: decodeBase64})
	c.RegisterContentMediaType(&jsonschema.MediaType{
		Name: "application/json", Validate: func([]byte) error { return nil },
	})
	if err := c.AddResource(location, schema); err != nil {
		return nil, err
	}
	return c.Compile(location)
}
