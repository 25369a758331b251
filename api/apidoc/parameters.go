package main

func parameters() obj {
	out := obj{}
	for _, name := range []string{"integration", "collection", "role", "client", "issuer"} {
		out[name] = inPath(name, "Its name.", obj{"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"}, "acme-crm")
	}
	out["limit-name"] = inPath("limit", "Its name.", obj{"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"}, "invoicing-daily")
	out["record"] = inPath("record", "Its id.", obj{"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"}, "rec-1")
	out["secret"] = inPath("secret", "Its id.", obj{"type": "string"}, "sec-1")
	out["change"] = inPath("change", "Its id.", obj{"type": "string"}, "change-1")
	out["approval"] = inPath("approval", "Its id.", obj{"type": "string"}, "approval-1")
	out["rotation"] = inPath("rotation", "Its id.", obj{"type": "string"}, "rotation-1")
	out["erasure"] = inPath("erasure", "Its id.", obj{"type": "string"}, "erasure-1")
	out["schedule"] = inPath("schedule", "Its name.", obj{"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"}, "yearly")
	out["key-id"] = inPath("key", "The id of a key.", obj{"type": "string", "pattern": "^[0-9a-f]{8}$"}, "0a1b2c3d")
	out["field"] = inPath("field", "The field's path: a JSON Pointer without its first slash. It may contain slashes.", obj{"type": "string"}, "customer/email")

	out["fields"] = inQuery("fields", "Names of fields, with commas between them; in a list, * is all.", obj{"type": "string"})
	out["revision"] = inQuery("revision", "A revision, or previous.", obj{"type": "string", "pattern": "^([1-9][0-9]*|previous)$"})
	out["view"] = inQuery("view", "metadata leaves the fields out.", obj{"type": "string", "enum": []string{"full", "metadata"}})
	out["label"] = obj{"name": "label", "in": "query", "style": "form", "explode": true, "description": "label.NAME=VALUE: only records with this label. May be there for several names.",
		"schema": obj{"type": "object", "patternProperties": obj{"^label\\..+$": obj{"type": "string"}}, "additionalProperties": false}}
	out["updated_after"] = inQuery("updated_after", "Only records written later.", instant())
	out["valid_until_before"] = inQuery("valid_until_before", "Only records whose valid_until is earlier.", instant())
	out["limit"] = inQuery("limit", "How many at most.", obj{"type": "integer", "minimum": 1, "maximum": 1000, "default": 100})
	out["cursor"] = inQuery("cursor", "next_cursor of the page before, with the same query otherwise.", obj{"type": "string"})
	out["mode"] = inQuery("mode", "upsert needs key.", obj{"type": "string", "enum": []string{"create", "upsert"}, "default": "create"})
	out["on_error"] = inQuery("on_error", "What to do when a line is refused.", obj{"type": "string", "enum": []string{"stop", "continue"}, "default": "stop"})
	out["key"] = inQuery("key", "A unique field.", obj{"type": "string"})
	out["on_conflict"] = inQuery("on_conflict", "What to do with the record that is found.", obj{"type": "string", "enum": conflicts, "default": "replace"})
	out["confirm"] = inQuery("confirm", "The name once more.", obj{"type": "string"})
	out["confirm"].(obj)["required"] = true
	out["now"] = inQuery("now", "Destroy the keys at once.", obj{"type": "boolean"})

	out["If-Match"] = inHeader("If-Match", "Entity tags, or *. The revision alone is compared.")
	out["If-None-Match"] = inHeader("If-None-Match", "Entity tags that the caller has.")
	out["If-None-Match-Write"] = inHeader("If-None-Match", "* alone: it must not exist.")
	out["Strongroom-Purpose"] = inHeader("Strongroom-Purpose", "What the caller reads for: 1 to 64 lower-case letters, digits and hyphens. Fields with x-purpose or x-approval are read in clear only with it, and it is audited.")
	out["Strongroom-Approval"] = inHeader("Strongroom-Approval", "The id of an approval, of which one use is spent.")
	out["Idempotency-Key"] = inHeader("Idempotency-Key", "1 to 255 visible ASCII characters. The same request with the same key within 24 hours is carried out once.")
	out["DPoP"] = inHeader("DPoP", "A proof of possession (RFC 9449): a JSON Web Token of the type dpop+jwt.")
	return out
}

var conflicts = []string{"replace", "merge", "ignore", "fail"}

func inPath(name, what string, schema obj, example string) obj {
	return obj{"name": name, "in": "path", "required": true, "description": what, "schema": schema, "example": example}
}

func inQuery(name, what string, schema obj) obj {
	return obj{"name": name, "in": "query", "description": what, "schema": schema}
}

func inHeader(name, what string) obj {
	return obj{"name": name, "in": "header", "description": what, "schema": obj{"type": "string"}}
}

func headers() obj {
	header := func(what string) obj { return obj{"description": what, "schema": obj{"type": "string"}} }
	return obj{
		"X-Request-Id":         header("The request's id, the caller's own when it sent one that is fit."),
		"ETag":                 header("A quoted revision or version, for records followed by a dash and a hash."),
		"Location":             header("The path of what was made."),
		"Retry-After":          header("Seconds to wait, when the same request may succeed later."),
		"RateLimit":            header("What is left of the tightest window (draft-ietf-httpapi-ratelimit-headers)."),
		"RateLimit-Policy":     header("The windows that the request was counted in."),
		"WWW-Authenticate":     header("How to authenticate."),
		"DPoP-Nonce":           header("The nonce that the next DPoP proof must carry; when the request came with one."),
		"Idempotency-Replayed": header("true when the answer is that of an earlier request with the same key."),
		"Strongroom-Masked":    header("true when the value is masked."),
	}
}
