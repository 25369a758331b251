package api

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestHostileBytes sends what no HTTP client can be made to send: paths and
// headers byte by byte, and requests that two servers could read differently.
// Each is refused, or is an ordinary request; nothing that was sent comes back
// as a header.
func TestHostileBytes(t *testing.T) {
	d := newDoor(t, Timeouts{})
	close(d.held.release)
	header := func(line string) string { return "GET /livez HTTP/1.1\r\nHost: x\r\n" + line + "\r\n\r\n" }
	target := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n" }
	body := func(headers, text string) string {
		return "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" + headers + "\r\n" + text
	}
	for name, tt := range map[string]struct {
		request string
		want    []int
	}{
		"dots":                             {target("/v1/integrations/../../etc/passwd"), []int{404}},
		"dots, encoded":                    {target("/v1/integrations/%2e%2e%2f%2e%2e%2fetc%2fpasswd"), []int{401, 404}},
		"dots, overlong":                   {target("/v1/integrations/%c0%ae%c0%ae%c0%af"), []int{401, 404}},
		"two slashes":                      {target("//evil.example/%2e%2e"), []int{404}},
		"a slash behind":                   {target("/livez/"), []int{404}},
		"two slashes inside":               {target("/v1//roles"), []int{404}},
		"another letter case":              {target("/V1/roles"), []int{404}},
		"a parameter of the path":          {target("/livez;a=b"), []int{404}},
		"NUL, encoded":                     {target("/livez%00"), []int{404}},
		"a new line, encoded":              {target("/livez%0d%0aX-Injected:%201"), []int{404}},
		"an escape that is none":           {target("/livez%zz"), []int{400}},
		"raw bytes":                        {target("/livez\xff\xfe"), []int{404}},
		"a raw NUL":                        {target("/livez\x00"), []int{400}},
		"a raw escape":                     {target("/livez\x1b[2J"), []int{400}},
		"a space":                          {target("/livez x"), []int{400}},
		"a whole URL":                      {"GET http://169.254.169.254/livez HTTP/1.1\r\nHost: x\r\n\r\n", []int{200}}, // the path alone counts: nothing is fetched
		"a star":                           {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", []int{200, 404}},
		"CONNECT":                          {"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: x\r\n\r\n", []int{404, 405}},
		"TRACE":                            {"TRACE /livez HTTP/1.1\r\nHost: x\r\nX-Token: " + taint + "\r\n\r\n", []int{405}},
		"a method of one's own":            {"G\x1bT /livez HTTP/1.1\r\nHost: x\r\n\r\n", []int{400}},
		"a method in small letters":        {"get /livez HTTP/1.1\r\nHost: x\r\n\r\n", []int{405}},
		"no Host":                          {"GET /livez HTTP/1.1\r\n\r\n", []int{400}},
		"two Hosts":                        {"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", []int{400}},
		"a Host that is none":              {"GET /livez HTTP/1.1\r\nHost: x\x00y\r\n\r\n", []int{400}},
		"a version of its own":             {"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n", []int{505, 400}},
		"NUL in a header":                  {header("X-A: a\x00b"), []int{400}},
		"an escape in a header":            {header("X-A: a\x1b[31m"), []int{400}},
		"a return in a header":             {header("X-A: a\rX-Injected: 1"), []int{400}},
		"a folded header":                  {header("X-A: a\r\n X-Injected: 1"), []int{200, 400}},
		"a space before the colon":         {header("X-A : a"), []int{400}},
		"a header without a name":          {header(": a"), []int{400}},
		"a header without a colon":         {header("X-A"), []int{400}},
		"a name with bytes":                {header("X-\xff: a"), []int{400}},
		"a request id with a new line":     {header("X-Request-Id: a%0d%0aSet-Cookie:b"), []int{200}},
		"high bytes in a request id":       {header("X-Request-Id: \xc2\x9b2J" + taint), []int{200}},
		"length and chunks":                {body("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n"), []int{400, 401}}, // the chunks count (RFC 9112, section 6.3)
		"two lengths":                      {body("Content-Length: 4\r\nContent-Length: 5\r\n", "a=bcd"), []int{400}},
		"a length below nothing":           {body("Content-Length: -1\r\n", ""), []int{400}},
		"a length with a sign":             {body("Content-Length: +3\r\n", "a=b"), []int{400}},
		"a length over all bounds":         {body("Content-Length: 99999999999999999999\r\n", "a=b"), []int{400}},
		"a large length":                   {body("Content-Length: 9000000000000000\r\n", "a=b"), []int{413}},
		"chunks that are none":             {body("Transfer-Encoding: xchunked\r\n", "a=b"), []int{501, 400}},
		"chunks, hidden":                   {body("Transfer-Encoding:\x0bchunked\r\n", "a=b"), []int{400, 501}},
		"chunks twice":                     {body("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), []int{400, 501}},
		"a chunk over all bounds":          {body("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\na"), []int{400}},
		"a chunk with much behind it":      {body("Transfer-Encoding: chunked\r\n", "3;"+strings.Repeat("a", 20000)+"\r\na=b\r\n0\r\n\r\n"), []int{400}},
		"a body that is compressed":        {body("Content-Encoding: gzip\r\nContent-Length: 3\r\n", "a=b"), []int{415}},
		"an upgrade":                       {header("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"), []int{200}},
		"a form with an escape of its own": {body("Content-Length: 5\r\n", "a=%zz"), []int{400}},
		"a form of semicolons":             {body("Content-Length: 7\r\n", "a=b;c=d"), []int{400}},
	} {
		t.Run(name, func(t *testing.T) {
			conn := d.connect("http/1.1")
			go io.WriteString(conn, tt.request) // it may be cut while it is sent
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
			ok := false
			for _, status := range tt.want {
				ok = ok || resp.StatusCode == status
			}
			if !ok {
				t.Errorf("status %d, want one of %v: %.200s", resp.StatusCode, tt.want, text)
			}
			if strings.Contains(string(text), taint) || strings.Contains(fmt.Sprint(resp.Header), taint) {
				t.Error("what was sent comes back")
			}
			for _, name := range []string{"X-Injected", "Set-Cookie", "Location", "Upgrade", "Access-Control-Allow-Origin"} {
				if resp.Header.Get(name) != "" {
					t.Errorf("the answer has %s", name)
				}
			}
		})
	}
	if log := d.log.text(); strings.Contains(log, taint) || strings.ContainsAny(log, "\x00\x1b\r") {
		t.Error("the log has what was sent")
	}
	d.stillServes()
}
