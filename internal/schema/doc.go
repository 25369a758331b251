// Package schema gives a collection's records their shape: it compiles the
// collection's JSON Schema, validates documents against it and splits them
// into the fields that are sealed one by one.
//
// Schemas are JSON Schema 2020-12 (json-schema.org/draft/2020-12) with these
// decisions where the specification leaves room:
//
//   - `$ref` points into the same schema ("#", "#/..." or "#anchor"); nothing
//     is ever loaded from a URL or a file. Dynamic references, `$vocabulary`
//     and nested `$id` are refused; so is every keyword that the draft doesn't
//     know, since a misspelt one would silently check nothing.
//   - `contentEncoding: base64` is asserted: RFC 4648 section 4 with padding,
//     canonical, without line breaks. No other encoding is accepted.
//     `contentMediaType` and `contentSchema` are annotations.
//   - `format` is asserted for email, uri, date-time and uuid; every other
//     format is an annotation, except regex, which is refused: compiling
//     expressions out of documents costs too much.
//   - Patterns are RE2, as package regexp reads them: they run in linear time.
//
// The extensions, all of them for fields alone:
//
//	x-field: true                            a nested property becomes a field of its own
//	x-index: exact | unique                  a blind index over the field
//	x-normalise: none|lowercase|nfkc|digits  what the index compares
//	x-mask: first:N | last4 | email | ...    what `*` grants of the field
//	x-sensitivity: high                      `*` never covers the field
//	x-approval: required                     read in clear only with a second person's approval; no index
//	x-purpose: required                      read in clear only for a purpose that the request names
//
// A nested field doesn't inherit the annotations of its parent: whoever takes
// `customer/email` out of `customer` decides about it apart.
//
// Whatever this package says about a document names members and never
// repeats a value.
package schema

// Bounds on what is read. They keep the cost of validating a document in
// proportion to its size.
const (
	// MaxSchemaBytes bounds the text of a schema.
	MaxSchemaBytes = 256 << 10
	// MaxSchemaDepth bounds the nesting of a schema's text.
	MaxSchemaDepth = 64
	// MaxSubschemas bounds how many subschemas a schema has.
	MaxSubschemas = 2000
	// MaxDepth bounds the nesting of a document: the document itself is the
	// first level.
	MaxDepth = 32
	// MaxFields bounds the fields that a schema declares and those that a
	// document has.
	MaxFields = 256
	// MaxNameBytes bounds one member name of a field's path.
	MaxNameBytes = 128
	// MaxPathBytes bounds a field's path in its escaped form.
	MaxPathBytes = 512
	// MaxNumberBytes bounds a number's literal and MaxExponent the magnitude
	// of its exponent, since exact arithmetic on 1e999999999 takes a
	// gigabyte.
	MaxNumberBytes = 1024
	MaxExponent    = 400
	// MaxIssues bounds what one error lists.
	MaxIssues = 32
)
