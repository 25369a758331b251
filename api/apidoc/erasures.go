package main

const erasure = "/v1/erasures/{erasure}"

func erasureOperations() []operation {
	one := []answer{{200, "The erasure.", jsonOf("Erasure"), nil}}
	return []operation{
		{method: "post", path: "/v1/erasures", id: "createErasure", tag: "keys", summary: "Begin an erasure of a record, of all records with labels, or of an integration",
			description: "It goes on by itself. E1: gone from the live store. E2: gone from the data file. E3: every key that covered it is destroyed, so that copies and backups " +
				"cannot be opened any more; that takes the right to operate keys, and a backup that was made and confirmed since.",
			in:  body("ErasureRequest", obj{"integration": "acme-crm", "labels": obj{"subject": "cust-42"}, "level": "E3", "reason": "request 4711"}),
			out: []answer{{201, "It begins.", jsonOf("Erasure"), []string{"Location"}}}, errors: []int{404, 409, 422}},
		{method: "get", path: "/v1/erasures", id: "listErasures", tag: "keys", summary: "List the erasures",
			out: []answer{{200, "The erasures, the newest first.", jsonOf("ErasureList"), nil}}},
		{method: "get", path: erasure, id: "getErasure", tag: "keys", summary: "Read how far an erasure has come, or follow it", description: asEvents,
			out: []answer{{200, "The erasure.", orEvents("Erasure"), nil}}, errors: []int{404}},
		{method: "post", path: erasure + ":resume", id: "resumeErasure", tag: "keys", summary: "Go on with an erasure that failed", out: one, errors: gone},
		{method: "get", path: erasure + "/certificate", id: "erasureCertificate", tag: "keys", summary: "The signed certificate of an erasure that has come as far as it was to go",
			description: "A signed note whose text is one JSON document. It names the destroyed keys, and lists what it does not cover.",
			out:         []answer{{200, "The certificate.", statement, nil}}, errors: gone},
	}
}

func erasureSchemas() obj {
	str, flag, when := obj{"type": "string"}, obj{"type": "boolean"}, instant()
	target := obj{
		"integration": str, "collection": text("Of the record, or of all records with the labels. Default, with labels: all collections."),
		"record": str, "labels": obj{"type": "object", "additionalProperties": str, "description": "All records that have all of these, those too that come while it runs."},
		"level":  obj{"type": "string", "enum": []string{"", "E1", "E2", "E3"}, "description": "How far it is to go. Default E1."},
		"reason": text("For people, and the certificate."),
	}
	return obj{
		"ErasureRequest": asked([]string{"integration"}, all(target, obj{"confirm": text("With neither record nor labels: the name of the integration once more, all of which goes.")})),
		"Erasure": answered([]string{"id", "integration", "level", "state", "failed", "done", "by", "created_at", "records", "has_certificate"}, all(target, obj{
			"id": str, "state": obj{"type": "string", "enum": []string{"E0", "E1", "E2", "E3"}, "description": "How far it has come."},
			"failed": obj{"type": "boolean", "description": "For the reason in detail; it can be resumed."}, "done": obj{"type": "boolean", "description": "It has come as far as it was to go."},
			"detail": text("What it waits for, or why it failed."), "by": text("The client that asked for it."),
			"created_at": when, "e1_at": when, "e2_at": when, "e3_at": when,
			"records":  obj{"type": "integer", "minimum": 0, "description": "Erased; those of a whole integration are not counted."},
			"rotation": text("That destroys the keys."), "has_certificate": flag})),
		"ErasureList": listOf("Erasure"),
	}
}
