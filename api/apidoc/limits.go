package main

func limitSchemas() obj {
	windows := list(asked([]string{"limit", "window"}, obj{"limit": whole(1), "window": text("Whole seconds, such as 1s or 24h; at most 744h.")}))
	spec := obj{
		"description": obj{"type": "string", "maxLength": 1024}, "disabled": obj{"type": "boolean"},
		"per":     obj{"type": "string", "enum": []string{"client", "role", "address", "total"}, "description": "What has a counter of its own."},
		"clients": texts, "roles": texts, "addresses": texts, "routes": texts,
		"requests": windows, "request_bytes": windows, "response_bytes": windows, "concurrency": whole(0),
		"exposure": asked([]string{"when_exhausted"}, obj{"records": windows, "fields": windows,
			"when_exhausted": obj{"type": "string", "enum": []string{"mask", "refuse", "throttle"}}}),
	}
	state := obj{"what": obj{"type": "string"}, "window": obj{"type": "string"}, "limit": whole(1), "used": whole(0),
		"reset_in": obj{"type": "integer", "description": "Seconds until the first of it comes back."}}
	needed := []string{"what", "window", "limit", "used", "reset_in"}
	use := answered([]string{"counted", "refused", "most_used"}, obj{
		"counted": whole(0), "refused": whole(0),
		"most_used": list(answered([]string{"who", "under_way"}, obj{"who": obj{"type": "string"}, "under_way": whole(0), "windows": list(answered(needed, state))})),
		"exposure":  list(answered(append([]string{"client"}, needed...), all(state, obj{"client": obj{"type": "string"}})))})
	return obj{
		"LimitSpec": asked([]string{"per"}, spec),
		"Limit": answered([]string{"name", "builtin", "version", "per", "use"}, all(spec, obj{"name": obj{"type": "string"},
			"builtin": obj{"type": "boolean", "description": "Nobody stored one of this name."}, "version": whole(0),
			"created_at": instant(), "updated_at": instant(), "use": use})),
		"LimitList": listOf("Limit"),
	}
}
