package demo

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Theft is what whoever copies the whole home finds in it.
type Theft struct {
	Files    int            `json:"files"`
	Bytes    int64          `json:"bytes"`
	Searched map[string]int `json:"searched"` // how many of each kind were searched for
	Found    []Finding      `json:"found"`
	// Control are plaintext things that are there, and that the same search
	// finds: it does look.
	Control []string `json:"control"`
}

// Finding is something that must not be there.
type Finding struct {
	Kind string `json:"kind"`
	File string `json:"file"`
}

// needles are what is searched for, each under what it is.
type needles struct{ kinds map[string]string }

// shortest is the least length, in bytes, of what is searched for: anything
// shorter stands in a file of ciphertext by chance.
const shortest = 8

// plainWord is a text that any program's files hold: a name of a field, a state.
var plainWord = regexp.MustCompile(`^[a-z_]+$`)

func (n *needles) add(kind, text string) {
	if len(text) < shortest || plainWord.MatchString(text) {
		return
	}
	if n.kinds == nil {
		n.kinds = map[string]string{}
	}
	n.kinds[text] = kind
}

// addJSON adds every text in a JSON value, and what its raw JSON looks like.
func (n *needles) addJSON(kind string, raw []byte) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			return
		}
		switch v := token.(type) {
		case string:
			if !isName(v) {
				n.add(kind, v)
			}
		case json.Number:
			n.add(kind, v.String())
		}
	}
}

// isName reports whether a text is one of the demo's own names, which are
// plaintext.
func isName(text string) bool { return text == shop || text == payroll }

// addText adds pieces of a text, so that a part of it is found as well.
func (n *needles) addText(kind string, text []byte) {
	const piece = 24
	for i := 0; i+piece <= len(text); i += piece {
		n.add(kind, string(text[i:i+piece]))
	}
}

// forms are the ways in which a text could stand in a file.
func forms(text string) [][]byte {
	quoted, _ := json.Marshal(text)
	all := [][]byte{
		[]byte(text), quoted[1 : len(quoted)-1], []byte(hex.EncodeToString([]byte(text))),
	}
	// Base64 looks different at each of three offsets; the first and last
	// characters depend on the neighbours and are left out.
	for offset := range 3 {
		padded := strings.Repeat("x", offset) + text
		encoded := base64.RawStdEncoding.EncodeToString([]byte(padded))
		if from, to := 4, len(encoded)-2; to-from >= shortest {
			all = append(all, []byte(encoded[from:to]))
		}
	}
	return all
}

// head is how every form of a needle begins: what the search looks up at each
// byte of a file.
type head [shortest]byte

// index holds every form of every needle by its head, so that a file is read
// once however many needles there are.
type index map[head][]form

type form struct {
	text []byte
	kind string
}

// index also counts the needles of each kind.
func (n *needles) index(count map[string]int) index {
	all := index{}
	for text, kind := range n.kinds {
		count[kind]++
		for _, f := range forms(text) {
			h := head(f[:shortest])
			all[h] = append(all[h], form{f, kind})
		}
	}
	return all
}

// search returns the kinds that stand in a text.
func (x index) search(content []byte) map[string]bool {
	found := map[string]bool{}
	for i := 0; i+shortest <= len(content); i++ {
		for _, f := range x[head(content[i:])] {
			if bytes.HasPrefix(content[i:], f.text) {
				found[f.kind] = true
			}
		}
	}
	return found
}

// steal searches every byte of the home for everything that must be sealed.
// dev.env is left out: it is how the owner's terminal connects.
func (d *demo) steal() error {
	d.begin("The disk is stolen: every byte under the home is searched")
	haystack, err := readAll(d.o.Home)
	if err != nil {
		return err
	}
	t := &d.report.Theft
	t.Searched = map[string]int{}
	index := d.needles.index(t.Searched)
	for _, file := range haystack {
		t.Files++
		t.Bytes += int64(len(file.content))
		for kind := range index.search(file.content) {
			t.Found = append(t.Found, Finding{kind, file.name})
		}
	}
	d.control(haystack)
	for _, kind := range []string{"a field value", "a payload", "a credential", "a client secret", "an access token", "a role"} {
		d.saw(Attacker, "%d searched for: %s", t.Searched[kind], strings.TrimPrefix(strings.TrimPrefix(kind, "a "), "an "))
	}
	d.saw(Attacker, "%d of them found in %d files, %d bytes", len(t.Found), t.Files, t.Bytes)
	d.finish()
	return d.verdict()
}

func (d *demo) verdict() error {
	t := d.report.Theft
	if len(t.Found) > 0 {
		return leak("%s in %s, and %d more", t.Found[0].Kind, t.Found[0].File, len(t.Found)-1)
	}
	if len(t.Control) == 0 {
		return fmt.Errorf("the search found not even the plaintext that is there: it proves nothing")
	}
	return nil
}

// control searches for what is plaintext, and shows what sealed bytes look like.
func (d *demo) control(haystack []file) {
	for _, name := range []string{"shop-endpoint", shop, "demo-intake-role"} {
		for _, f := range haystack {
			if bytes.Contains(f.content, []byte(name)) {
				d.report.Theft.Control = append(d.report.Theft.Control, name+" in "+f.name)
				break
			}
		}
	}
	d.saw(Attacker, "in plaintext, as names and ids are: %s", strings.Join(d.report.Theft.Control, "; "))
	for _, f := range haystack {
		if strings.HasSuffix(f.name, ".db") {
			d.saw(Attacker, "of the credential, in %s: %s", f.name, dump(darkest(f.content, "shop-endpoint")))
		}
	}
}

// darkest returns 72 bytes behind the occurrence of a name that is followed by
// the fewest bytes that can be read.
func darkest(content []byte, name string) []byte {
	var best []byte
	most := -1
	for i := 0; ; {
		at := bytes.Index(content[i:], []byte(name))
		if at < 0 {
			return best
		}
		i += at + len(name)
		piece := content[i:min(i+72, len(content))]
		if dark := strings.Count(dump(piece), ".") - 2*bytes.Count(piece, []byte{0}); dark > most {
			best, most = piece, dark
		}
	}
}

// dump writes bytes with dots for what can't be printed.
func dump(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, string(b))
}

type file struct {
	name    string
	content []byte
}

func readAll(home string) (all []file, err error) {
	err = filepath.WalkDir(home, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || entry.Name() == "dev.env" {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(home, path)
		all = append(all, file{name, content})
		return err
	})
	return all, err
}
