package schema

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Join puts fields back together into the object that Split took apart:
// equivalent, the members in the order of values, a nested field at the end
// of its parent. A nested field whose parent is missing, or is not an object
// (a mask may have replaced it), gets a parent of its own, so that whoever
// may see the field does see it.
func Join(values []Value) []byte {
	size := 2
	for _, v := range values {
		if strings.ContainsAny(v.Path, "/~") {
			return joinNested(values)
		}
		size += len(v.Path) + len(v.JSON) + 4
	}
	b := append(make([]byte, 0, size), '{')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, v.Path) // fails on invalid UTF-8 alone, which no path is
		b = append(b, ':')
		b = append(b, v.JSON...)
	}
	return append(b, '}')
}

func joinNested(values []Value) []byte {
	var roots []*piece
	byName := map[string]*piece{}
	for _, v := range values {
		names := pathNames(v.Path)
		top := byName[names[0]]
		if top == nil {
			top = &piece{name: names[0]}
			byName[names[0]] = top
			roots = append(roots, top)
		}
		top.place(names[1:], v.JSON)
	}
	list := make([]member, len(roots))
	for i, top := range roots {
		list[i] = member{top.name, quote(top.name), top.render()}
	}
	return writeObject(list)
}

// piece is a member that is being put together: a value of its own, fields
// to be put into it, or both.
type piece struct {
	name     string
	value    []byte
	children []*piece
}

func (p *piece) place(names []string, value []byte) {
	if len(names) == 0 {
		p.value = value
		return
	}
	for _, child := range p.children {
		if child.name == names[0] {
			child.place(names[1:], value)
			return
		}
	}
	child := &piece{name: names[0]}
	p.children = append(p.children, child)
	child.place(names[1:], value)
}

// render writes the piece, merging the children into its value. A child
// without a value of its own goes into the member that is already there.
func (p *piece) render() []byte {
	if len(p.children) == 0 {
		return p.value
	}
	list, _ := members(p.value)
	for _, child := range p.children {
		at := -1
		for i, m := range list {
			if m.name == child.name {
				at = i
			}
		}
		if at < 0 {
			list = append(list, member{name: child.name, quoted: quote(child.name)})
			at = len(list) - 1
		}
		if child.value == nil {
			child.value = list[at].value
		}
		list[at].value = child.render()
	}
	return writeObject(list)
}

// Resplit takes the fields that were written under an older schema and
// returns the fields of the current one, equal in what they hold. It wants
// all fields that share a top-level name to be there, or none of them. What
// is no field of a strict document is returned as it is.
func (s *Schema) Resplit(values []Value) []Value {
	same := s.Flat()
	for _, v := range values {
		for i := range len(v.Path) {
			same = same && v.Path[i] != '/'
		}
	}
	if same {
		return values
	}
	current, err := s.divide(Join(values))
	if err != nil {
		return values
	}
	return current
}
