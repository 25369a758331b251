package api

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// contract holds requests and answers against the OpenAPI document.
type contract struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	compiled map[string]*jsonschema.Schema
	seen     map[string]bool // "operationId status"
	paths    []contractPath
}

type contractPath struct {
	template string
	regexp   *regexp.Regexp
	item     map[string]any
}

var theContract = loadContract()

func loadContract() *contract {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	c := &contract{doc: doc.(map[string]any), compiled: map[string]*jsonschema.Schema{}, seen: map[string]bool{}}
	closeObjects(c.doc["components"].(map[string]any)["schemas"])
	c.compiler = jsonschema.NewCompiler()
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource("mem:///openapi.json", doc); err != nil {
		panic(err)
	}
	for template, item := range c.doc["paths"].(map[string]any) {
		c.paths = append(c.paths, contractPath{template, templateRegexp(template), item.(map[string]any)})
	}
	return c
}

// closeObjects makes the test stricter than the document: an answer may have no
// member that the document does not tell of.
func closeObjects(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		if _, has := s["properties"]; has && s["additionalProperties"] == nil {
			s["additionalProperties"] = false
		}
		for _, child := range s {
			closeObjects(child)
		}
	case []any:
		for _, child := range s {
			closeObjects(child)
		}
	}
}

func templateRegexp(template string) *regexp.Regexp {
	expression := regexp.QuoteMeta(template)
	expression = strings.Replace(expression, `\{field\}`, `.+`, 1)
	return regexp.MustCompile("^" + regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(expression, `[^/:]+`) + "$")
}

// operation finds what the document says of a request; nil when nothing.
func (c *contract) operation(method, path string) (pointer string, op map[string]any) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, p := range c.paths {
		if p.regexp.MatchString(path) {
			if op, ok := p.item[strings.ToLower(method)].(map[string]any); ok {
				return "/paths/" + escapePointer(p.template) + "/" + strings.ToLower(method), op
			}
		}
	}
	return "", nil
}

func escapePointer(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}

// schema compiles the schema that a pointer leads to.
func (c *contract) schema(pointer string) (*jsonschema.Schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.compiled[pointer]; s != nil {
		return s, nil
	}
	fragment := (&url.URL{Fragment: pointer}).String()
	s, err := c.compiler.Compile("mem:///openapi.json" + fragment)
	if err == nil {
		c.compiled[pointer] = s
	}
	return s, err
}

// exchange is one request with its answer.
type exchange struct {
	method, path  string
	query         url.Values
	requestType   string
	request, body []byte
	status        int
	header        http.Header
}

// check returns what is wrong with an exchange.
func (c *contract) check(x *exchange) error {
	pointer, op := c.operation(x.method, x.path)
	if op == nil {
		if x.status != 404 && x.status != 405 {
			return fmt.Errorf("no operation, and yet status %d", x.status)
		}
		return c.checkBody("/components/responses/Problem404", c.at("/components/responses/Problem404"), x)
	}
	c.mu.Lock()
	c.seen[op["operationId"].(string)+" "+strconv.Itoa(x.status)] = true
	c.mu.Unlock()
	responses := op["responses"].(map[string]any)
	response, documented := responses[strconv.Itoa(x.status)].(map[string]any)
	if !documented {
		return fmt.Errorf("status %d of %s is not documented", x.status, op["operationId"])
	}
	at := pointer + "/responses/" + strconv.Itoa(x.status)
	if ref, ok := response["$ref"].(string); ok {
		at = strings.TrimPrefix(ref, "#")
		response = c.at(at)
	}
	if x.status < 300 {
		if err := c.checkRequest(pointer, op, x); err != nil {
			return fmt.Errorf("a request that the document does not allow was accepted: %w", err)
		}
	}
	return c.checkBody(at, response, x)
}

// at follows a pointer whose tokens need no unescaping.
func (c *contract) at(pointer string) map[string]any {
	value := c.doc
	for token := range strings.SplitSeq(pointer[1:], "/") {
		value, _ = value[token].(map[string]any)
	}
	return value
}

