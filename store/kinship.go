package store

import (
	"slices"

	"strongroom/internal/uid"
)

// Two persons are two clients of which neither can have acted as the other. A
// client can act as one that it made, as one whose secret or keys it has set (it
// has seen them), and as one that an issuer vouches for by its word. Who that was is kept with the client and with each of
// its secrets, as a whole line of descent, so that deleting somebody in the
// middle of the line does not cut it. What the machine's owner made (init,
// break-glass) descends from nobody.

// lineage finds lines among the clients that there are: by uid, those who can
// act as a client.
type lineage map[uid.UID][]uid.UID

func (c *catalog) lineage() lineage {
	all := make(lineage, len(c.clients))
	for _, cl := range c.clients {
		all[cl.doc.UID] = cl.makers()
	}
	for _, i := range c.issuers {
		for _, named := range i.doc.Clients {
			all[named] = append(all[named], i.doc.Makers...)
		}
	}
	return all
}

// line returns a client and everybody that can have acted as it, as far as the
// store knows.
func (all lineage) line(of uid.UID) map[uid.UID]bool {
	seen := map[uid.UID]bool{}
	for todo := []uid.UID{of}; len(todo) > 0; todo = todo[1:] {
		u := todo[0]
		if u.IsZero() || seen[u] {
			continue
		}
		seen[u] = true
		todo = append(todo, all[u]...)
	}
	return seen
}

// makers returns who made a client or has seen a secret of it that still is.
func (cl *client) makers() (list []uid.UID) {
	list = append(list, cl.doc.Makers...)
	for _, sec := range cl.secrets {
		list = append(list, sec.doc.Makers...)
	}
	return list
}

// makersBy returns what is kept with something that this client makes: itself
// and its own line, sorted. The machine's owner has none.
func (c *catalog) makersBy(maker uid.UID) []uid.UID {
	line := c.lineage().line(maker)
	list := make([]uid.UID, 0, len(line))
	for u := range line {
		list = append(list, u)
	}
	slices.SortFunc(list, compareUIDs)
	return list
}

// kin reports whether one of two clients can have acted as the other or, with
// strict, whether one person can have acted as both.
func (c *catalog) kin(a, b uid.UID, strict bool) bool {
	all := c.lineage()
	lineA, lineB := all.line(a), all.line(b)
	return a == b || lineA[b] || lineB[a] || strict && meet(lineA, lineB)
}

// meet reports whether somebody is in both lines.
func meet(a, b map[uid.UID]bool) bool {
	for u := range a {
		if b[u] {
			return true
		}
	}
	return false
}

// makersOf returns who can act as a client that is being saved: who could, and
// the caller when it makes the client or sets how it authenticates.
func (c *catalog) makersOf(old, next *client, by Caller) []uid.UID {
	if old == nil {
		return c.makersBy(by.ClientUID)
	}
	if by.ClientUID == old.doc.UID || sameHands(&old.doc, &next.doc) {
		return old.doc.Makers
	}
	return union(c.makersBy(by.ClientUID), old.doc.Makers)
}

func union(a, b []uid.UID) []uid.UID {
	all := slices.Concat(a, b)
	slices.SortFunc(all, compareUIDs)
	return slices.Compact(all)
}

func compareUIDs(a, b uid.UID) int { return slices.Compare(a[:], b[:]) }
