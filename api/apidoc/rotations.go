package main

const (
	rotation = "/v1/rotations/{rotation}"
	schedule = "/v1/schedules/{schedule}"
)

// orEvents is a job's document, and the same as events.
func orEvents(schema string) []content {
	return []content{{media: "application/json", schema: schema}, {media: "text/event-stream", schema: schema}}
}

const asEvents = "With Accept: text/event-stream the answer goes on: an event progress with the document whenever it changed, and an event end " +
	"with the last one, when nothing more happens by itself; an event problem when it cannot go on. A stream without an end broke off: ask again."

var statement = []content{{media: "text/plain", schema: "Text"}}

func rotationOperations() []operation {
	one := []answer{{200, "The rotation.", jsonOf("Rotation"), nil}}
	steer := func(verb, summary string) operation {
		return operation{method: "post", path: rotation + ":" + verb, id: verb + "Rotation", tag: "keys", summary: summary, out: one, errors: gone}
	}
	return []operation{
		{method: "post", path: "/v1/rotations", id: "createRotation", tag: "keys", summary: "Begin a rotation",
			description: "It goes on by itself. An integration has one rotation at a time; a second one is refused, and the detail names the first.",
			in:          body("RotationRequest", obj{"integrations": []string{"acme-*"}, "depth": "keyset", "retire": true, "reason": "end of the cryptoperiod"}),
			out:         []answer{{201, "It begins.", jsonOf("Rotation"), []string{"Location"}}}, errors: []int{404, 409, 422}},
		{method: "get", path: "/v1/rotations", id: "listRotations", tag: "keys", summary: "List the rotations that go on, and those that ended",
			out: []answer{{200, "The rotations, the newest first, without their parts.", jsonOf("RotationList"), nil}}},
		{method: "get", path: rotation, id: "getRotation", tag: "keys", summary: "Read a rotation, or follow it", description: asEvents,
			out: []answer{{200, "The rotation.", orEvents("Rotation"), nil}}, errors: []int{404}},
		steer("pause", "Stop a rotation where it is"),
		steer("resume", "Go on with a rotation that was paused or failed"),
		steer("cancel", "End a rotation none of whose keys is primary yet"),
		steer("rollback", "Bring the former keys back, as long as they exist"),
		{method: "post", path: rotation + ":throttle", id: "throttleRotation", tag: "keys", summary: "Bound how many values a rotation moves in a second",
			in: body("Throttle", obj{"rate": 5000}), out: one, errors: []int{404, 409, 422}},
		{method: "get", path: rotation + "/report", id: "rotationReport", tag: "keys", summary: "The signed report of a rotation that ended",
			description: "A signed note (golang.org/x/mod/sumdb/note) whose text is one JSON document; strongroom rotate verify checks it without a server.",
			out:         []answer{{200, "The report.", statement, nil}}, errors: gone},
	}
}

func keyOperations() []operation {
	example := obj{"rotation": obj{"integrations": []string{"*"}, "system": true, "depth": "keyset"}, "every": "2160h", "jitter": "6h",
		"window": obj{"days": []string{"sat", "sun"}, "from": "01:00", "to": "05:00"}, "time_zone": "Europe/Zurich", "max_age": "2400h"}
	one := answer{200, "The schedule.", jsonOf("Schedule"), []string{"ETag"}}
	return []operation{
		{method: "get", path: "/v1/schedules", id: "listSchedules", tag: "keys", summary: "List the schedules of rotations",
			out: []answer{{200, "All schedules.", jsonOf("ScheduleList"), nil}}},
		{method: "get", path: schedule, id: "getSchedule", tag: "keys", summary: "Read a schedule, with what it did and does next", out: []answer{one}, errors: []int{404}},
		{method: "put", path: schedule, id: "putSchedule", tag: "keys", summary: "Create or change a schedule",
			params: []string{"If-Match", "If-None-Match-Write"}, in: body("ScheduleSpec", example),
			out:    []answer{{200, "Changed.", jsonOf("Schedule"), []string{"ETag"}}, {201, "Created.", jsonOf("Schedule"), []string{"ETag", "Location"}}},
			errors: []int{409, 412, 422}},
		deletion(schedule, "deleteSchedule", "keys", "Delete a schedule; a rotation that it began goes on"),
		{method: "get", path: "/v1/keys", id: "listKeys", tag: "keys", summary: "List all keys: state, age, what is left of the cryptoperiod, the values under each",
			out: []answer{{200, "The keys of each integration, and of the system domain at the end.", jsonOf("DomainKeysList"), nil}}},
		{method: "get", path: "/v1/keys/{key}/records", id: "keyRecords", tag: "keys", summary: "List everything that a key has ever covered",
			description: "A key of the system domain covers values of the control plane. A list that fails midway ends in a broken connection. The last line has end=true.",
			out:         []answer{{200, "A record a line; schema describes one line.", []content{{media: "application/x-ndjson", schema: "CoveredLine"}}, nil}},
			errors:      []int{404, 409}},
		{method: "get", path: "/.well-known/attest-keys.json", id: "attestKeys", tag: "keys", summary: "The public keys of reports and certificates", open: true,
			description: "All that ever signed one, the one that signs now first. Keep them where the reports are.",
			out:         []answer{{200, "The keys.", jsonOf("AttestKeys"), nil}}},
	}
}

