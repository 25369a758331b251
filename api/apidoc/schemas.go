package main

func instant() obj { return obj{"type": "string", "format": "date-time"} }

func text(what string) obj { return obj{"type": "string", "description": what} }

func list(of any) obj { return obj{"type": "array", "items": of} }

func mapOf(value any) obj { return obj{"type": "object", "additionalProperties": value} }

func whole(least int) obj { return obj{"type": "integer", "minimum": least} }

var texts = list(obj{"type": "string"})

// answered is an object of an answer: members may be added to it later.
func answered(required []string, properties obj) obj {
	return obj{"type": "object", "required": required, "properties": properties}
}

// asked is an object of a request: unknown members are refused.
func asked(required []string, properties obj) obj {
	out := answered(required, properties)
	out["additionalProperties"] = false
	if required == nil {
		delete(out, "required")
	}
	return out
}

func all(groups ...obj) obj {
	out := obj{}
	for _, g := range groups {
		for name, schema := range g {
			out[name] = schema
		}
	}
	return out
}

func listOf(schema string) obj {
	return answered([]string{"items", "next_cursor"}, obj{"items": list(ref("schemas", schema)), "next_cursor": obj{"type": []string{"string", "null"}}})
}

func schemas() obj {
	return all(generalSchemas(), recordSchemas(), streamSchemas(), definitionSchemas(), accessSchemas(), explainSchemas(), oauthSchemas(), limitSchemas(), governanceSchemas(),
		rotationSchemas(), keySchemas(), erasureSchemas())
}

func generalSchemas() obj {
	return obj{
		"Problem": answered([]string{"type", "title", "status", "code", "request_id", "retryable", "errors"}, problemMembers()),
		"Text":    obj{"type": "string"},
		"Value":   obj{"description": "Any JSON value."},
		"Document": obj{"type": "object", "required": []string{"openapi", "info", "paths"},
			"properties": obj{"openapi": obj{"type": "string", "pattern": "^3\\.1\\."}}, "additionalProperties": true},
		"Health": answered([]string{"status"}, obj{
			"status": obj{"type": "string", "enum": []string{"live", "ready", "degraded", "unavailable", "draining"}},
			"reasons": list(answered([]string{"code", "detail", "degraded"}, obj{
				"code": text("What is wrong."), "detail": text("Since when, until when."), "degraded": obj{"type": "boolean", "description": "true: it serves on."},
				"notice": obj{"type": "boolean", "description": "true: nothing is amiss, but it is to be known."}})),
		}),
		"BackupRequest": asked(nil, obj{"recipient": text("An age recipient that the backup is sealed for; labels and ids are readable in it otherwise.")}),
	}
}

func problemMembers() obj {
	return obj{
		"type": obj{"type": "string", "format": "uri"}, "title": text("What went wrong, the same words for the same code."),
		"status": obj{"type": "integer", "minimum": 400, "maximum": 599}, "code": obj{"type": "string", "pattern": "^[a-z_]+$"},
		"detail": text("What is wrong with this very request."), "request_id": text("To find the request in the log."),
		"retryable": obj{"type": "boolean", "description": "The very same request may succeed later."},
		"errors":    list(answered([]string{"pointer", "detail"}, obj{"pointer": text("A JSON Pointer into the body."), "detail": text("What is wrong with that member. Never its value.")})),
		"limit":     text("The name of the limit that refused, when one did."),
		"secret_id": text("Of the secret that the first request made (code secret_replayed)."),
	}
}

