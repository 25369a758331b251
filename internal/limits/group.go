package limits

// Group is what kind of route a request is for. A route is in one group.
type Group uint8

// The groups.
const (
	GroupRead       Group = 1 << iota // of one record, its fields and revisions, and lists
	GroupWrite                        // of one record
	GroupSearch                       // search and lookup
	GroupBulk                         // export and import
	GroupAdmin                        // the control plane
	GroupToken                        // the token endpoint
	GroupOther                        // what is public and cheap
	GroupConnection                   // not a request: a connection that is opened
)

var groups = []struct {
	name  string
	group Group
}{
	{"read", GroupRead}, {"write", GroupWrite}, {"search", GroupSearch}, {"bulk", GroupBulk},
	{"admin", GroupAdmin}, {"token", GroupToken}, {"other", GroupOther}, {"connection", GroupConnection},
}

// GroupNames returns the names of the groups.
func GroupNames() (names []string) {
	for _, g := range groups {
		names = append(names, g.name)
	}
	return names
}

func groupOf(name string) Group {
	for _, g := range groups {
		if g.name == name {
			return g.group
		}
	}
	return 0
}
