package main

const (
	integration = "/v1/integrations/{integration}"
	collection  = integration + "/collections/{collection}"
	record      = collection + "/records/{record}"
)

// The examples are requests that the contract test sends.
var (
	exampleFields = obj{"email": "ada@example.org", "card": "4242424242424242"}
	exampleWhere  = obj{"email": "ada@example.org"}
)

func operations() []operation {
	var all []operation
	all = append(all, recordOperations()...)
	all = append(all, manyOperations()...)
	all = append(all, collectionOperations()...)
	all = append(all, accessOperations()...)
	all = append(all, limitOperations()...)
	all = append(all, governanceOperations()...)
	all = append(all, rotationOperations()...)
	all = append(all, keyOperations()...)
	all = append(all, erasureOperations()...)
	return withWaiting(append(all, otherOperations()...))
}

var (
	gone      = []int{404, 409}
	written   = []int{404, 409, 412, 422}
	recordOut = answer{200, "The record as its caller may see it.", jsonOf("Record"), []string{"ETag"}}
	unchanged = answer{304, "The caller has it already.", nil, []string{"ETag"}}
	replaced  = answer{200, "A new revision.", jsonOf("WriteResult"), []string{"ETag", "Idempotency-Replayed"}}
	created   = answer{201, "A new record.", jsonOf("WriteResult"), []string{"ETag", "Location", "Idempotency-Replayed"}}
	done      = answer{204, "Done.", nil, nil}
	guarded   = []string{"If-Match", "If-None-Match-Write", "Idempotency-Key"}
)

func recordOperations() []operation {
	return []operation{
		{method: "get", path: record, id: "getRecord", tag: "records", summary: "Read a record",
			params: []string{"fields", "revision", "view", "If-None-Match", "Strongroom-Purpose", "Strongroom-Approval"}, out: []answer{recordOut, unchanged}, errors: gone},
		{method: "put", path: record, id: "putRecord", tag: "records", summary: "Replace a record, or create it under an id of the caller's",
			description: "Fields that the caller may not write are carried over.",
			params:      guarded, in: body("RecordReplace", obj{"fields": exampleFields, "labels": obj{"owner": "cust-42"}}),
			out: []answer{replaced, created}, errors: written},
		{method: "patch", path: record, id: "patchRecord", tag: "records", summary: "Change members of a record",
			description: "A JSON merge patch (RFC 7396) of the record.",
			params:      guarded, in: &content{"application/merge-patch+json", "RecordPatch", obj{"fields": obj{"email": nil}, "labels": obj{"owner": nil}}},
			out: []answer{replaced}, errors: written},
		{method: "delete", path: record, id: "deleteRecord", tag: "records", summary: "Delete a record",
			description: "It is hidden until purge_at, when there is one, and erased then.",
			params:      guarded, out: []answer{replaced}, errors: []int{404, 409, 412, 422}},
		{method: "get", path: record + "/fields/{field}", id: "getField", tag: "records", summary: "Read one value",
			description: "The characters of a string, the bytes of one with contentEncoding base64, the JSON text of anything else.",
			params:      []string{"revision", "If-None-Match", "Strongroom-Purpose", "Strongroom-Approval"},
			out: []answer{{200, "The value.", []content{
				{media: "text/plain", schema: "Text"}, {media: "application/octet-stream"}, {media: "application/json", schema: "Value"},
			}, []string{"ETag", "Strongroom-Masked"}}, unchanged}, errors: gone},
		{method: "post", path: record + ":rollback", id: "rollbackRecord", tag: "records", summary: "Make an earlier revision current again",
			description: "The values are copied inside the store.", params: guarded, in: body("Rollback", obj{"revision": 3}),
			out: []answer{replaced}, errors: written},
		{method: "post", path: record + ":undelete", id: "undeleteRecord", tag: "records", summary: "Bring a deleted record back",
			params: guarded, out: []answer{replaced}, errors: written},
		{method: "post", path: record + ":expunge", id: "expungeRecord", tag: "records", summary: "Erase a record and all its revisions now",
			out: []answer{done}, errors: gone},
		{method: "get", path: record + "/revisions", id: "listRevisions", tag: "records", summary: "List the revisions of a record",
			out: []answer{{200, "The revisions, the newest first.", jsonOf("RevisionList"), nil}}, errors: gone},
	}
}

