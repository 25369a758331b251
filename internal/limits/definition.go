package limits

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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
type Span time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = Span(d)
	return err
}

// MarshalText writes what UnmarshalText reads, without zero units.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is the shortest text of the span in hours, minutes or seconds.
func (s Span) String() string {
	d := time.Duration(s)
	switch {
	case d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d%time.Minute == 0:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

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

// Issue is one thing that is wrong with a definition.
type Issue struct {
	Pointer string // JSON Pointer (RFC 6901) into the definition
	Detail  string // a sentence that repeats nothing of it
}

// Invalid is the error of Parse: everything that is wrong.
type Invalid struct{ Issues []Issue }

// Error names the first issue and how many there are.
func (e *Invalid) Error() string {
	return fmt.Sprintf("limits: invalid definition (%d): %q: %s", len(e.Issues), e.Issues[0].Pointer, e.Issues[0].Detail)
}

func (e *Invalid) add(pointer, detail string) {
	e.Issues = append(e.Issues, Issue{pointer, detail})
}

// Parse reads a definition from JSON. It is strict; its error is an *Invalid.
func Parse(raw []byte) (*Definition, error) {
	if len(raw) > maxText {
		return nil, &Invalid{[]Issue{{"", "a limit has at most 16 KiB"}}}
	}
	var d Definition
	if err := json.Unmarshal(raw, &d, json.RejectUnknownMembers(true)); err != nil {
		return nil, &Invalid{[]Issue{decodeIssue(err)}}
	}
	var bad Invalid
	d.check(&bad)
	if len(bad.Issues) > 0 {
		return nil, &bad
	}
	return &d, nil
}

func decodeIssue(err error) Issue {
	var syntactic *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &semantic) && errors.Is(err, json.ErrUnknownName):
		return Issue{string(semantic.JSONPointer), "is not a member of a limit"}
	case errors.As(err, &semantic):
		return Issue{string(semantic.JSONPointer), "has the wrong type, or is no duration"}
	case errors.As(err, &syntactic):
		return Issue{string(syntactic.JSONPointer), "is not well-formed, or there twice"}
	}
	return Issue{"", "is not well-formed"}
}

func (d *Definition) check(bad *Invalid) {
	switch d.Per {
	case PerClient, PerRole, InTotal:
	case PerAddress:
		if len(d.Clients)+len(d.Roles) > 0 {
			bad.add("/per", "addresses are counted before the client is known: leave clients and roles out")
		}
	default:
		bad.add("/per", "must be client, role, address or total")
	}
	if len(d.Description) > 1024 {
		bad.add("/description", "has at most 1024 bytes")
	}
	d.checkSelectors(bad)
	d.checkWindows(bad)
	d.checkConnection(bad)
	if d.Exposure != nil {
		d.checkExposure(bad)
	}
}

func (d *Definition) checkSelectors(bad *Invalid) {
	each := func(member string, list []string, ok func(string) bool, detail string) {
		if len(list) > maxSelectors {
			bad.add("/"+member, "has at most "+strconv.Itoa(maxSelectors)+" members")
		}
		for i, text := range list {
			if !ok(text) {
				bad.add(fmt.Sprintf("/%s/%d", member, i), detail)
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
func (d *Definition) checkConnection(bad *Invalid) {
	if !slices.Contains(d.Routes, "connection") {
		return
	}
	if len(d.Routes) > 1 || len(d.RequestBytes)+len(d.ResponseBytes) > 0 || d.Exposure != nil {
		bad.add("/routes", "a limit of connections is for nothing else, and counts requests and concurrency alone")
	}
	if d.Per != PerAddress && d.Per != InTotal || len(d.Clients)+len(d.Roles) > 0 {
		bad.add("/per", "connections are counted by address or in total")
	}
}

func validRoute(s string) bool {
	return groupOf(s) != 0 || strings.HasPrefix(s, "/") && len(s) <= 256
}

func validGlob(s string) bool {
	return s != "" && len(s) <= 128 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-*") == ""
}

func (d *Definition) checkWindows(bad *Invalid) {
	all := len(d.Requests) + len(d.RequestBytes) + len(d.ResponseBytes)
	if all > maxWindows {
		bad.add("", "a limit has at most "+strconv.Itoa(maxWindows)+" windows")
	}
	if all == 0 && d.Concurrency == 0 && d.Exposure == nil {
		bad.add("", "name at least one of requests, request_bytes, response_bytes, concurrency and exposure")
	}
	if d.Concurrency > maxCount {
		bad.add("/concurrency", "is out of range")
	}
	checkWindows(bad, "/requests", d.Requests, maxCount)
	checkWindows(bad, "/request_bytes", d.RequestBytes, maxCount*byteUnit)
	checkWindows(bad, "/response_bytes", d.ResponseBytes, maxCount*byteUnit)
}

func checkWindows(bad *Invalid, pointer string, list []Window, most uint64) {
	for i, w := range list {
		at := fmt.Sprintf("%s/%d", pointer, i)
		if w.Limit < 1 || w.Limit > most {
			bad.add(at+"/limit", "must be from 1 to "+strconv.FormatUint(most, 10))
		}
		if d := time.Duration(w.Window); d < time.Second || d > maxSpan || d%time.Second != 0 {
			bad.add(at+"/window", "must be whole seconds, from 1s to 744h")
		}
		if slices.ContainsFunc(list[:i], func(o Window) bool { return o.Window == w.Window }) {
			bad.add(at+"/window", "stands there twice")
		}
	}
}

func (d *Definition) checkExposure(bad *Invalid) {
	b := d.Exposure
	if d.Per != PerClient {
		bad.add("/exposure", "is counted for each client: per must be client")
	}
	if len(d.Routes)+len(d.Addresses) > 0 {
		bad.add("/exposure", "counts whatever the route and the address: leave both out")
	}
	if len(b.Records)+len(b.Fields) == 0 || len(b.Records)+len(b.Fields) > 4 {
		bad.add("/exposure", "has one to four windows of records and fields")
	}
	if b.Exhausted != Mask && b.Exhausted != Refuse && b.Exhausted != Throttle {
		bad.add("/exposure/when_exhausted", "must be mask, refuse or throttle")
	}
	checkWindows(bad, "/exposure/records", b.Records, maxCount)
	checkWindows(bad, "/exposure/fields", b.Fields, maxCount)
}