func enum(values ...string) obj { return obj{"type": "string", "enum": values} }

// span is a duration of whole seconds.
func span(what string) obj { return text(what + " Such as 36h or 90m.") }

func rotationSchemas() obj {
	str, flag, count, when := obj{"type": "string"}, obj{"type": "boolean"}, whole(0), instant()
	request := obj{
		"integrations": list(text("A name, or a pattern in which * stands for any characters.")),
		"system":       obj{"type": "boolean", "description": "The keys of the control plane too."},
		"depth":        obj{"type": "string", "enum": []string{"kek", "keyset", "data"}, "description": "Left out with compromised, which means data."},
		"reindex":      obj{"type": "boolean", "description": "With keyset: new index keys too."},
		"grace":        span("How long an old key stays disabled before it is destroyed."),
		"retire":       obj{"type": "boolean", "description": "Have the key service refuse the old versions of the KEK."},
		"trim":         obj{"type": "boolean", "description": "Have it destroy them: nothing takes that back."},
		"compromised":  text("The id of a key that others may know."),
		"rate":         obj{"type": "integer", "minimum": 0, "description": "Values a second at most; 0: as many as leave requests unharmed."},
		"reason":       text("For people, and the report."),
	}
	key := answered([]string{"purpose", "generation", "key_id"}, obj{"purpose": str, "generation": count, "key_id": str, "state": str})
	byKey := mapOf(count)
	counts := answered(nil, obj{"before": byKey, "after": byKey, "total": count, "scanned": count, "rewrapped": count, "resealed": count,
		"reindexed": count, "stale": count, "damaged": count, "bytes": count, "keysets": count})
	delete(counts, "required")
	part := answered([]string{"id", "uid", "step", "counts"}, obj{
		"id": str, "integration": text("None: the system domain."), "uid": str, "purposes": texts, "step": str, "failed": flag, "detail": text("What it waits for, or why it failed."),
		"new": list(key), "former": list(key), "old": list(key), "kek": str, "kek_from": count, "kek_to": count, "retired": flag, "trimmed": flag,
		"cursor": text("How far the sweep has come."), "counts": counts,
		"scan": answered([]string{"values", "left", "started_at", "finished_at"}, obj{"values": count, "opened": count,
			"left": count, "damaged": count, "counted": count, "named": texts, "started_at": when, "finished_at": when}),
		"sweeps": count, "grace_ends": when, "times": mapOf(instant())})
	progress := answered([]string{"done", "total", "left", "rate", "parts_done", "parts"}, obj{"done": count, "total": count,
		"left": obj{"type": "integer", "minimum": 0, "description": "Values that are under a former key now."},
		"rate": obj{"type": "number", "description": "Values a second, lately."}, "eta_seconds": obj{"type": "number"}, "parts_done": count, "parts": count})
	return obj{
		"RotationRequest": asked(nil, request),
		"Rotation": answered([]string{"id", "state", "direction", "by", "created_at", "progress", "parts", "has_report"}, all(request, obj{
			"id": str, "state": enum("pending", "running", "paused", "waiting", "failed", "done", "cancelled", "rolled_back"),
			"direction": enum("forward", "back", "cancel"), "detail": text("What it waits for, or why it failed."), "by": text("The client that asked for it."),
			"schedule": text("That it is of."), "due": when, "created_at": when, "started_at": when, "finished_at": when,
			"progress": progress, "parts": obj{"type": []string{"array", "null"}, "items": part}, "has_report": flag})),
		"RotationList": listOf("Rotation"),
		"Throttle":     asked([]string{"rate"}, obj{"rate": count}),
	}
}

