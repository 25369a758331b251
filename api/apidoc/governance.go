package main

const (
	change   = "/v1/changes/{change}"
	approval = "/v1/approvals/{approval}"
)

// waiting is the answer to what a second person has to decide about first.
var waiting = answer{202, "It widens access, and waits for a second person: nothing was changed yet.", jsonOf("PendingChange"), []string{"Location"}}

// widens are the operations that can end in waiting.
var widens = map[string]bool{"putRole": true, "deleteRole": true, "putClient": true, "createSecret": true, "putIssuer": true,
	"putLimit": true, "deleteLimit": true, "putGovernance": true}

// withWaiting adds that answer to them.
func withWaiting(all []operation) []operation {
	for i := range all {
		if widens[all[i].id] {
			all[i].out = append(append([]answer{}, all[i].out...), waiting)
		}
	}
	return all
}

func governanceOperations() []operation {
	one := []answer{{200, "The change.", jsonOf("Change"), nil}}
	decide := func(verb, summary string, errors ...int) operation {
		return operation{method: "post", path: change + ":" + verb, id: verb + "Change", tag: "governance", summary: summary, out: one, errors: errors}
	}
	all := []operation{
		{method: "get", path: "/v1/governance", id: "getGovernance", tag: "governance", summary: "Whether changes that widen access wait for a second person",
			out: []answer{{200, "Whether they do.", jsonOf("Governance"), nil}}},
		{method: "put", path: "/v1/governance", id: "putGovernance", tag: "governance", summary: "Have changes that widen access wait, or not",
			description: "Switching it off is such a change itself.", in: body("GovernanceSpec", obj{"two_person": true}),
			out: []answer{{200, "As it is now.", jsonOf("Governance"), nil}}, errors: []int{409}},
		{method: "get", path: "/v1/changes", id: "listChanges", tag: "governance", summary: "List the changes that wait, and those that were decided about",
			out: []answer{{200, "The changes, the newest first, without their documents.", jsonOf("ChangeList"), nil}}},
		{method: "get", path: change, id: "getChange", tag: "governance", summary: "Read a change, with what is and what it is to become", out: one, errors: []int{404}},
		decide("approve", "Carry a change out that somebody else asked for", 404, 409, 412),
		decide("reject", "Refuse a change", gone...),
		decide("withdraw", "Take back a change that the caller asked for", gone...),
	}
	return append(all, approvalOperations()...)
}

func approvalOperations() []operation {
	one := []answer{{200, "The approval.", jsonOf("Approval"), nil}}
	decide := func(verb, id, summary string) operation {
		return operation{method: "post", path: approval + ":" + verb, id: id, tag: "governance", summary: summary, out: one, errors: gone}
	}
	example := obj{"purpose": "refund", "integration": "acme-crm", "collection": "cards", "records": []string{"rec-1"}, "fields": []string{"number"},
		"uses": 1, "ttl": "15m", "reason": "ticket 4711"}
	return []operation{
		{method: "get", path: "/v1/approvals", id: "listApprovals", tag: "governance", summary: "List the approvals that concern the caller",
			description: "All of them for whoever decides about approvals or audits.",
			out:         []answer{{200, "The approvals, the newest first.", jsonOf("ApprovalList"), nil}}},
		{method: "post", path: "/v1/approvals", id: "requestApproval", tag: "governance", summary: "Ask for an approval to read fields with x-approval",
			in: body("ApprovalSpec", example), out: []answer{{201, "It waits for a second person.", jsonOf("Approval"), []string{"Location"}}},
			errors: []int{404, 409, 422}},
		{method: "get", path: approval, id: "getApproval", tag: "governance", summary: "Read an approval", out: one, errors: []int{404}},
		decide("approve", "approveRead", "Let a client read what an approval was asked for"),
		decide("reject", "rejectRead", "Refuse an approval"),
		decide("revoke", "revokeRead", "End an approval"),
	}
}

func governanceSchemas() obj {
	states := func(names ...string) obj { return obj{"type": "string", "enum": names} }
	governance := obj{"two_person": obj{"type": "boolean", "description": "Changes that widen access to values wait for a second person."}}
	spec := obj{
		"client":      text("Who is to read. Default: who asks; another client takes the right to manage clients."),
		"purpose":     obj{"type": "string", "pattern": "^[a-z0-9-]{1,64}$", "description": "What the request will say in Strongroom-Purpose."},
		"integration": obj{"type": "string"}, "collection": obj{"type": "string"}, "records": texts, "fields": texts,
		"uses":   obj{"type": "integer", "minimum": 0, "maximum": 1000, "description": "How many reads it is good for. Default 1."},
		"ttl":    text("From the moment of approval, 1m to 1h. Default 15m."),
		"reason": text("For whoever decides."),
	}
	asks := []string{"purpose", "integration", "collection", "records", "fields"}
	decided := obj{"requester": obj{"type": "string"}, "requested_at": instant(), "expires_at": instant(), "decider": obj{"type": "string"}, "decided_at": instant()}
	return obj{
		"GovernanceSpec": asked([]string{"two_person"}, governance),
		"Governance":     answered([]string{"two_person"}, all(governance, obj{"updated_at": instant(), "updated_by": obj{"type": "string"}})),
		"Change": answered([]string{"id", "kind", "target", "state", "requester", "requested_at", "expires_at", "affects"}, all(decided, obj{
			"id": obj{"type": "string"}, "target": text("What it is about: kind/name."),
			"kind":      states("put-role", "delete-role", "put-client", "create-secret", "put-issuer", "put-collection", "put-limit", "delete-limit", "two-person"),
			"state":     states("pending", "approved", "rejected", "withdrawn", "expired"),
			"secret_id": text("Of a secret that counts once it is approved."), "base_version": whole(0),
			"affects":  list(text("Who has the role, or what roles the client gets, with versions: kind/name@version.")),
			"document": obj{"type": "object", "additionalProperties": true, "description": "What it is to become."},
			"current":  obj{"type": "object", "additionalProperties": true, "description": "What it is."}})),
		"ChangeList": listOf("Change"),
		"PendingChange": answered([]string{"change"}, obj{"change": ref("schemas", "Change"), "secret_id": obj{"type": "string"},
			"client_secret": text("Shown once, now; it counts once the change is approved.")}),
		"ApprovalSpec": asked(asks, spec),
		"Approval": answered(append([]string{"id", "uses_left", "state", "requester", "requested_at", "expires_at"}, asks...), all(spec, decided, obj{
			"id": obj{"type": "string"}, "uses_left": whole(0),
			"state": states("pending", "approved", "rejected", "revoked", "used", "expired")})),
		"ApprovalList": listOf("Approval"),
	}
}
