package envelope

import "strongroom/internal/uid"

// Identity says which revision of which record a value belongs to. Uids, not
// names: what was sealed under a name that was given again opens nothing.
type Identity struct {
	Store, Integration, Collection uid.UID
	Record                         string
	Revision                       uint64
}

// Field is a value to seal. Value is the field's JSON text.
//
// When Carried is set the field is carried over from another revision, sealed
// as it is there, and From is the Opener of that revision: Seal then opens and
// reseals it without its caller seeing the value, and Value must be nil.
type Field struct {
	Path    string
	Value   []byte
	Carried []byte
	From    Opener
}

// Sealed is a sealed revision: its DEK, wrapped, and its fields in the order
// in which they were given.
type Sealed struct {
	DEK    []byte
	Fields [][]byte
}