func (c *contract) checkBody(at string, response map[string]any, x *exchange) error {
	if x.header.Get("X-Request-Id") == "" || x.header.Get("Cache-Control") != "no-store" {
		return fmt.Errorf("no X-Request-Id, or not Cache-Control: no-store")
	}
	content, _ := response["content"].(map[string]any)
	if len(content) == 0 {
		if len(x.body) > 0 {
			return fmt.Errorf("a body where there should be none")
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(x.header.Get("Content-Type"))
	media, ok := content[kind].(map[string]any)
	if err != nil || !ok {
		return fmt.Errorf("content type %q is not documented", x.header.Get("Content-Type"))
	}
	if x.method == http.MethodHead || media["schema"] == nil {
		return nil
	}
	return c.checkMedia(at+"/content/"+escapePointer(kind)+"/schema", kind, x.body)
}

// checkMedia validates a body; of a stream each line.
func (c *contract) checkMedia(pointer, kind string, body []byte) error {
	schema, err := c.schema(pointer)
	if err != nil {
		return err
	}
	texts := [][]byte{body}
	switch {
	case kind == "text/plain":
		return nil
	case strings.HasSuffix(kind, "ndjson"):
		texts = bytes.Split(bytes.TrimSpace(body), []byte("\n"))
	case kind == mediaEvents:
		texts = documentsOf(body)
	}
	for _, text := range texts {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return err
		}
		if err := schema.Validate(value); err != nil {
			return err
		}
	}
	return nil
}

// documentsOf returns the documents of a stream of events.
func documentsOf(body []byte) (texts [][]byte) {
	for _, event := range bytes.Split(body, []byte("\n\n")) {
		name, data, _ := bytes.Cut(event, []byte("\ndata: "))
		if string(name) == "event: progress" || string(name) == "event: end" {
			texts = append(texts, data)
		}
	}
	return texts
}

// checkRequest validates a request that was accepted.
func (c *contract) checkRequest(pointer string, op map[string]any, x *exchange) error {
	allowed := map[string]bool{}
	parameters, _ := op["parameters"].([]any)
	for _, p := range parameters {
		at := strings.TrimPrefix(p.(map[string]any)["$ref"].(string), "#")
		parameter := c.at(at)
		if parameter["in"] == "query" {
			allowed[parameter["name"].(string)] = true
		}
	}
	for name := range x.query {
		if strings.HasPrefix(name, "label.") {
			name = "label"
		}
		if !allowed[name] {
			return fmt.Errorf("query parameter %s", name)
		}
	}
	body, _ := op["requestBody"].(map[string]any)
	if len(x.request) == 0 {
		if body != nil && body["required"] == true {
			return fmt.Errorf("no body")
		}
		return nil
	}
	kind, _, _ := mime.ParseMediaType(x.requestType)
	content, _ := body["content"].(map[string]any)
	if content[kind] == nil {
		return fmt.Errorf("media type %q", x.requestType)
	}
	if kind == mediaForm || kind == mediaNDJSON { // a refused line of an import is a result, not a refused request
		return nil
	}
	return c.checkMedia(pointer+"/requestBody/content/"+escapePointer(kind)+"/schema", kind, x.request)
}

// recorder checks every exchange of a test's client.
type recorder struct {
	t    testing.TB
	next http.RoundTripper
}

func (r *recorder) RoundTrip(q *http.Request) (*http.Response, error) {
	x := &exchange{method: q.Method, path: q.URL.Path, query: q.URL.Query(), requestType: q.Header.Get("Content-Type")}
	if q.Body != nil {
		x.request, _ = io.ReadAll(q.Body)
		q.Body = io.NopCloser(bytes.NewReader(x.request))
	}
	resp, err := r.next.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	x.body, err = io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(&replay{bytes.NewReader(x.body), err})
	x.status, x.header = resp.StatusCode, resp.Header
	if err := theContract.check(x); err != nil {
		r.t.Errorf("contract: %s %s: %v", q.Method, q.URL.Path, err)
	}
	return resp, nil
}

// replay hands out a body and then the error that it ended in.
type replay struct {
	*bytes.Reader
	err error
}

func (r *replay) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err == io.EOF && r.err != nil {
		err = r.err
	}
	return n, err
}

// neverSeen are the documented answers that no test provokes, each with a
// reason.
var neverSeen = map[string]string{}

func TestMain(m *testing.M) {
	code := m.Run()
	whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""
	if code == 0 && whole && flag.Lookup("test.list").Value.String() == "" {
		code = reportUnseen()
	}
	os.Exit(code)
}

// reportUnseen fails the run when a documented answer was seen by no test and
// is not excused, or is excused and was seen.
func reportUnseen() int {
	code := 0
	for _, what := range theContract.documented() {
		_, excused := neverSeen[what]
		switch {
		case !theContract.seen[what] && !excused:
			fmt.Println("FAIL: documented, but seen by no test:", what)
			code = 1
		case theContract.seen[what] && excused:
			fmt.Println("FAIL: excused in neverSeen, but seen:", what)
			code = 1
		}
	}
	return code
}

func (c *contract) documented() []string {
	var all []string
	for _, p := range c.paths {
		for _, op := range p.item {
			if op, ok := op.(map[string]any); ok {
				for status := range op["responses"].(map[string]any) {
					all = append(all, op["operationId"].(string)+" "+status)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}
