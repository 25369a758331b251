package schema

// maxCost bounds how often the subschemas of a schema may look at one and
// the same member of a document. Schemas written by hand stay below 100; one
// that doubles itself by references would otherwise take minutes on a small
// document.
const maxCost = 2000

// patternCost is what an instruction of a pattern weighs. A pattern takes time
// in proportion to the text and to its own size; at the largest size that this
// lets through, a text of 1 MiB takes some seconds at worst.
const patternCost = 3

// costs weighs a schema. A subschema's cost at a depth is the most that its
// own and all nested subschemas can spend along one path into a document
// that is that deep.
type costs struct {
	known map[costKey]int
	open  map[costKey]bool
	cycle *node // a subschema that applies itself to the same value
}

type costKey struct {
	node  *node
	depth int
}

// tooCostly reports a schema that refers to itself without going deeper into
// the document, or that costs more than maxCost.
func tooCostly(root *node) []Issue {
	c := costs{known: map[costKey]int{}, open: map[costKey]bool{}}
	cost := c.of(root, MaxDepth)
	if c.cycle != nil {
		return []Issue{{c.cycle.pointer, "refers to itself for the same value, which never ends"}}
	}
	if cost > maxCost {
		return []Issue{{"", "checks the same members over and over: simplify its references, conditions and patterns"}}
	}
	return nil
}

func (c *costs) of(n *node, depth int) int {
	key := costKey{n, depth}
	if c.open[key] {
		c.cycle = n
		return 0
	}
	if cost, ok := c.known[key]; ok {
		return cost
	}
	c.open[key] = true
	cost := 1 + patternCost*n.program
	for _, s := range n.same() {
		cost += c.of(s, depth)
	}
	if depth > 0 {
		cost += c.below(n, depth-1)
	}
	delete(c.open, key)
	cost = min(cost, maxCost+1)
	c.known[key] = cost
	return cost
}

// below weighs the subschemas that apply to members, items and names. A
// member has one name, so of those under `properties` the dearest counts.
func (c *costs) below(n *node, depth int) int {
	sum, dearest := 0, 0
	for _, e := range n.edges {
		switch keywords[e.keyword].applies {
		case toMember:
			dearest = max(dearest, c.of(e.to, depth))
		case toChildren, toNames:
			sum += c.of(e.to, depth)
		}
	}
	return min(sum+dearest, maxCost+1)
}