func manyOperations() []operation {
	records := collection + "/records"
	page := answer{200, "A page. It may be short, or empty, and still not be the last.", jsonOf("RecordPage"), nil}
	filters := []string{"label", "updated_after", "valid_until_before", "fields"}
	return []operation{
		{method: "post", path: records, id: "createRecord", tag: "records", summary: "Create a record",
			params: guarded, in: body("RecordCreate", obj{"fields": exampleFields, "labels": obj{"owner": "cust-42"}, "valid_until": "2030-01-01T00:00:00Z"}),
			out: []answer{created}, errors: written},
		{method: "get", path: records, id: "listRecords", tag: "records", summary: "List records",
			description: "Metadata alone, and nothing is decrypted, unless fields are asked for.",
			params:      append([]string{"limit", "cursor", "Strongroom-Purpose"}, filters...), out: []answer{page}, errors: gone},
		{method: "post", path: records + ":search", id: "searchRecords", tag: "records", summary: "Find records by the values of indexed fields",
			description: "All fields that the caller may see are answered unless some are named.",
			params:      []string{"Strongroom-Purpose"},
			in:          body("Search", obj{"where": exampleWhere, "labels": obj{"owner": "cust-42"}, "fields": []string{"email"}, "limit": 10}),
			out:         []answer{page}, errors: []int{404, 409, 422}},
		{method: "post", path: records + ":lookup", id: "lookupRecord", tag: "records", summary: "Find the one record with a value of an indexed field",
			params: []string{"Strongroom-Purpose"},
			in:     body("Lookup", obj{"where": exampleWhere}), out: []answer{recordOut}, errors: []int{404, 409, 422}},
		{method: "post", path: records + ":upsert", id: "upsertRecord", tag: "records", summary: "Write the record that holds a value of a unique field, or create it",
			params: guarded, in: body("RecordUpsert", obj{"key": "email", "on_conflict": "merge", "fields": exampleFields}),
			out: []answer{replaced, created}, errors: written},
		{method: "post", path: records + ":import", id: "importRecords", tag: "records", summary: "Import records, one JSON text a line",
			description: "Each line is the body of a creation. Results stream back while lines are still sent: a client reads while it writes. The last line tells the counts.",
			params:      []string{"mode", "on_error", "key", "on_conflict"},
			in:          &content{"application/x-ndjson", "RecordCreate", nil},
			out:         []answer{{200, "A result a line; schema describes one line.", []content{{media: "application/x-ndjson", schema: "ImportResult"}}, nil}},
			errors:      []int{404, 409, 422}},
		{method: "get", path: records + ":export", id: "exportRecords", tag: "records", summary: "Export records, one JSON text a line",
			description: "An export that fails midway ends in a broken connection. The last line has end=true.",
			params:      append([]string{"Strongroom-Purpose"}, filters...),
			out:         []answer{{200, "A record a line; schema describes one line.", []content{{media: "application/x-ndjson", schema: "ExportLine"}}, nil}},
			errors:      []int{404, 409, 422}},
	}
}

// definition is the four operations of something that a name is given to.
type definition struct {
	path, name, names, tag, id string
	list                       string // path of the list
	spec                       string
	example                    any
	errors                     []int
}

