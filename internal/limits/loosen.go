package limits

import "slices"

// Loosens reports whether next in the place of old may let somebody open more
// than old did, or shows more of it once the budget is used up. Nil is no limit.
// Rates give nobody a value: exposure alone counts. What cannot be seen to bound
// as much is looser: a window of another length begins from nothing.
func Loosens(old, next *Definition) bool {
	switch {
	case !old.bounds():
		return false
	case !next.bounds():
		return true
	}
	a, b := old.Exposure, next.Exposure
	return !reaches(next.Clients, old.Clients) || !reaches(next.Roles, old.Roles) ||
		!standsIn(a.Records, b.Records) || !standsIn(a.Fields, b.Fields) || weight(b.Exhausted) < weight(a.Exhausted)
}

func (d *Definition) bounds() bool { return d != nil && !d.Disabled && d.Exposure != nil }

// Exposes reports whether the definition bounds what a client with these roles
// opens.
func (d *Definition) Exposes(client string, roles []string) bool {
	return d.bounds() && (&budget{def: d}).concerns(client, roles)
}

// reaches reports whether a list of globs is for all that another is for.
func reaches(list, all []string) bool {
	if len(list) == 0 {
		return true
	}
	missing := func(g string) bool { return !slices.Contains(list, g) }
	return len(all) > 0 && !slices.ContainsFunc(all, missing)
}

// standsIn reports whether each window still stands, with no more room.
func standsIn(old, next []Window) bool {
	return !slices.ContainsFunc(old, func(o Window) bool {
		return !slices.ContainsFunc(next, func(n Window) bool { return n.Window == o.Window && n.Limit <= o.Limit })
	})
}

// weight orders what becomes of a read by how little of it is shown.
func weight(e Exhausted) int { return slices.Index([]Exhausted{Throttle, Mask, Refuse}, e) }
