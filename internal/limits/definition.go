package limits

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom/internal/span"
	"strongroom/internal/strict"
)

// Bounds of definitions.
const (
	MaxLimits    = 64 // definitions of a store
	maxText      = 16 << 10
	maxSelectors = 64
	maxWindows   = 8 // of a definition, exposure apart
	maxCount     = 1 << 31
	maxSpan      = 31 * 24 * time.Hour
	byteUnit     = 64 // bytes are counted in so many at once, rounded up
)

// Scope says what has a counter of its own.
type Scope string

// The scopes.
const (
	PerClient  Scope = "client"  // each client
	PerRole    Scope = "role"    // each role that the limit names, shared by its clients
	PerAddress Scope = "address" // each IPv4 address, each IPv6 /64 network; before anybody is authenticated
	InTotal    Scope = "total"   // all requests that match, together
)

// Exhausted says what becomes of a read when a budget of exposure is used up.
type Exhausted string

// The ways.
const (
	Mask     Exhausted = "mask"     // records that are new to the window come redacted
	Refuse   Exhausted = "refuse"   // they are refused with Retry-After
	Throttle Exhausted = "throttle" // each waits until the window, spread evenly, would grant one
)

// Span is a duration of whole seconds that is written like 1s or 24h.
type Span = span.Span

// Window is so many within so long.
type Window struct {
	Limit  uint64 `json:"limit"`
	Window Span   `json:"window"`
}

// Definition is a limit as it is written.
type Definition struct {
	Description string `json:"description,omitempty"`
	Disabled    bool   `json:"disabled,omitempty"`
	Per         Scope  `json:"per"`

	// Whom and what it is for. An empty list is everybody, and every route.
	Clients   []string `json:"clients,omitempty"`   // globs
	Roles     []string `json:"roles,omitempty"`     // globs; a client matches by any of its roles
	Addresses []string `json:"addresses,omitempty"` // networks: 192.0.2.0/24
	Routes    []string `json:"routes,omitempty"`    // groups, or templates of the OpenAPI document

	Requests      []Window `json:"requests,omitempty"`
	RequestBytes  []Window `json:"request_bytes,omitempty"`
	ResponseBytes []Window `json:"response_bytes,omitempty"`
	Concurrency   uint64   `json:"concurrency,omitempty"` // requests under way at once
	Exposure      *Budget  `json:"exposure,omitempty"`
}

// Budget bounds how many distinct records, and fields of records, are opened
// for one client.
type Budget struct {
	Records   []Window  `json:"records,omitempty"`
	Fields    []Window  `json:"fields,omitempty"`
	Exhausted Exhausted `json:"when_exhausted"`
}

// Parse reads a definition from JSON. It is strict; its error is a *strict.Invalid.
func Parse(raw []byte) (*Definition, error) {
	var d Definition
	if err := strict.Decode(raw, "limit", maxText, &d); err != nil {
		return nil, err
	}
	bad := &strict.Invalid{What: "limit"}
	d.check(bad)
	if err := bad.Err(); err != nil {
		return nil, err
	}
	return &d, nil
}

func (d *Definition) check(bad *strict.Invalid) {
	switch d.Per {
	case PerClient, PerRole, InTotal:
	case PerAddress:
		if len(d.Clients)+len(d.Roles) > 0 {
			bad.Add("/per", "addresses are counted before the client is known: leave clients and roles out")
		}
	default:
		bad.Add("/per", "must be client, role, address or total")
	}
	if len(d.Description) > 1024 {
		bad.Add("/description", "has at most 1024 bytes")
	}
	d.checkSelectors(bad)
	d.checkWindows(bad)
	d.checkConnection(bad)
	if d.Exposure != nil {
		d.checkExposure(bad)
	}
}