func (d definition) operations() []operation {
	one := answer{200, "The " + d.name + ".", jsonOf(d.id), []string{"ETag"}}
	return []operation{
		{method: "get", path: d.list, id: "list" + d.id + "s", tag: d.tag, summary: "List " + d.names,
			out: []answer{{200, "All " + d.names + ".", jsonOf(d.id + "List"), nil}}, errors: d.errors},
		{method: "get", path: d.path, id: "get" + d.id, tag: d.tag, summary: "Read a " + d.name,
			params: []string{"If-None-Match"}, out: []answer{one, unchanged}, errors: append([]int{404}, d.errors...)},
		{method: "put", path: d.path, id: "put" + d.id, tag: d.tag, summary: "Create or change a " + d.name,
			params: []string{"If-Match", "If-None-Match-Write"}, in: body(d.spec, d.example),
			out:    []answer{{200, "Changed.", jsonOf(d.id), []string{"ETag"}}, {201, "Created.", jsonOf(d.id), []string{"ETag", "Location"}}},
			errors: []int{404, 409, 412, 422}},
	}
}

func deletion(path, id, tag, summary string) operation {
	return operation{method: "delete", path: path, id: id, tag: tag, summary: summary, out: []answer{done}, errors: gone}
}

func collectionOperations() []operation {
	shape := obj{"schema": obj{"type": "object", "properties": obj{
		"email": obj{"type": "string", "x-index": "unique", "x-mask": "email"}, "card": obj{"type": "string"}}},
		"retention": obj{"revisions": 5}, "ttl": "8760h", "undelete_for": "168h", "expected_records": 1000}
	integrations := definition{integration, "integration", "integrations", "integrations", "Integration", "/v1/integrations", "IntegrationSpec", obj{"description": "Billing"}, nil}
	collections := definition{collection, "collection", "collections", "collections", "Collection", integration + "/collections", "CollectionSpec", shape, gone}
	all := append(integrations.operations(), collections.operations()...)
	for i := range all {
		if all[i].id == "putCollection" {
			all[i].out = append(all[i].out, answer{202, "Changed, and a new index is being filled; or it guards a field less, and waits for a second person.", jsonOf("CollectionOrPending"), []string{"ETag", "Location"}})
		}
	}
	return append(all,
		operation{method: "delete", path: integration, id: "deleteIntegration", tag: "integrations", summary: "Delete an integration",
			description: "It is disabled at once and its keys are destroyed after seven days.",
			params:      []string{"confirm", "now"}, out: []answer{{200, "When its keys are destroyed.", jsonOf("Integration"), nil}}, errors: gone},
		operation{method: "post", path: integration + ":undelete", id: "undeleteIntegration", tag: "integrations",
			summary: "Bring a deleted integration back", out: []answer{{200, "The integration.", jsonOf("Integration"), nil}}, errors: gone},
		deletion(collection, "deleteCollection", "collections", "Delete a collection and its records"),
		operation{method: "post", path: collection + ":validate", id: "validateCollection", tag: "collections",
			summary: "Say what a change of a collection would do", in: body("CollectionSpec", shape),
			out: []answer{{200, "What it would do.", jsonOf("Validation"), nil}}, errors: []int{404, 409, 422}})
}

