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
// the most permissive one.
//
// # Strictness
//
// Masks are ordered by what they tell: one is stricter than another when all
// that it shows can be worked out from what the other shows. That is a partial
// order; Grant.tellsAtMost draws it. Where a schema's mask and a rule's own can't
// be compared the field is redacted: neither may stand for the other. Where
// several rules give masks that can't be compared each of them was granted, and
// the one that comes first in this line is shown: first:N, email, domain, last4,
// year, hash, fixed, redact.
//
// # Conditions
//
// A rule with `when` takes part where its condition holds. Conditions are CEL
// (cel.dev) of type bool over the request and the labels of the record; they are
// compiled, checked and bounded in cost when the role is read. One that can't be
// worked out, since a label is missing, say, denies: its rule grants nothing, and
// what it says `none` of stays withheld.
//
// A Decision is made in steps. For answers with what needs no condition; while
// conditions are open, what it grants it grants of every record. ForRequest
// judges the conditions that name no record, ForRecord the others. Each outcome
// of the conditions leads to a decision of its own, which is kept.
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
