package schema

// shape says how a keyword's value holds subschemas and what they apply to.
type shape uint8

const (
	noSubschema shape = iota
	annotation        // no subschema, and no effect on validation
	one               // a subschema
	list              // an array of subschemas
	named             // an object of subschemas
)

// applies says to which value a subschema applies.
type applies uint8

const (
	toNothing  applies = iota // only by reference
	toItself                  // the value that the parent applies to
	toMember                  // the member of that name
	toChildren                // members or items of the value, each maybe
	toNames                   // the names of the members
)

type keyword struct {
	shape   shape
	applies applies
}

// keywords are those of JSON Schema 2020-12 that are understood, and the
// extensions of this package.
var keywords = map[string]keyword{
	"$schema": {shape: annotation}, "$id": {shape: annotation}, "$comment": {shape: annotation},
	"$anchor": {shape: annotation}, "$ref": {},
	"$defs": {named, toNothing}, "definitions": {named, toNothing},

	"title": {shape: annotation}, "description": {shape: annotation}, "default": {shape: annotation},
	"examples": {shape: annotation}, "deprecated": {shape: annotation},
	"readOnly": {shape: annotation}, "writeOnly": {shape: annotation},

	"allOf": {list, toItself}, "anyOf": {list, toItself}, "oneOf": {list, toItself},
	"not": {one, toItself}, "if": {one, toItself}, "then": {one, toItself}, "else": {one, toItself},
	"dependentSchemas": {named, toItself},

	"properties": {named, toMember}, "patternProperties": {named, toChildren},
	"additionalProperties": {one, toChildren}, "unevaluatedProperties": {one, toChildren},
	"propertyNames": {one, toNames},
	"items":         {one, toChildren}, "prefixItems": {list, toChildren}, "contains": {one, toChildren},
	"unevaluatedItems": {one, toChildren},

	"type": {}, "enum": {}, "const": {},
	"minLength": {}, "maxLength": {}, "pattern": {}, "format": {},
	"minimum": {}, "maximum": {}, "exclusiveMinimum": {}, "exclusiveMaximum": {}, "multipleOf": {},
	"minItems": {}, "maxItems": {}, "uniqueItems": {}, "minContains": {}, "maxContains": {},
	"minProperties": {}, "maxProperties": {}, "required": {}, "dependentRequired": {},
	"contentEncoding": {}, "contentMediaType": {shape: annotation}, "contentSchema": {one, toNothing},

	"x-field": {shape: annotation}, "x-index": {shape: annotation}, "x-normalise": {shape: annotation},
	"x-mask": {shape: annotation}, "x-sensitivity": {shape: annotation},
	"x-approval": {shape: annotation}, "x-purpose": {shape: annotation},
}

// extensions are the keywords of this package, each with the values that it
// takes.
var extensions = map[string][]string{
	"x-index":       {"exact", "unique"},
	"x-normalise":   {"none", "lowercase", "nfkc", "digits"},
	"x-mask":        {"email", "domain", "last4", "year", "hash", "redact"}, // and masks with an argument
	"x-sensitivity": {"high"},
	"x-approval":    {"required"},
	"x-purpose":     {"required"},
}

// refusedKeywords say why a keyword of this or an older draft is not taken.
var refusedKeywords = map[string]string{
	"$dynamicRef":      "is not supported: use $ref",
	"$dynamicAnchor":   "is not supported: use $anchor or $defs",
	"$recursiveRef":    "is of an older draft: use $ref",
	"$recursiveAnchor": "is of an older draft: use $anchor or $defs",
	"$vocabulary":      "is not supported",
	"dependencies":     "is of an older draft: use dependentRequired or dependentSchemas",
	"additionalItems":  "is of an older draft: use prefixItems and items",
	"nullable":         "is of OpenAPI: give type an array that includes \"null\"",
	"example":          "is of OpenAPI: use examples",
	"discriminator":    "is of OpenAPI: use oneOf",
}

// counts are the keywords whose value is a size.
var counts = []string{"minLength", "maxLength", "minItems", "maxItems", "minContains", "maxContains", "minProperties", "maxProperties"}
