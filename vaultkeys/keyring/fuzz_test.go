package keyring

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom/vaultkeys"
)

// What the decoder takes is a keyring that can be worked with, and is written
// as what it reads again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"format":1,"keys":{"k":{"latest":1,"versions":{"1":{"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","created_at":"2026-01-02T03:04:05Z"}}}}}`))
	f.Add([]byte(`{"format":1,"keys":null}`))
	f.Add([]byte(`{"format":1,"keys":{"k":{"latest":-1,"versions":{"-1":null}}}}`))
	f.Add([]byte("age-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		doc, err := parse(plain)
		if err != nil {
			if doc != nil {
				t.Error("a refused document is handed out")
			}
			return
		}
		p := &Provider{}
		must(t, p.use(doc))
		for name := range doc.Keys {
			opens(t, p, name, sealed(t, p, name))
		}
		text, err := json.Marshal(doc)
		if err != nil {
			return // a time of a year that JSON cannot hold
		}
		again, err := parse(text)
		must(t, err)
		if diff := cmp.Diff(doc, again); diff != "" {
			t.Errorf("it is written as another:\n%s", diff)
		}
	})
}

// Nothing but what was wrapped opens, and a refusal is one.
func FuzzUnwrap(f *testing.F) {
	p := &Provider{}
	must(f, p.use(&document{Format: fileFormat, Keys: map[vaultkeys.KeyName]*record{"k": {Latest: 1, Versions: map[int]*version{1: newVersion()}}}}))
	genuine := sealed(f, p, "k")[0]
	f.Add(genuine.Data, []byte("another place"))
	f.Add([]byte{1, 0, 0, 0, 1}, []byte(nil))
	f.Add(append([]byte{1, 0xff, 0xff, 0xff, 0xff}, make([]byte, 40)...), []byte("a place"))
	f.Fuzz(func(t *testing.T, data, associated []byte) {
		out, err := p.Unwrap(t.Context(), "k", []vaultkeys.Item{{Data: data, AssociatedData: associated}})
		if string(data) == string(genuine.Data) && string(associated) == "a place" {
			return
		}
		if !errors.Is(err, vaultkeys.ErrRefused) || out != nil {
			t.Errorf("the answer is %q, %v", out, err)
		}
	})
}
