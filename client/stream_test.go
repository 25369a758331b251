package client

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func drain(results func(func(ImportResult, error) bool)) (last error) {
	for _, err := range results {
		last = err
	}
	return last
}

func TestExportIsWholeOrAnError(t *testing.T) {
	two := "{\"id\":\"a\",\"revision\":1,\"fields\":{}}\n{\"id\":\"b\",\"revision\":1,\"fields\":{}}\n"
	for name, tt := range map[string]struct {
		stream string
		whole  bool
	}{
		"whole":          {two + `{"end":true,"count":2}` + "\n", true},
		"empty":          {`{"end":true,"count":0}` + "\n", true},
		"no end":         {two, false},
		"wrong count":    {two + `{"end":true,"count":3}` + "\n", false},
		"broken off":     {two + `{"end":false,"count":2,"problem":{"code":"integrity","status":500,"title":"x"}}` + "\n", false},
		"nothing at all": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, tt.stream) })
			var last error
			n := 0
			for r, err := range c.Export(t.Context(), CollectionRef{"shop", "events"}, ListOptions{}) {
				if last = err; err == nil && r.ID != "" {
					n++
				}
			}
			if (last == nil) != tt.whole || (last != nil && !errors.Is(last, ErrTruncated)) {
				t.Errorf("got %v after %d records", last, n)
			}
			if name == "broken off" && !errors.Is(last, ErrIntegrity) {
				t.Errorf("the cause was lost: %v", last)
			}
		})
	}
}

func TestImportStreamsBothWays(t *testing.T) {
	_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		lines := json.NewDecoder(r.Body)
		n, failed := 0, 0
		for {
			var line struct{ Fields map[string]int }
			if lines.Decode(&line) != nil {
				break
			}
			if n++; line.Fields["n"] == 2 {
				failed++
				fmt.Fprintf(w, `{"line":%d,"type":"x","status":422,"code":"invalid","title":"bad","errors":[{"pointer":"/fields/n","detail":"no"}]}`+"\n", n)
			} else {
				fmt.Fprintf(w, `{"line":%d,"status":201,"id":"r%d"}`+"\n", n, n)
			}
			w.(http.Flusher).Flush()
		}
		fmt.Fprintf(w, `{"end":true,"count":%d,"failed":%d}`+"\n", n-failed, failed)
	})
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	records := func(yield func(RecordInput) bool) {
		for i := range 5 {
			<-turn // each record waits for the answer to the one before
			if !yield(RecordInput{Fields: map[string]int{"n": i}}) {
				return
			}
		}
	}
	var ids []string
	for r, err := range c.ImportRecords(t.Context(), CollectionRef{"shop", "events"}, ImportOptions{Continue: true}, records) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Err != nil && !errors.Is(r.Err, ErrInvalid) {
			t.Errorf("line %d: %v", r.Line, r.Err)
		}
		ids = append(ids, r.ID)
		turn <- struct{}{}
	}
	if diff := cmp.Diff([]string{"r1", "r2", "", "r4", "r5"}, ids); diff != "" {
		t.Error(diff)
	}
}

func TestBackupIsCheckedAgainstItsSum(t *testing.T) {
	content := bytes.Repeat([]byte("sealed "), 9999)
	sum := sha256.Sum256(content)
	for name, tt := range map[string]struct {
		sum  string
		want error
	}{"whole": {hex.EncodeToString(sum[:]), nil}, "other": {strings.Repeat("0", 64), ErrTruncated}, "none": {"", ErrTruncated}} {
		t.Run(name, func(t *testing.T) {
			_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Trailer", trailerSHA256+", "+trailerEntries+", "+trailerSequence)
				w.Write(content)
				if tt.sum != "" {
					w.Header().Set(trailerSHA256, tt.sum)
					w.Header().Set(trailerEntries, "3")
					w.Header().Set(trailerSequence, "9")
				}
			})
			var got bytes.Buffer
			info, err := c.Backup(t.Context(), "", &got)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil && (info.Entries != 3 || !bytes.Equal(got.Bytes(), content)) {
				t.Errorf("got %+v", info)
			}
		})
	}
}
