package demo

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A search that can't find proves nothing: whatever is hidden, in whichever of
// the ways that a leak would write it, is found.
func TestSearchFindsWhatIsHidden(t *testing.T) {
	ways := map[string]func(string) string{
		"as it is": func(s string) string { return s },
		"JSON":     func(s string) string { q, _ := json.Marshal(s); return string(q) },
		"hex":      func(s string) string { return hex.EncodeToString([]byte(s)) },
		"base64":   func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				secret := rapid.StringMatching(`[A-Z][a-z"é@.\\ ]{11,40}`).Draw(t, "secret")
				before := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "before")
				after := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "after")
				var n needles
				n.add("a field value", secret)
				content := string(before) + way(secret) + string(after)
				if name == "base64" { // a piece of a longer text, at any offset
					content = way(string(before) + secret + string(after))
				}
				if found := n.index(map[string]int{}).search([]byte(content)); !found["a field value"] {
					t.Fatalf("%q is not found in %q", secret, content)
				}
			})
		})
	}
}

func TestSearchFindsNothingInNoise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var n needles
		n.add("a field value", "Odalys Quintanar Berrueco")
		noise := rapid.SliceOfN(rapid.Byte(), 0, 4096).Draw(t, "noise")
		if found := n.index(map[string]int{}).search(noise); len(found) > 0 {
			t.Fatalf("found %v", found)
		}
	})
}

func TestNeedlesOfAPayload(t *testing.T) {
	var n needles
	n.addJSON("a field value", []byte(`{"a": [{"name": "Mirembe Nakalanzi"}, 5820982157411], "state": "succeeded", "x": "short"}`))
	for _, want := range []string{"Mirembe Nakalanzi", "5820982157411"} {
		if n.kinds[want] == "" {
			t.Errorf("%q is not searched for", want)
		}
	}
	if len(n.kinds) != 2 {
		t.Errorf("searched for: %v", n.kinds)
	}
}

func TestDeliveriesAreUnderstood(t *testing.T) {
	all, err := deliveries()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, d := range all {
		if d.id == "" || d.kind == "" || d.source == "" || seen[d.id] {
			t.Errorf("%s %s has the id %q", d.source, d.kind, d.id)
		}
		seen[d.id] = true
		if strings.Contains(d.kind, "payment") && d.email == "" {
			t.Errorf("%s has no address", d.kind)
		}
	}
	if len(all) < 7 {
		t.Errorf("%d events", len(all))
	}
}
