package config

import (
	"encoding"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// Issue is one thing that is wrong with a configuration. No detail repeats a
// value.
type Issue struct {
	Member string // its path, like keys.vault.address; empty for the whole
	Line   int    // in the file; 0 when the value is not from there
	Detail string
}

func (i Issue) String() string {
	var where string
	if i.Line > 0 {
		where = fmt.Sprintf("line %d: ", i.Line)
	}
	if i.Member != "" {
		where += i.Member + ": "
	}
	return where + i.Detail
}

// Invalid is everything that is wrong with a configuration.
type Invalid struct{ Issues []Issue }

// Error puts one issue on a line.
func (e *Invalid) Error() string {
	lines := make([]string, len(e.Issues))
	for i, issue := range e.Issues {
		lines[i] = issue.String()
	}
	return strings.Join(lines, "\n")
}

// Load reads the file at path, when there is one, then the environment (as
// os.Environ gives it), and checks the whole. Its error is an *Invalid when the
// configuration is wrong rather than unreadable.
func Load(path string, environ []string) (*Config, error) {
	c, err := Read(path, environ)
	if err != nil {
		return nil, err
	}
	return c, c.Check()
}

// Read is Load without the check, for those who fill in the rest.
func Read(path string, environ []string) (*Config, error) {
	c := Default()
	bad := &Invalid{}
	if path != "" {
		raw, err := readFile(path)
		if err != nil {
			return nil, err
		}
		c.readYAML(raw, bad)
		c.resolve(filepath.Dir(path))
	}
	c.readEnv(environ, bad)
	if len(bad.Issues) > 0 {
		return nil, bad
	}
	c.resolve(".")
	return &c, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(raw) > maxFile {
		err = errors.New("it is over 1 MiB")
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	return raw, nil
}

func (c *Config) readYAML(raw []byte, bad *Invalid) {
	var doc yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(raw)))
	decoder.KnownFields(true)
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return // an empty file says nothing
	case err != nil:
		bad.Issues = append(bad.Issues, Issue{Detail: "this is not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")})
		return
	}
	if decoder.Decode(new(yaml.Node)) == nil {
		bad.Issues = append(bad.Issues, Issue{Detail: "there is more than one YAML document in it"})
		return
	}
	readMapping(doc.Content[0], reflect.ValueOf(c).Elem(), "", bad)
}

// readMapping fills a struct from a mapping. It goes by nodes, so that each
// issue can name the member's whole path.
func readMapping(n *yaml.Node, into reflect.Value, path string, bad *Invalid) {
	fail := func(n *yaml.Node, member, detail string) {
		bad.Issues = append(bad.Issues, Issue{strings.TrimPrefix(member, "."), n.Line, detail})
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // a member whose children are all commented out
	}
	if n.Kind != yaml.MappingNode {
		fail(n, path, "must hold members")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		member := path + "." + key.Value
		field, ok := memberOf(into, key.Value)
		switch {
		case !ok:
			fail(key, member, "there is no such member")
		case seen[key.Value]:
			fail(key, member, "stands there twice")
		case field.Kind() == reflect.Struct:
			readMapping(value, field, member, bad)
		case value.Kind == yaml.SequenceNode && field.Kind() == reflect.Slice:
			if text, ok := joined(value); !ok || !set(field, text) {
				fail(value, member, "must be "+kindOf(field))
			}
		case value.Kind != yaml.ScalarNode:
			fail(value, member, "must be "+kindOf(field))
		case !set(field, value.Value):
			fail(value, member, "must be "+kindOf(field))
		}
		seen[key.Value] = true
	}
}

// joined writes a YAML list as the environment would.
func joined(list *yaml.Node) (string, bool) {
	all := make([]string, len(list.Content))
	for i, item := range list.Content {
		if item.Kind != yaml.ScalarNode || strings.Contains(item.Value, ",") {
			return "", false
		}
		all[i] = item.Value
	}
	return strings.Join(all, ","), true
}

func memberOf(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// set reads a scalar into a leaf.
func set(leaf reflect.Value, text string) bool {
	if u, ok := leaf.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text)) == nil
	}
	switch leaf.Kind() {
	case reflect.String:
		leaf.SetString(text)
		return true
	case reflect.Int:
		n, err := strconv.Atoi(text)
		leaf.SetInt(int64(n))
		return err == nil
	}
	panic("config: a member of a kind that nothing reads: " + leaf.Type().String())
}

func kindOf(leaf reflect.Value) string {
	switch leaf.Interface().(type) {
	case Duration:
		return "a duration like 30s or 15m"
	case int:
		return "a whole number"
	case Networks:
		return "a list of networks like 10.1.0.0/16"
	case Names:
		return "a list of names"
	}
	return "text"
}

// leaf is one value of a configuration.
type leaf struct {
	path  string // keys.vault.address
	value reflect.Value
	file  bool // it names a file or folder
}

// Env returns the variable of the member.
func (l leaf) env() string {
	return "STRONGROOM_" + strings.ToUpper(strings.ReplaceAll(l.path, ".", "_"))
}

func (c *Config) leaves() []leaf { return leavesOf(reflect.ValueOf(c).Elem(), "") }

func leavesOf(v reflect.Value, prefix string) []leaf {
	var all []leaf
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		path := prefix + tag.Get("yaml")
		if v.Field(i).Kind() == reflect.Struct {
			all = append(all, leavesOf(v.Field(i), path+".")...)
		} else {
			all = append(all, leaf{path, v.Field(i), tag.Get("path") != ""})
		}
	}
	return all
}

func (c *Config) readEnv(environ []string, bad *Invalid) {
	leaves := c.leaves()
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		i := slices.IndexFunc(leaves, func(l leaf) bool { return l.env() == name })
		switch {
		case i < 0 && looksLikeMember(name):
			bad.Issues = append(bad.Issues, Issue{Member: name, Detail: "there is no member of this variable"})
		case i >= 0 && !set(leaves[i].value, value):
			bad.Issues = append(bad.Issues, Issue{Member: name, Detail: "must be " + kindOf(leaves[i].value)})
		}
	}
}

// looksLikeMember reports whether a variable that is no member's was meant to be
// one: it begins like a section. Other variables of the prefix are the client's.
func looksLikeMember(name string) bool {
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		section := "STRONGROOM_" + strings.ToUpper(t.Field(i).Tag.Get("yaml")) + "_"
		if t.Field(i).Type.Kind() == reflect.Struct && strings.HasPrefix(name, section) {
			return true
		}
	}
	return false
}

// resolve makes relative paths absolute, from the folder dir.
func (c *Config) resolve(dir string) {
	for _, l := range c.leaves() {
		text := ""
		if l.file {
			text = l.value.String()
		}
		if text == "" || filepath.IsAbs(text) {
			continue
		}
		if abs, err := filepath.Abs(filepath.Join(dir, text)); err == nil {
			l.value.SetString(abs)
		}
	}
}
