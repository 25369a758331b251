package uid

import (
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"
)

func draw(t *rapid.T) UID {
	return UID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uid"))
}

func TestTextAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := draw(t)
		if got := u.String(); got != hex.EncodeToString(u[:]) {
			t.Fatalf("String is %s", got)
		}
		back, err := Parse(u.String())
		if err != nil || back != u {
			t.Fatalf("Parse gives %v, %v", back, err)
		}
		text, err := json.Marshal(map[string]UID{"u": u})
		if err != nil || string(text) != `{"u":"`+u.String()+`"}` {
			t.Fatalf("JSON is %s, %v", text, err)
		}
		var m map[string]UID
		if err := json.Unmarshal(text, &m); err != nil || m["u"] != u {
			t.Fatalf("back from JSON: %v, %v", m, err)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	good := New().String()
	for _, c := range []struct{ name, text string }{
		{"nothing", ""},
		{"too short", good[:31]},
		{"too long", good + "0"},
		{"upper case", strings.Repeat("A", 32)},
		{"no digit", "g" + good[1:]},
		{"a UUID's hyphens", canonical(New())},
		{"spaces", " " + good[2:] + " "},
	} {
		t.Run(c.name, func(t *testing.T) {
			if u, err := Parse(c.text); !errors.Is(err, ErrMalformed) || u != Zero {
				t.Errorf("got %v, %v", u, err)
			}
			kept := New()
			u := kept
			if err := u.UnmarshalText([]byte(c.text)); !errors.Is(err, ErrMalformed) || u != kept {
				t.Errorf("UnmarshalText left %v, %v", u, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(New().String())
	f.Add("")
	f.Add(strings.Repeat("A", 32))
	f.Fuzz(func(t *testing.T, text string) {
		if u, err := Parse(text); err == nil && u.String() != text || err != nil && u != Zero {
			t.Fatalf("Parse(%q) is %v, %v", text, u, err)
		}
	})
}

func TestNewIsNeverTheSame(t *testing.T) {
	seen := make(map[UID]bool)
	for range 10_000 {
		u := New()
		if u.IsZero() || seen[u] {
			t.Fatalf("%v came twice, or is zero", u)
		}
		seen[u] = true
	}
	if !Zero.IsZero() {
		t.Error("Zero is not zero")
	}
}

var v7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestNewV7(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// 48 bits of milliseconds last until the year 10889.
		ms := rapid.Int64Range(0, 1<<48-2).Draw(t, "ms")
		id, later := NewV7(time.UnixMilli(ms)), NewV7(time.UnixMilli(ms+1))
		if !v7.MatchString(id) {
			t.Fatalf("%s is no UUIDv7", id)
		}
		if id >= later {
			t.Fatalf("%s sorts behind %s of a later millisecond", id, later)
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(id, "-", "")[:12])
		if err != nil {
			t.Fatal(err)
		}
		var got int64
		for _, b := range raw {
			got = got<<8 | int64(b)
		}
		if got != ms {
			t.Fatalf("%s holds %d, want %d", id, got, ms)
		}
	})
	now := time.Now()
	if a, b := NewV7(now), NewV7(now); a == b {
		t.Error("two ids of one moment are the same")
	}
}

// The example of RFC 9562, appendix A.6, fixes where version, variant and time
// stand.
func TestV7LayoutOfTheRFC(t *testing.T) {
	const example = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
	if !v7.MatchString(example) {
		t.Fatal("the pattern of these tests is wrong")
	}
	if got := NewV7(time.UnixMilli(1645557742000)); got[:13] != example[:13] {
		t.Errorf("got %s, want the time of %s", got, example)
	}
}