func (d *Definition) checkSelectors(bad *strict.Invalid) {
	each := func(member string, list []string, ok func(string) bool, detail string) {
		if len(list) > maxSelectors {
			bad.Add("/"+member, "has at most "+strconv.Itoa(maxSelectors)+" members")
		}
		for i, text := range list {
			if !ok(text) {
				bad.Add(fmt.Sprintf("/%s/%d", member, i), detail)
			}
		}
	}
	each("clients", d.Clients, validGlob, "is no name of a client, with * for any characters")
	each("roles", d.Roles, validGlob, "is no name of a role, with * for any characters")
	each("addresses", d.Addresses, func(s string) bool { _, err := netip.ParsePrefix(s); return err == nil }, "is no network like 192.0.2.0/24")
	each("routes", d.Routes, validRoute, "is no group ("+strings.Join(GroupNames(), ", ")+") and no route's template")
}

// checkConnection keeps limits of connections apart: they are judged before there
// is a request.
func (d *Definition) checkConnection(bad *strict.Invalid) {
	if !slices.Contains(d.Routes, "connection") {
		return
	}
	if len(d.Routes) > 1 || len(d.RequestBytes)+len(d.ResponseBytes) > 0 || d.Exposure != nil {
		bad.Add("/routes", "a limit of connections is for nothing else, and counts requests and concurrency alone")
	}
	if d.Per != PerAddress && d.Per != InTotal || len(d.Clients)+len(d.Roles) > 0 {
		bad.Add("/per", "connections are counted by address or in total")
	}
}

func validRoute(s string) bool {
	return groupOf(s) != 0 || strings.HasPrefix(s, "/") && len(s) <= 256
}

func validGlob(s string) bool {
	return s != "" && len(s) <= 128 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-*") == ""
}

func (d *Definition) checkWindows(bad *strict.Invalid) {
	all := len(d.Requests) + len(d.RequestBytes) + len(d.ResponseBytes)
	if all > maxWindows {
		bad.Add("", "a limit has at most "+strconv.Itoa(maxWindows)+" windows")
	}
	if all == 0 && d.Concurrency == 0 && d.Exposure == nil {
		bad.Add("", "name at least one of requests, request_bytes, response_bytes, concurrency and exposure")
	}
	if d.Concurrency > maxCount {
		bad.Add("/concurrency", "is out of range")
	}
	checkWindows(bad, "/requests", d.Requests, maxCount)
	checkWindows(bad, "/request_bytes", d.RequestBytes, maxCount*byteUnit)
	checkWindows(bad, "/response_bytes", d.ResponseBytes, maxCount*byteUnit)
}

func checkWindows(bad *strict.Invalid, pointer string, list []Window, most uint64) {
	for i, w := range list {
		at := fmt.Sprintf("%s/%d", pointer, i)
		if w.Limit < 1 || w.Limit > most {
			bad.Add(at+"/limit", "must be from 1 to "+strconv.FormatUint(most, 10))
		}
		if d := time.Duration(w.Window); d < time.Second || d > maxSpan || d%time.Second != 0 {
			bad.Add(at+"/window", "must be whole seconds, from 1s to 744h")
		}
		if slices.ContainsFunc(list[:i], func(o Window) bool { return o.Window == w.Window }) {
			bad.Add(at+"/window", "stands there twice")
		}
	}
}

func (d *Definition) checkExposure(bad *strict.Invalid) {
	b := d.Exposure
	if d.Per != PerClient {
		bad.Add("/exposure", "is counted for each client: per must be client")
	}
	if len(d.Routes)+len(d.Addresses) > 0 {
		bad.Add("/exposure", "counts whatever the route and the address: leave both out")
	}
	if len(b.Records)+len(b.Fields) == 0 || len(b.Records)+len(b.Fields) > 4 {
		bad.Add("/exposure", "has one to four windows of records and fields")
	}
	if b.Exhausted != Mask && b.Exhausted != Refuse && b.Exhausted != Throttle {
		bad.Add("/exposure/when_exhausted", "must be mask, refuse or throttle")
	}
	checkWindows(bad, "/exposure/records", b.Records, maxCount)
	checkWindows(bad, "/exposure/fields", b.Fields, maxCount)
}
