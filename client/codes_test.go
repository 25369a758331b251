package client

import (
	"errors"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"strconv"
	"testing"
)

// serverTable reads the server's table of errors from its source: the client
// must know every code of it, and the two have no package in common.
func serverTable(t *testing.T) map[string]int {
	t.Helper()
	file, err := parser.ParseFile(gotoken.NewFileSet(), "../api/problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]int{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "outcomes" {
			return true
		}
		for _, row := range spec.Values[0].(*ast.CompositeLit).Elts {
			cells := row.(*ast.CompositeLit).Elts
			status, _ := strconv.Atoi(cells[1].(*ast.BasicLit).Value)
			code, _ := strconv.Unquote(cells[2].(*ast.BasicLit).Value)
			table[code] = status
		}
		return false
	})
	return table
}

func TestEveryServerCodeHasItsError(t *testing.T) {
	table := serverTable(t)
	if len(table) < 20 || table["not_found"] != 404 {
		t.Fatalf("the server's table was not read: %v", table)
	}
	for code, status := range table {
		if _, ok := codes[code]; !ok {
			t.Errorf("the server can answer %d %q, which no error of this package stands for", status, code)
		}
	}
	for code := range codes {
		if _, ok := table[code]; !ok && code != "unauthenticated" { // made of OAuth's invalid_client
			t.Errorf("%q is no code of the server", code)
		}
	}
}

func TestUnknownCodeIsJudgedByItsStatus(t *testing.T) {
	for status, want := range map[int]error{
		404: ErrNotFound, 412: ErrPrecondition, 403: ErrForbidden, 503: ErrUnavailable, 500: ErrInternal, 418: ErrInternal,
	} {
		p := &Problem{Status: status, Code: "of_a_newer_server"}
		if !errors.Is(p, want) {
			t.Errorf("%d is %v, not %v", status, errors.Unwrap(p), want)
		}
	}
}

func TestKeyRefusedIsAKeyServiceError(t *testing.T) {
	p := &Problem{Status: 503, Code: "key_refused"}
	if !errors.Is(p, ErrKeyRefused) || !errors.Is(p, ErrKeyService) {
		t.Error("key_refused is not both")
	}
	if errors.Is(&Problem{Status: 503, Code: "key_service_unavailable"}, ErrKeyRefused) {
		t.Error("a key service that is away has refused nothing")
	}
}