func accessOperations() []operation {
	rules := obj{"rules": []obj{{"integrations": []string{"acme-*"}, "collections": []string{"customers"}, "actions": []string{"read", "search"},
		"read": obj{"email": "mask:email", "*": "clear"}, "search": []string{"email"}}}}
	roles := definition{"/v1/roles/{role}", "role", "roles", "access", "Role", "/v1/roles", "RoleSpec", rules, nil}
	clients := definition{"/v1/clients/{client}", "client", "clients", "access", "Client", "/v1/clients", "ClientSpec",
		obj{"roles": []string{"billing-reader"}, "labels": obj{"owner": "cust-42"}}, nil}
	issuers := definition{"/v1/issuers/{issuer}", "issuer", "issuers", "access", "Issuer", "/v1/issuers", "IssuerSpec",
		obj{"issuer": "https://token.actions.githubusercontent.com", "audiences": []string{"strongroom"},
			"rules": []obj{{"claims": obj{"sub": "repo:acme/billing:ref:refs/heads/main"}, "client": "invoicing"}}}, nil}
	secrets := "/v1/clients/{client}/secrets"
	all := append(roles.operations(), clients.operations()...)
	all = append(all, issuers.operations()...)
	all = append(all, oauthOperations()...)
	return append(all,
		deletion("/v1/roles/{role}", "deleteRole", "access", "Delete a role that no client holds"),
		deletion("/v1/issuers/{issuer}", "deleteIssuer", "access", "Delete an issuer; tokens got by its word are refused at once"),
		operation{method: "post", path: "/v1/access:explain", id: "explainAccess", tag: "access", summary: "Say what a client may do, field by field, and which rules decided",
			description: "For administrators and auditors. It shows no value of a field or a label; at_best is what is granted where the conditions that depend on a record hold.",
			in:          body("ExplainQuery", obj{"client": "invoicing", "integration": "acme-crm", "collection": "customers", "action": "read"}),
			out:         []answer{{200, "What it may do.", jsonOf("Explanation"), nil}}, errors: []int{404, 409, 422}},
		deletion("/v1/clients/{client}", "deleteClient", "access", "Delete a client and its secrets"),
		operation{method: "get", path: secrets, id: "listSecrets", tag: "access", summary: "List the secrets of a client, without their values",
			out: []answer{{200, "The secrets.", jsonOf("SecretList"), nil}}, errors: []int{404}},
		operation{method: "post", path: secrets, id: "createSecret", tag: "access", summary: "Make a secret; its value is shown once",
			description: "A repetition with the same Idempotency-Key is a 409 that tells the secret_id.",
			params:      []string{"Idempotency-Key"}, in: body("SecretRequest", obj{"ttl": "2160h"}), optional: true,
			out: []answer{{201, "The secret.", jsonOf("NewSecret"), []string{"Location"}}}, errors: []int{404, 409, 422}},
		deletion(secrets+"/{secret}", "deleteSecret", "access", "Delete a secret; tokens got with it are refused at once"))
}

const form = "application/x-www-form-urlencoded"

// oauthOperations are the endpoints of the authorisation server.
func oauthOperations() []operation {
	refused := []answer{
		{400, "The request is refused.", []content{{media: "application/json", schema: "TokenError"}, {media: "application/problem+json", schema: "Problem"}}, []string{"DPoP-Nonce"}},
		{401, "The client could not be authenticated.", jsonOf("TokenError"), []string{"WWW-Authenticate"}},
	}
	faults := []int{413, 415, 429, 500, 503}
	return []operation{
		{method: "post", path: "/oauth2/token", id: "token", tag: "access", summary: "Get an access token (RFC 6749, client credentials; RFC 7523)",
			description: "The client authenticates by a secret (client_secret_basic, client_secret_post), a signed assertion (private_key_jwt) or its certificate (RFC 8705), or an outside issuer's token is the grant. " +
				"With a DPoP proof (RFC 9449) the token is bound to the key of the proof. use_dpop_nonce means: again, with the nonce of the header DPoP-Nonce.",
			params: []string{"DPoP"}, open: true, in: &content{form, "TokenRequest", obj{"grant_type": "client_credentials"}},
			out: append([]answer{{200, "The token.", jsonOf("Token"), []string{"DPoP-Nonce"}}}, refused...), errors: faults},
		{method: "post", path: "/oauth2/introspect", id: "introspect", tag: "access", summary: "Ask whether a token is good (RFC 7662)",
			description: "A client may ask about its own tokens, an administrator or auditor about all. Of any other token the answer is that it is not active.",
			open:        true, in: &content{form, "TokenInQuestion", obj{"token": "eyJ..."}},
			out: append([]answer{{200, "What is known of it.", jsonOf("Inspection"), nil}}, refused...), errors: faults},
		{method: "post", path: "/oauth2/revoke", id: "revoke", tag: "access", summary: "End a token (RFC 7009)",
			description: "It is refused from the next request on. A client may end its own tokens, an administrator all.",
			open:        true, in: &content{form, "TokenInQuestion", obj{"token": "eyJ..."}},
			out: append([]answer{{200, "It is not good any more, or never was.", nil, nil}}, refused...), errors: faults},
		{method: "get", path: "/.well-known/oauth-authorization-server", id: "serverMetadata", tag: "access", summary: "Where the endpoints are and what they take (RFC 8414)",
			open: true, out: []answer{{200, "The metadata.", jsonOf("ServerMetadata"), nil}}},
		{method: "get", path: "/.well-known/jwks.json", id: "keySet", tag: "access", summary: "The keys that access tokens are verified with (RFC 7517)",
			open: true, out: []answer{{200, "The keys: the next one when it is known, the one that signs, those that signed tokens that live yet.", jsonOf("KeySet"), nil}}, errors: []int{500, 503}},
	}
}

