package access

// Action is something that a rule lets a client do with the records of a
// collection, in the text that roles use.
type Action string

// The actions.
const (
	ActionRead     Action = "read"     // get one record or one field
	ActionList     Action = "list"     // list records, with fields when asked
	ActionSearch   Action = "search"   // search and lookup by an indexed field
	ActionCreate   Action = "create"   // make a record
	ActionUpdate   Action = "update"   // replace or patch a record
	ActionDelete   Action = "delete"   // hide a record, and undelete it
	ActionErase    Action = "erase"    // expunge a record
	ActionHistory  Action = "history"  // revisions of a record, and their fields
	ActionRollback Action = "rollback" // make an old revision the current one
	ActionImport   Action = "import"   // create or upsert many records
	ActionExport   Action = "export"   // stream all records
)

// actions fixes the bit of each action: the first readKinds of them are the
// ones that hand out field values.
var actions = [...]Action{
	ActionRead, ActionList, ActionSearch, ActionHistory, ActionExport,
	ActionCreate, ActionUpdate, ActionRollback, ActionImport,
	ActionDelete, ActionErase,
}

const (
	readKinds  = 5
	writeKinds = 4
)

// Actions returns every action.
func Actions() []Action { return append([]Action(nil), actions[:]...) }

// Known reports whether there is such an action.
func (a Action) Known() bool { return a.index() >= 0 }

// HandsOut reports whether the action can answer with field values.
func (a Action) HandsOut() bool { return readActions.has(a) }

// Writes reports whether the action stores field values.
func (a Action) Writes() bool { return writeActions.has(a) }

// index returns the action's place in actions, -1 for an unknown one. A switch
// is used because it is several times faster than a map of strings.
func (a Action) index() int {
	switch a {
	case ActionRead:
		return 0
	case ActionList:
		return 1
	case ActionSearch:
		return 2
	case ActionHistory:
		return 3
	case ActionExport:
		return 4
	case ActionCreate:
		return 5
	case ActionUpdate:
		return 6
	case ActionRollback:
		return 7
	case ActionImport:
		return 8
	case ActionDelete:
		return 9
	case ActionErase:
		return 10
	}
	return -1
}

// actionSet has bit i set for actions[i].
type actionSet uint16

const (
	allActions   actionSet = 1<<len(actions) - 1
	readActions  actionSet = 1<<readKinds - 1
	writeActions actionSet = (1<<writeKinds - 1) << readKinds
)

func (s actionSet) has(a Action) bool {
	i := a.index()
	return i >= 0 && s&(1<<i) != 0
}

func setOf(list []Action) actionSet {
	var s actionSet
	for _, a := range list {
		if i := a.index(); i >= 0 {
			s |= 1 << i
		}
	}
	return s
}
