package main

import (
	"bytes"
	"os"
	"testing"
)

func TestCommittedDocumentIsFresh(t *testing.T) {
	want, err := document()
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("api/openapi.json is not what apidoc writes: run go generate ./api")
	}
}