func limitOperations() []operation {
	const path = "/v1/limits/{limit}"
	example := obj{"per": "client", "clients": []string{"invoicing"}, "routes": []string{"read"},
		"requests": []obj{{"limit": 10, "window": "1s"}, {"limit": 100_000, "window": "24h"}}, "concurrency": 20}
	one := answer{200, "The limit.", jsonOf("Limit"), []string{"ETag"}}
	return []operation{
		{method: "get", path: "/v1/limits", id: "listLimits", tag: "access", summary: "List the limits, stored and built in, with their use",
			out: []answer{{200, "All limits.", jsonOf("LimitList"), nil}}},
		{method: "get", path: path, id: "getLimit", tag: "access", summary: "Read a limit and its use", out: []answer{one}, errors: []int{404}},
		{method: "put", path: path, id: "putLimit", tag: "access", summary: "Create or change a limit",
			description: "It is in force for the next request. One of the name of a built-in limit takes its place.",
			params:      []string{"If-Match", "If-None-Match-Write"}, in: body("LimitSpec", example),
			out:    []answer{{200, "Changed.", jsonOf("Limit"), []string{"ETag"}}, {201, "Created.", jsonOf("Limit"), []string{"ETag", "Location"}}},
			errors: []int{409, 412, 422}},
		deletion(path, "deleteLimit", "access", "Delete a limit; a built-in one of its name is in force again"),
	}
}

func otherOperations() []operation {
	return []operation{
		{method: "post", path: "/v1/backups", id: "backup", tag: "operations", summary: "Take a backup of the running store",
			description: "Streams. The trailers Strongroom-Backup-Sha256, Strongroom-Backup-Entries and Strongroom-Backup-Sequence come when it ended well; one that fails midway ends in a broken connection.",
			in:          body("BackupRequest", obj{"recipient": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}), optional: true,
			out: []answer{{200, "The backup.", []content{{media: "application/octet-stream"}}, nil}}, errors: []int{409, 422}},
		{method: "post", path: "/v1/backups:confirm", id: "confirmBackup", tag: "operations", summary: "Say that the last backup was read back where it is kept",
			description: "Keys that an older backup needs are destroyed only when there is a later one that was confirmed. The sequence and the sum are those of the trailers.",
			in:          body("BackupConfirmation", obj{"sequence": 4711, "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}),
			out:         []answer{{200, "It is remembered.", jsonOf("KnownBackup"), nil}}, errors: []int{409, 422}},
		{method: "get", path: "/livez", id: "live", tag: "operations", summary: "Whether the process answers", open: true,
			out: []answer{{200, "It does.", jsonOf("Health"), nil}}},
		{method: "get", path: "/readyz", id: "ready", tag: "operations", summary: "Whether requests should be sent here", open: true,
			description: "On the operations listener the answer has the reasons.",
			out:         []answer{{200, "They should.", jsonOf("Health"), nil}, {503, "They should not.", jsonOf("Health"), nil}}},
		{method: "get", path: "/openapi.json", id: "openAPI", tag: "operations", summary: "This document", open: true,
			out: []answer{{200, "An OpenAPI 3.1 document.", jsonOf("Document"), nil}}},
		{method: "get", path: "/metrics", id: "metrics", tag: "operations", summary: "Metrics for Prometheus", open: true,
			out: []answer{{200, "The metrics.", []content{{media: "text/plain", schema: "Text"}}, nil}}},
	}
}