func keySchemas() obj {
	str, flag, count, when := obj{"type": "string"}, obj{"type": "boolean"}, whole(0), instant()
	spec := obj{
		"rotation": ref("schemas", "RotationRequest"), "every": span("Or cron."), "start": obj{"type": "string", "format": "date-time", "description": "What every counts from."},
		"cron": text("Minute, hour, day, month, weekday; or @daily and the like."), "time_zone": text("Of cron and window, such as Europe/Zurich. Default UTC."),
		"jitter":  span("Each rotation starts later by less than this."),
		"window":  asked([]string{"from", "to"}, obj{"days": list(enum("mon", "tue", "wed", "thu", "fri", "sat", "sun")), "from": text("22:00"), "to": text("04:00: the next day.")}),
		"max_age": span("When no rotation has ended for so long, /readyz says so."), "paused": flag,
	}
	life := obj{"age_seconds": count, "cryptoperiod_left_seconds": obj{"type": "integer", "description": "Below 0: it has been used for longer than meant."}}
	kek := answered([]string{"name"}, all(life, obj{"name": str, "latest": count, "minimum": count, "available": count, "unknown": text("Why the key service did not say."),
		"versions": list(answered([]string{"version", "created_at", "keysets"}, obj{"version": count, "created_at": when, "keysets": count}))}))
	key := answered([]string{"purpose", "generation", "key_id", "state", "values"}, all(life, obj{
		"purpose": enum("wrapping", "index", "system", "system_mac"), "generation": count, "key_id": str,
		"state": enum("pending", "primary", "enabled", "disabled", "destroyed"), "created_at": when, "promoted_at": when, "retired_at": when, "disabled_at": when,
		"destroyed_at": when, "kek_version": count, "values": obj{"type": "integer", "minimum": 0, "description": "Under it now; of an index key the records that have tokens of it."}}))
	covered := answered([]string{"under"}, obj{"integration": str, "collection": str, "record": str, "revisions": count, "created_at": when,
		"control": text("kind/id"), "under": obj{"type": "boolean", "description": "A value of it is under the key now."}})
	return obj{
		"ScheduleSpec": asked([]string{"rotation"}, spec),
		"Schedule": answered([]string{"name", "rotation", "version", "created_at", "updated_at", "run"}, all(spec, obj{
			"name": str, "version": count, "created_at": when, "updated_at": when,
			"run": answered([]string{"overdue"}, obj{"last_due": when, "last_started": when, "last_rotation": str, "last_done": when, "missed": count,
				"detail": text("Why a rotation that is due did not start yet."), "next_due": when, "next_start": when, "overdue": flag})})),
		"ScheduleList": listOf("Schedule"),
		"DomainKeys": answered([]string{"uid", "kek", "keys"}, obj{"integration": text("None: the system domain."), "uid": str, "kek": kek, "keys": list(key),
			"next_rotation": when, "schedule": text("That the next rotation is of.")}),
		"DomainKeysList": listOf("DomainKeys"),
		"CoveredLine": obj{"oneOf": []obj{covered, answered([]string{"end", "count"}, obj{
			"end": obj{"type": "boolean", "description": "true: it was all."}, "count": count, "problem": ref("schemas", "Problem")})}},
		"BackupConfirmation": asked([]string{"sequence", "sha256"}, obj{"sequence": count, "sha256": text("Of the bytes that were read back, in hexadecimal.")}),
		"KnownBackup": answered([]string{"sequence", "sha256", "created_at"}, obj{"sequence": count, "sha256": str, "verified_at": when,
			"created_at": obj{"type": "string", "format": "date-time", "description": "When it was begun: everything from before is in it."}}),
		"AttestKeys": answered([]string{"keys"}, obj{"keys": list(answered([]string{"key", "created_at"}, obj{
			"key": text("As golang.org/x/mod/sumdb/note writes it."), "created_at": when, "retired_at": when}))}),
	}
}
