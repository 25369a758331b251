package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the folder of the module, as this package sees it.
const root = "../.."

var (
	fence     = regexp.MustCompile("(?ms)^```.*?^```")
	codeSpan  = regexp.MustCompile("`[^`\n]*`")
	heading   = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	link      = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	evidence  = regexp.MustCompile("(?m)^- `([a-z0-9/]+)`: (.+)$")
	testName  = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
	firstCell = regexp.MustCompile(`(?m)^\| ([^|]+) \|`)
	required  = regexp.MustCompile(`(?m)^\t(\S+) v\S+$`)
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents lists the Markdown files of the project.
func documents(t *testing.T) []string {
	t.Helper()
	var found []string
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || len(d.Name()) > 1 && d.Name()[0] == '.'):
			return fs.SkipDir
		case filepath.Ext(path) == ".md":
			found = append(found, path)
		}
		return nil
	})
	if err != nil || len(found) < 10 {
		t.Fatalf("%d documents (%v)", len(found), err)
	}
	return found
}

// anchors returns what can be linked to in a document: its headings, as GitHub
// and others name them.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		slug := notInSlug.ReplaceAllString(strings.ToLower(h[1]), "")
		found[strings.ReplaceAll(slug, " ", "-")] = true
	}
	return found
}

func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	followed := 0
	for _, doc := range documents(t) {
		text := codeSpan.ReplaceAllString(fence.ReplaceAllString(read(t, doc), ""), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.HasPrefix(target, "https://") {
				continue
			}
			followed++
			path := doc
			if target != "" {
				path = filepath.Join(filepath.Dir(doc), target)
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s: %s is not there", doc, m[1])
			} else if anchor != "" && !anchors(read(t, path))[anchor] {
				t.Errorf("%s: %s: there is no such heading", doc, m[1])
			}
		}
	}
	if followed < 20 {
		t.Errorf("only %d links were found", followed)
	}
}

// A row of a table has as many cells as its head, or it is not shown as one.
func TestTablesOfDocumentsAreWhole(t *testing.T) {
	for _, doc := range documents(t) {
		columns := 0
		for line := range strings.Lines(fence.ReplaceAllString(read(t, doc), "")) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, "|") {
				columns = 0
				continue
			}
			cells := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
			if columns == 0 {
				columns = cells
			}
			if cells != columns || !strings.HasSuffix(line, "|") {
				t.Errorf("%s: a row of %d cells in a table of %d: %.60s", doc, cells-1, columns-1, line)
			}
		}
	}
}

// testsOf returns the tests that a package declares.
func testsOf(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

// Each of the ten of OWASP has a paragraph and tests, and the tests are there.
func TestTestsOfTheTopTenExist(t *testing.T) {
	sections := strings.Split(read(t, "docs/owasp-api-top-10.md"), "\n## ")[1:]
	if len(sections) != 10 {
		t.Errorf("%d sections, of ten", len(sections))
	}
	for _, section := range sections {
		title, _, _ := strings.Cut(section, "\n")
		named := 0
		for _, line := range evidence.FindAllStringSubmatch(section, -1) {
			declared := testsOf(t, line[1])
			for _, m := range testName.FindAllStringSubmatch(line[2], -1) {
				named++
				if !slices.Contains(declared, m[1]) {
					t.Errorf("%s: there is no %s in %s", title, m[1], line[1])
				}
			}
		}
		if named == 0 {
			t.Errorf("%s: no test is named", title)
		}
	}
}

// tableUnder returns the first cells of the table below a line of the document.
func tableUnder(t *testing.T, text, head string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, head+"\n")
	if !found {
		t.Fatalf("there is no table %q", head)
	}
	table, _, _ := strings.Cut(rest, "\n\n")
	var cells []string
	for _, m := range firstCell.FindAllStringSubmatch(table, -1) {
		cells = append(cells, m[1])
	}
	return strings.Join(cells, "\n")
}

// The page tells of every room, and of no room that is not there.
func TestEveryRoomIsDescribed(t *testing.T) {
	described := codeSpan.FindAllString(tableUnder(t, read(t, "ARCHITECTURE.md"), "| room | what lives there |"), -1)
	for i, name := range described {
		described[i] = strings.Trim(name, "`")
		if info, err := os.Stat(filepath.Join(root, described[i])); err != nil || !info.IsDir() {
			t.Errorf("%s is described and not there", described[i])
		}
	}
	for _, p := range list(t) {
		path := strings.TrimPrefix(p.path, "strongroom/")
		if !slices.ContainsFunc(described, func(room string) bool { return path == room || strings.HasPrefix(path, room+"/") }) {
			t.Errorf("%s is in no room of the table", path)
		}
	}
}

// Every dependency that go.mod requires directly is there for a reason.
func TestEveryDependencyHasItsReason(t *testing.T) {
	reasons := tableUnder(t, read(t, "ARCHITECTURE.md"), "| dependency | why |")
	direct, _, _ := strings.Cut(read(t, "go.mod"), "\n)\n")
	modules := required.FindAllStringSubmatch(direct, -1)
	if len(modules) < 10 {
		t.Fatalf("%d dependencies were found", len(modules))
	}
	for _, m := range modules {
		if !slices.Contains(strings.FieldsFunc(reasons, func(r rune) bool { return r == '\n' || r == ',' || r == ' ' }), m[1]) {
			t.Errorf("%s has no row in ARCHITECTURE.md", m[1])
		}
	}
}