func recordSchemas() obj {
	timeOrNull := obj{"type": []string{"string", "null"}, "format": "date-time"}
	input := obj{"fields": obj{"type": "object", "description": "As the collection's schema says."}, "labels": mapOf(obj{"type": "string"}),
		"valid_until": timeOrNull, "erase_at": all(timeOrNull, obj{"description": "When the record is erased. To change it on a record that is there needs the action erase."})}
	patch := all(input, obj{"labels": mapOf(obj{"type": []string{"string", "null"}})})
	meta := obj{"id": obj{"type": "string"}, "revision": whole(0), "created_at": instant(), "updated_at": instant()}
	needed := []string{"fields"}
	id := obj{"id": obj{"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"}}
	where := mapOf(obj{"description": "The value that the field must have."})
	where["minProperties"] = 1
	return obj{
		"RecordCreate":  asked(needed, all(input, id)),
		"RecordReplace": asked(needed, input),
		"RecordPatch":   asked(nil, patch),
		"RecordUpsert": asked([]string{"key", "fields"}, all(input, obj{"key": text("A unique field."),
			"on_conflict": obj{"type": "string", "enum": conflicts, "default": "replace"}})),
		"Rollback":    asked([]string{"revision"}, obj{"revision": whole(1)}),
		"WriteResult": answered([]string{"id", "revision", "updated_at"}, all(meta, obj{"purge_at": instant()})),
		"Record": answered([]string{"id", "revision", "labels"}, all(meta, obj{
			"valid_until": instant(), "erase_at": instant(), "deleted_at": instant(), "labels": mapOf(obj{"type": "string"}),
			"fields": obj{"type": "object", "additionalProperties": true}, "masked": texts, "withheld": texts,
			"damaged": obj{"const": true, "description": "It is there and failed its integrity check."}})),
		"RecordPage": listOf("Record"),
		"Search": asked([]string{"where"}, obj{"where": where, "labels": mapOf(obj{"type": "string"}), "fields": texts,
			"limit": obj{"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "cursor": obj{"type": "string"}}),
		"Lookup":       asked([]string{"where"}, obj{"where": where, "fields": texts}),
		"RevisionList": listOf("Revision"),
		"Revision": answered([]string{"revision", "created_at", "current", "fields"}, obj{
			"revision": whole(1), "created_at": instant(), "current": obj{"type": "boolean"}, "fields": texts}),
	}
}

// streamSchemas describe the lines of streams.
func streamSchemas() obj {
	end := func(properties obj) obj {
		return answered([]string{"end", "count"}, all(properties, obj{
			"end": obj{"type": "boolean", "description": "true: everything was done."}, "count": whole(0), "problem": ref("schemas", "Problem")}))
	}
	return obj{
		"ImportResult": obj{"oneOf": []obj{
			answered([]string{"line", "status", "id"}, obj{"line": whole(1), "status": obj{"type": "integer", "enum": []int{200, 201}}, "id": obj{"type": "string"}}),
			answered([]string{"line", "type", "title", "status", "code", "request_id", "retryable", "errors"}, all(problemMembers(), obj{"line": whole(1)})),
			end(obj{"failed": whole(0)}),
		}},
		"ExportLine": obj{"oneOf": []obj{ref("schemas", "Record"), end(obj{})}},
	}
}

func definitionSchemas() obj {
	stamps := obj{"version": whole(0), "created_at": instant(), "updated_at": instant()}
	named := all(stamps, obj{"name": obj{"type": "string"}, "uid": obj{"type": "string", "pattern": "^[0-9a-f]{32}$"}, "warnings": texts})
	needed := []string{"name", "uid", "version", "created_at", "updated_at"}
	duration := text("Such as 168h or 30m.")
	spec := obj{
		"schema": obj{"type": "object", "description": "JSON Schema 2020-12, with x-field, x-index, x-mask, x-sensitivity, x-approval, x-purpose.", "additionalProperties": true},
		"preset": text("Instead of a schema: api_key, basic_auth, oauth2, tls_keypair, ssh_key, webhook_secret, webhook_event."),
		"ttl":    duration, "undelete_for": duration, "expected_records": whole(0),
		"retention": asked([]string{"revisions"}, obj{"revisions": whole(0)}),
	}
	return obj{
		"IntegrationSpec": asked(nil, obj{"description": text("What it is.")}),
		"Integration":     answered(needed, all(named, obj{"description": text("What it is."), "destroy_at": instant()})),
		"IntegrationList": listOf("Integration"),
		"CollectionSpec":  asked(nil, spec),
		"Collection": answered(append(needed, "integration", "schema_version"), all(named, spec, obj{
			"integration": obj{"type": "string"}, "schema_version": whole(1), "records": whole(0),
			"backfill": answered([]string{"fields", "done", "state"}, obj{"fields": texts, "done": whole(0),
				"state": obj{"type": "string", "enum": []string{"running", "failed"}}, "problem": obj{"type": "string"}})})),
		"CollectionList":      listOf("Collection"),
		"CollectionOrPending": obj{"oneOf": []obj{ref("schemas", "Collection"), ref("schemas", "PendingChange")}},
		"Validation": answered([]string{"creates", "backfill", "warnings"}, obj{
			"creates": obj{"type": "boolean"}, "backfill": obj{"type": "boolean"}, "warnings": texts}),
	}
}

// explainSchemas describe what is said of who may do what.
func explainSchemas() obj {
	flag, count := obj{"type": "boolean"}, whole(0)
	grant := text("clear, none or mask:NAME.")
	rule := answered([]string{"role", "rule", "actions", "outcome"}, obj{
		"role": text("A role of the client."), "rule": count, "actions": texts, "when": text("Its condition."), "missing": texts,
		"outcome": obj{"type": "string", "enum": []string{"always", "holds", "fails", "broken", "open"}}})
	deciding := answered([]string{"role", "rule", "names", "grant", "decides"}, obj{
		"role": text("A role of the client."), "rule": count, "names": text("The field, an ancestor or *."), "grant": grant, "decides": flag})
	field := answered([]string{"path", "grant", "at_best", "reason", "by", "write", "write_at_best", "search", "search_at_best"}, obj{
		"path": text("The field."), "x_mask": text("The schema's mask."), "high": flag, "grant": grant, "at_best": grant,
		"needs":  list(obj{"type": "string", "enum": []string{"purpose", "approval"}, "description": "What the field asks for beside a role; at_best is with it."}),
		"reason": text("Why."), "by": list(deciding), "write": texts, "write_at_best": texts, "write_reason": text("Why it may not be written."),
		"search": flag, "search_at_best": flag})
	name := obj{"type": "string"}
	return obj{
		"ExplainQuery": asked([]string{"client", "integration", "collection"}, obj{
			"client": name, "integration": name, "collection": name, "record": text("None: any record."), "action": text("Default read."),
			"request": asked(nil, obj{"address": name, "purpose": name, "binding": text("dpop, mtls or nothing."), "time": obj{"type": "string", "format": "date-time"}})}),
		"Explanation": answered([]string{"client", "roles", "integration", "collection", "action", "allowed", "at_best", "rules", "fields"}, obj{
			"client": name, "disabled": flag, "roles": texts, "integration": name, "collection": name, "record": name, "action": name,
			"allowed": flag, "at_best": flag, "rules": list(rule), "fields": list(field)}),
	}
}

func accessSchemas() obj {
	stamps := obj{"name": obj{"type": "string"}, "version": whole(0), "created_at": instant(), "updated_at": instant(), "warnings": texts}
	rule := asked(nil, obj{"integrations": texts, "collections": texts, "actions": texts, "read": mapOf(obj{"type": "string"}),
		"write": texts, "write_labels": texts, "search": texts,
		"when": text("A condition in CEL over record.id, record.labels, client.name, client.labels, request.address, request.time, request.purpose, request.bound and request.binding.")})
	spec := obj{"rules": list(rule)}
	client := all(obj{"roles": texts, "labels": mapOf(obj{"type": "string"}), "disabled": obj{"type": "boolean"}}, clientAuthMembers())
	timeOrNull := obj{"type": []string{"string", "null"}, "format": "date-time"}
	secret := obj{"secret_id": obj{"type": "string"}, "created_at": instant(), "expires_at": timeOrNull, "last_used_at": timeOrNull}
	return obj{
		"RoleSpec":   asked([]string{"rules"}, spec),
		"Role":       answered([]string{"name", "version", "created_at", "updated_at", "rules"}, all(stamps, spec)),
		"RoleList":   listOf("Role"),
		"ClientSpec": asked([]string{"roles"}, client),
		"Client":     answered([]string{"name", "uid", "version", "created_at", "updated_at", "roles"}, all(stamps, client, obj{"uid": obj{"type": "string"}})),
		"ClientList": listOf("Client"),
		"IssuerSpec": asked([]string{"issuer", "audiences", "rules"}, issuerMembers()),
		"Issuer": answered([]string{"name", "uid", "version", "created_at", "updated_at", "issuer", "audiences", "rules"},
			all(stamps, issuerMembers(), obj{"uid": obj{"type": "string"}})),
		"IssuerList":    listOf("Issuer"),
		"SecretRequest": asked(nil, obj{"ttl": text("A duration, such as 2160h.")}),
		"NewSecret":     answered([]string{"secret_id", "created_at", "expires_at", "client_secret"}, all(secret, obj{"client_secret": text("Shown once.")})),
		"SecretList":    listOf("Secret"),
		"Secret":        answered([]string{"secret_id", "created_at", "expires_at"}, secret),
	}
}

// clientAuthMembers say how a client authenticates (RFC 7591, 8705, 9449).
func clientAuthMembers() obj {
	which := "tls_client_auth: what the certificate must say; exactly one of the five."
	return obj{
		"token_endpoint_auth_method": obj{"type": "string", "default": "client_secret_basic",
			"enum":        []string{"client_secret_basic", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"},
			"description": "client_secret_basic stands for client_secret_post too."},
		"jwks":                       obj{"type": "object", "description": "A JSON Web Key Set of public keys (Ed25519, P-256, RSA), with x5c for self_signed_tls_client_auth.", "additionalProperties": true},
		"jwks_uri":                   obj{"type": "string", "format": "uri", "description": "Where the set is kept, instead of jwks. https, and an address that the server may fetch from."},
		"tls_client_auth_subject_dn": text(which), "tls_client_auth_san_dns": text(which), "tls_client_auth_san_uri": text(which),
		"tls_client_auth_san_ip": text(which), "tls_client_auth_san_email": text(which),
		"tls_client_certificate_bound_access_tokens": obj{"type": "boolean", "description": "Tokens must be bound to the client's certificate (RFC 8705)."},
		"dpop_bound_access_tokens":                   obj{"type": "boolean", "description": "Tokens must be bound to a key of the client (RFC 9449). With the other one true too, either binding suffices."},
	}
}

func issuerMembers() obj {
	claims := mapOf(obj{"type": "string"})
	claims["minProperties"] = 1
	claims["description"] = "By the path of a claim: a pattern, in which * stands for any run of characters."
	rule := asked([]string{"claims", "client"}, obj{"claims": claims, "client": text("The client that the token speaks for then.")})
	return obj{
		"issuer":    obj{"type": "string", "format": "uri", "description": "The iss claim, to the letter; discovery starts there."},
		"audiences": obj{"type": "array", "items": obj{"type": "string"}, "minItems": 1, "description": "A token is for one of these."},
		"jwks_uri":  obj{"type": "string", "format": "uri", "description": "Where the issuer's keys are, if not where its discovery document says."},
		"reuse":     obj{"type": "boolean", "default": false, "description": "A token may be exchanged again until it expires; otherwise its jti counts once."},
		"rules":     obj{"type": "array", "items": rule, "minItems": 1, "description": "The first one that fits counts."},
	}
}

// oauthSchemas are the bodies of the authorisation server.
func oauthSchemas() obj {
	str := obj{"type": "string"}
	authentication := obj{"client_id": str, "client_secret": str, "client_assertion": str,
		"client_assertion_type": obj{"const": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	uri := obj{"type": "string", "format": "uri"}
	return obj{
		"TokenRequest": obj{"type": "object", "required": []string{"grant_type"}, "properties": all(authentication, obj{
			"grant_type": obj{"type": "string", "enum": []string{"client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"}},
			"scope":      text("ACTION[:INTEGRATION[/COLLECTION]] with globs, or a built-in role; spaces between. It narrows what the roles give."),
			"assertion":  text("With jwt-bearer: the token of an outside issuer.")})},
		"TokenInQuestion": obj{"type": "object", "required": []string{"token"}, "properties": all(authentication, obj{"token": str, "token_type_hint": str})},
		"Token": answered([]string{"access_token", "token_type", "expires_in"}, obj{
			"access_token": text("A JSON Web Token (RFC 9068)."), "token_type": obj{"enum": []string{"Bearer", "DPoP"}}, "expires_in": whole(0),
			"scope": text("What was asked for, in order; absent: all that the roles give.")}),
		"TokenError": answered([]string{"error", "error_description"}, obj{
			"error": obj{"type": "string", "enum": []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
				"unsupported_grant_type", "invalid_scope", "invalid_dpop_proof", "use_dpop_nonce"}},
			"error_description": str}),
		"Inspection": answered([]string{"active"}, obj{"active": obj{"type": "boolean"}, "scope": str, "client_id": str, "token_type": str,
			"exp": whole(0), "iat": whole(0), "sub": str, "aud": str, "iss": str, "jti": str,
			"cnf": obj{"type": "object", "properties": obj{"jkt": text("Thumbprint of the key that proofs must be signed by (RFC 9449)."),
				"x5t#S256": text("Fingerprint of the certificate that the connection must show (RFC 8705).")}}}),
		"ServerMetadata": answered([]string{"issuer", "token_endpoint", "jwks_uri", "response_types_supported"}, obj{
			"issuer": str, "token_endpoint": uri, "jwks_uri": uri, "introspection_endpoint": uri, "revocation_endpoint": uri, "service_documentation": uri,
			"response_types_supported": texts, "grant_types_supported": texts, "token_endpoint_auth_methods_supported": texts,
			"token_endpoint_auth_signing_alg_values_supported": texts, "introspection_endpoint_auth_methods_supported": texts,
			"introspection_endpoint_auth_signing_alg_values_supported": texts, "revocation_endpoint_auth_methods_supported": texts,
			"revocation_endpoint_auth_signing_alg_values_supported": texts, "dpop_signing_alg_values_supported": texts,
			"tls_client_certificate_bound_access_tokens": obj{"type": "boolean"}}),
		"KeySet": answered([]string{"keys"}, obj{"keys": list(answered([]string{"kty", "kid", "use", "alg", "crv", "x"}, obj{
			"kty": obj{"const": "OKP"}, "crv": obj{"const": "Ed25519"}, "x": str, "kid": str, "use": obj{"const": "sig"}, "alg": obj{"const": "EdDSA"}}))}),
	}
}
