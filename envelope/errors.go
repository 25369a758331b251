package envelope

import "errors"

var (
	// ErrIntegrity comes when a stored value is not what was sealed for its
	// place: it was changed, moved, cut or put together from others. Every
	// *IntegrityError is one. Trying again does not help.
	ErrIntegrity = errors.New("a stored value fails its integrity check")
	// ErrUnknownKey comes when a value names a key id that the opened keysets
	// do not have. It is an ErrIntegrity as well, so look for it first: the
	// keysets may have changed since they were opened, and Domains.Refresh
	// followed by one more try decides.
	ErrUnknownKey = errors.New("the key id is not in the keyset")
	// ErrKeyDisabled comes when a value is sealed under a key that the keyset
	// has, but disabled. It says nothing about the value itself.
	ErrKeyDisabled = errors.New("the key is disabled")
	// ErrForeign comes when an identity names another store or integration
	// than the domain's: a mistake of the caller.
	ErrForeign = errors.New("the identity belongs to another domain")
	// ErrClosed comes from Domains that were closed.
	ErrClosed = errors.New("the key domains are closed")
)

// Damage says what is wrong with a stored value, as far as that can be told.
type Damage string

// The kinds of damage.
const (
	// DamageFormat: the value does not begin with a known format byte, or is
	// too short for its layout.
	DamageFormat Damage = "format"
	// DamageKeyID: the value names a key that does not exist.
	DamageKeyID Damage = "key id"
	// DamageWrappedKey: the wrapped DEK does not authenticate. It was changed
	// or belongs elsewhere, or the header of its revision was changed: the two
	// are authenticated together and cannot be told apart.
	DamageWrappedKey Damage = "wrapped key or header"
	// DamageField: a field does not authenticate under its revision's DEK.
	DamageField Damage = "field"
	// DamageControl: a control-plane value does not authenticate.
	DamageControl Damage = "control value"
	// DamageKeyset: a keyset does not authenticate, or is not one that its
	// purpose allows, or is missing.
	DamageKeyset Damage = "keyset"
)

// Part is one of the stored values that this package makes.
type Part string

// The parts.
const (
	PartWrappedKey Part = "wrapped key"
	PartField      Part = "field"
	PartControl    Part = "control value"
	PartKeyset     Part = "keyset"
)

// IntegrityError is an ErrIntegrity that says where and how. It never holds
// bytes of a value.
type IntegrityError struct {
	Damage Damage // what is wrong
	In     Part   // the stored value that was being opened
	Path   string // the field's path, for a field
	cause  error  // what else the error is, if anything
}

// Error names the damage, and the field's path when there is one.
func (e *IntegrityError) Error() string {
	s := "integrity: " + string(e.Damage)
	if e.Damage == DamageFormat || e.Damage == DamageKeyID {
		s += " of " + string(e.In)
	}
	if e.Path != "" {
		s += " " + e.Path
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Is reports that every IntegrityError is an ErrIntegrity.
func (e *IntegrityError) Is(target error) bool { return target == ErrIntegrity }

// Unwrap returns the cause: ErrUnknownKey, or what the key service said.
func (e *IntegrityError) Unwrap() error { return e.cause }
