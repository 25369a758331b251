package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"strongroom/store"
)

func TestImport(t *testing.T) {
	f := newScripted(t)
	a := f.me().do("POST", someRecords+":import?on_error=continue", "{\"fields\":{\"a\":1}}\r\n\n  \n{\"fields\":{\"a\":\""+marker+"\",\"a\":2}}\n{\"id\":\"x\",\"fields\":{}}",
		"Content-Type", mediaNDJSON).want(200).header("Content-Type", mediaNDJSON)
	lines := strings.Split(strings.TrimSpace(a.body), "\n")
	if len(lines) != 4 || lines[0] != `{"line":1,"status":201,"id":"rec-1"}` || lines[3] != `{"end":true,"count":2,"failed":1}` {
		t.Fatalf("got %s", a.body)
	}
	if !strings.Contains(lines[1], `"line":4`) || !strings.Contains(lines[1], `"pointer":"/fields/a"`) || strings.Contains(a.body, marker) {
		t.Errorf("the refused line: %s", lines[1])
	}
	if f.script.lines[0].Fields == nil || f.script.lines[2].ID != "x" {
		t.Errorf("the store got %+v", f.script.lines)
	}
}

func TestImportStops(t *testing.T) {
	f := newScripted(t)
	a := f.me().do("POST", someRecords+":import", "{\"fields\":{}}\n{}\n{\"fields\":{}}", "Content-Type", mediaNDJSON).want(200)
	if !strings.HasSuffix(a.body, `{"end":true,"count":1,"failed":1}`+"\n") || strings.Contains(a.body, `"line":3`) {
		t.Errorf("got %s", a.body)
	}
}

func TestImportFailsMidway(t *testing.T) {
	f := newScripted(t)
	f.script.midway = store.ErrKeyServiceUnavailable
	a := f.me().do("POST", someRecords+":import", "{\"fields\":{}}\n{\"fields\":{}}", "Content-Type", mediaNDJSON).want(200)
	a.has(`"end":false,"count":1`).has(`"code":"key_service_unavailable"`)
}

func TestImportBoundsALine(t *testing.T) {
	f := newScripted(t)
	long := `{"fields":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`
	a := f.me().do("POST", someRecords+":import", "{\"fields\":{}}\n"+long, "Content-Type", mediaNDJSON).want(200)
	a.has(`"end":false,"count":1`).has(`"code":"too_large"`)
	many := strings.Repeat("{\"fields\":{\"a\":\""+strings.Repeat("x", 1000)+"\"}}\n", 3000)
	f.me().do("POST", someRecords+":import", many, "Content-Type", mediaNDJSON).want(200).has(`{"end":true,"count":3000,"failed":0}`)
}

// TestImportIsFullDuplex sends a line, reads its result, and only then sends
// the next one.
func TestImportIsFullDuplex(t *testing.T) {
	f := newScripted(t)
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", http2), func(t *testing.T) {
			f.t = t
			web := f.listen(f.server.Handler(), http2)
			in, out := io.Pipe()
			r, _ := http.NewRequestWithContext(t.Context(), "POST", web.URL+someRecords+":import", in)
			r.Header = http.Header{"Content-Type": {mediaNDJSON}, "Authorization": {"Bearer " + f.token}}
			go fmt.Fprintln(out, `{"fields":{}}`)
			resp, err := web.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			results := bufio.NewScanner(resp.Body)
			for n := 1; n <= 5; n++ {
				if !results.Scan() || !strings.Contains(results.Text(), fmt.Sprintf(`"line":%d`, n)) {
					t.Fatalf("result %d: %s %v", n, results.Text(), results.Err())
				}
				fmt.Fprintln(out, `{"fields":{}}`)
			}
			out.Close()
			last := ""
			for results.Scan() {
				last = results.Text()
			}
			if last != `{"end":true,"count":6,"failed":0}` || results.Err() != nil {
				t.Errorf("it ended in %s (%v)", last, results.Err())
			}
		})
	}
}

func TestImportOfAClientThatStandsStill(t *testing.T) {
	f := newScripted(t)
	f.server.StreamStall = 50 * time.Millisecond
	in, out := io.Pipe()
	defer out.Close()
	r, _ := http.NewRequestWithContext(t.Context(), "POST", f.web.URL+someRecords+":import", in)
	r.Header = http.Header{"Content-Type": {mediaNDJSON}, "Authorization": {"Bearer " + f.token}}
	go fmt.Fprintln(out, `{"fields":{}}`)
	began := time.Now()
	resp, err := f.client.Transport.(*recorder).next.RoundTrip(r)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it was cut after %v (%v)", took, err)
	}
}

func TestExport(t *testing.T) {
	f := newScripted(t)
	a := f.me().do("GET", someRecords+":export?label.a=b", "").want(200)
	if lines := strings.Split(strings.TrimSpace(a.body), "\n"); len(lines) != 4 || lines[3] != `{"end":true,"count":3}` {
		t.Errorf("got %s", a.body)
	}
	o := f.script.options.(store.ListOptions)
	if !o.AllFields || o.Labels["a"] != "b" {
		t.Errorf("options %+v", o)
	}
	f.script.midway = store.ErrIntegrity
	if a := f.me().do("GET", someRecords+":export", "").want(200).has(`"code":"integrity"`); a.err == nil {
		t.Error("an export that failed ends like a whole one")
	}
}

