// Package access decides who may do what. It knows roles, not stores: a
// Policy is compiled once from a client's roles, and For answers for one
// collection with a Decision that the caller may keep for as long as neither
// the roles nor the collection's fields change.
//
// # The algebra
//
// Everything is denied unless a rule grants it. A rule speaks about a
// collection when one of its integration globs and one of its collection globs
// match; `*` in a glob stands for any run of characters, also none. A rule
// takes part in a decision about an action only when it lists that action: what
// a rule lets a client read while it lists never leaks into what another rule
// lets it read while it exports, and a rule that grants `create` alone grants
// no reading, whatever its `read` says.
//
// For one action and one field, each such rule is asked first:
//
//   - The most specific path that it names wins: the field itself, else the
//     nearest ancestor, else `*`.
//   - A field with x-sensitivity high is granted only to a rule that names it
//     exactly. An ancestor or `*` that says `none` withholds it all the same.
//   - A field with x-mask that the rule does not name exactly gets that mask,
//     or the rule's own when that is stricter.
//   - A name that the collection's schema does not declare grants nothing: a
//     property that turns up under it is granted what the rule gives without
//     that name, and never more than the name says.
//
// Then the answers are put together: an explicit `none` of any rule wins; else
// the most permissive one, in the order clear, email, last4, redact.
//
// Writing needs a rule that grants the writing action and whose `write` names
// the field, an ancestor or `*`. It must name the field exactly when the field
// has high sensitivity, and when the caller reads it masked under any action:
// a masked value must not find its way back by accident.
//
// Searching needs rules that grant `search` to give the field clear, and one of
// them to have it in `search`; a field of high sensitivity must be named there
// exactly as well.
//
// # Names of fields
//
// A path is a JSON Pointer (RFC 6901) without its first slash: `email`,
// `customer/email`. `*` is always the wildcard: a property that is itself
// called "*" can be reached by it alone, and nothing names it exactly.
package access
