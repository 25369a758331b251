package limits

import "maps"

// The limits that hold when no definition of the same name was written. None of
// them bounds how often an authenticated client asks, since any such figure
// would be wrong for somebody: overload is the shedder's matter.
var defaults = map[string]*Definition{
	"default-connections": {
		Description: "How many connections one address may have open, and open anew. Handshakes cost the server most.",
		Per:         PerAddress, Routes: []string{"connection"},
		Requests: []Window{{200, Span(1e9)}, {3000, Span(60e9)}}, Concurrency: 512,
	},
	"default-connections-total": {
		Description: "How many connections may be open in all.",
		Per:         InTotal, Routes: []string{"connection"}, Concurrency: 8192,
	},
	"default-token": {
		Description: "How often one address may ask for tokens. A client needs one in 15 minutes.",
		Per:         PerAddress, Routes: []string{"token"},
		Requests: []Window{{50, Span(1e9)}, {1000, Span(60e9)}},
	},
	"default-concurrency": {
		Description: "How many requests one client may have under way.",
		Per:         PerClient, Concurrency: 1024,
	},
	"default-bulk": {
		Description: "How many imports, exports and backups one client may have under way.",
		Per:         PerClient, Routes: []string{"bulk"}, Concurrency: 128,
	},
}

// Default returns the built-in definition of a name, nil when there is none.
func Default(name string) *Definition { return defaults[name] }

// DefaultNames returns the names of the built-in definitions.
func DefaultNames() (names []string) {
	for name := range defaults {
		names = append(names, name)
	}
	return names
}

func withDefaults(defs map[string]*Definition) map[string]*Definition {
	all := maps.Clone(defaults)
	maps.Copy(all, defs)
	return all
}