// slowStreams is a store whose streams take longer than any time-out.
type slowStreams struct{ *scripted }

const slowness = 600 * time.Millisecond

func (s *slowStreams) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(slowness):
		return nil
	}
}

func (s *slowStreams) ExportRecords(ctx context.Context, c store.Caller, ref store.CollectionRef, o store.ListOptions, emit func(*store.Record) error) (uint64, error) {
	if err := s.wait(ctx); err != nil {
		return 0, err
	}
	return s.scripted.ExportRecords(ctx, c, ref, o, emit)
}

func (s *slowStreams) ImportRecords(ctx context.Context, c store.Caller, ref store.CollectionRef, o store.ImportOptions, next func() (store.ImportLine, bool), emit func(store.ImportResult) error) error {
	err := s.scripted.ImportRecords(ctx, c, ref, o, next, emit)
	return errors.Join(err, s.wait(ctx))
}

func (s *slowStreams) Backup(ctx context.Context, c store.Caller, w io.Writer, o store.BackupOptions) (store.BackupInfo, error) {
	if err := s.wait(ctx); err != nil {
		return store.BackupInfo{}, err
	}
	return s.scripted.Backup(ctx, c, w, o)
}

// TestStreamsOutlastTheTimeouts runs streams that last longer than a request
// may: only standing still ends one.
func TestStreamsOutlastTheTimeouts(t *testing.T) {
	f := newScripted(t)
	config := f.server.Config
	config.Store = &slowStreams{f.script}
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, http2 := range []bool{false, true} {
		web := httptest.NewUnstartedServer(s.Handler())
		web.Config.ReadTimeout, web.Config.WriteTimeout, web.EnableHTTP2 = slowness/3, slowness/3, http2
		web.StartTLS()
		t.Cleanup(web.Close)
		f.web, f.client = web, web.Client()
		f.client.Transport = &recorder{t, f.client.Transport}
		f.me().do("GET", someRecords+":export", "").want(200).has(`"end":true`)
		f.me().do("POST", someRecords+":import", "{\"fields\":{}}", "Content-Type", mediaNDJSON).want(200).has(`"end":true`)
		f.me().do("POST", "/v1/backups", "").want(200).has("backup")
	}
}

func TestBackup(t *testing.T) {
	f := newScripted(t)
	a := f.me().do("POST", "/v1/backups", `{"recipient":"age1x"}`).want(200)
	if a.body != "backup" || a.Trailer.Get("Strongroom-Backup-Sha256") != "ab12" || a.Trailer.Get("Strongroom-Backup-Entries") != "9" || a.Trailer.Get("Strongroom-Backup-Sequence") != "7" {
		t.Errorf("got %q, trailers %v", a.body, a.Trailer)
	}
	if f.script.options.(store.BackupOptions).Recipient != "age1x" {
		t.Error("the recipient is lost")
	}
	f.script.midway = store.ErrIntegrity
	r, _ := http.NewRequest("POST", f.web.URL+"/v1/backups", nil)
	r.Header.Set("Authorization", "Bearer "+f.token)
	resp, err := f.client.Do(r) // the answer may be cut before its first byte
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("a backup that failed ends like a whole one")
	}
}

// TestLinesAreCutRight reads random texts in random pieces and compares with
// the plain way.
func TestLinesAreCutRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([a-z {}]{0,40}\r?\n){0,20}[a-z]{0,10}`).Draw(t, "text")
		size := rapid.IntRange(1, 30).Draw(t, "size")
		var body io.Reader = &pieces{strings.NewReader(text), size}
		if rapid.Bool().Draw(t, "early") {
			body = iotest.DataErrReader(body)
		}
		lines := &lineReader{body: body, longest: 64, chunk: make([]byte, 0, 8)}
		var held []store.ImportLine
		for line, more := lines.next(); more; line, more = lines.next() {
			held = append(held, line)
		}
		var want []string
		for n, line := range strings.Split(text, "\n") {
			if line = strings.Trim(line, " \r\t"); line != "" {
				want = append(want, fmt.Sprint(n+1, line))
			}
		}
		if len(held) != len(want) || lines.err != nil {
			t.Fatalf("%d lines, want %d (%v)", len(held), len(want), lines.err)
		}
		for i, line := range held { // after all were read: none was overwritten
			if got := fmt.Sprint(line.Number, string(line.Raw)); got != want[i] {
				t.Errorf("line %q, want %q", got, want[i])
			}
		}
	})
}

type pieces struct {
	from io.Reader
	size int
}

func (p *pieces) Read(b []byte) (int, error) { return p.from.Read(b[:min(len(b), p.size)]) }

func TestLinesThatDoNotArrive(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("{}\n{"), iotest.ErrReader(errors.New(marker)))
	lines := &lineReader{body: broken, longest: 64}
	if line, more := lines.next(); !more || !bytes.Equal(line.Raw, []byte("{}")) {
		t.Error("the line that arrived is lost")
	}
	if _, more := lines.next(); more || !errors.Is(lines.err, errBody) {
		t.Errorf("half a line was handed out, or without an error: %v", lines.err)
	}
}
