package api

import (
	"net/http"
	"strconv"
	"strings"

	"strongroom/store"
)

// An entity tag here is a revision (of a record) or a version (of anything
// else), for records followed by a dash and a hash of what was answered:
// "7-9f86d081884c7d65". If-Match compares the number alone; If-None-Match
// compares the whole tag.

// setETag sets the ETag header. The tag comes with its quotes.
func (c *call) setETag(tag string) {
	if tag != "" {
		c.w.Header()["Etag"] = []string{tag}
	}
}

// versionTag is the entity tag of something that has a version.
func versionTag(version uint64) string { return `"` + strconv.FormatUint(version, 10) + `"` }

// precondition reads If-Match and If-None-Match of a request that changes
// something.
func precondition(h http.Header) (store.Precondition, error) {
	var p store.Precondition
	if given := h["If-Match"]; len(given) > 0 {
		tags, any, ok := parseTags(given)
		if !ok {
			return p, refuse(errRequest, "If-Match is not a list of entity tags")
		}
		p.Exists = any
		for _, t := range tags {
			p.IfMatch = append(p.IfMatch, t.revision())
		}
	}
	if given := h["If-None-Match"]; len(given) > 0 {
		_, any, ok := parseTags(given)
		if !ok || !any {
			return p, refuse(errRequest, "If-None-Match of a change can only be *")
		}
		p.Absent = true
	}
	return p, nil
}

// ifNoneMatch reads If-None-Match of a read: the tags that its caller has, with
// their quotes, or that any will do.
func ifNoneMatch(h http.Header) (have []string, any bool, err error) {
	given := h["If-None-Match"]
	if len(given) == 0 {
		return nil, false, nil
	}
	tags, any, ok := parseTags(given)
	if !ok {
		return nil, false, refuse(errRequest, "If-None-Match is not a list of entity tags")
	}
	for _, t := range tags {
		have = append(have, `"`+t.opaque+`"`) // weak comparison: RFC 9110, section 13.1.2
	}
	return have, any, nil
}

// entityTag is one tag of a list, without its quotes.
type entityTag struct {
	opaque string
	weak   bool
}

// revision returns the number that the tag begins with. One that is not ours
// or is weak (RFC 9110, section 13.1.1) gives 0, which no revision is, so that
// it never matches.
func (t entityTag) revision() uint64 {
	digits, _, _ := strings.Cut(t.opaque, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || t.weak || strconv.FormatUint(n, 10) != digits {
		return 0
	}
	return n
}

// maxTags bounds a list of entity tags.
const maxTags = 32

// parseTags reads the lists of RFC 9110, sections 13.1.1 and 13.1.2: "*" alone,
// or entity tags with commas between them.
func parseTags(headers []string) (tags []entityTag, any, ok bool) {
	text := strings.Trim(strings.Join(headers, ","), " \t")
	if text == "*" {
		return nil, true, true
	}
	for {
		var t entityTag
		if t, text, ok = cutTag(text); !ok || len(tags) == maxTags {
			return nil, false, false
		}
		tags = append(tags, t)
		if text == "" {
			return tags, false, true
		}
		if text[0] != ',' {
			return nil, false, false
		}
		text = strings.TrimLeft(text[1:], " \t")
	}
}

// cutTag takes the first entity tag off a text and the blanks behind it.
func cutTag(text string) (t entityTag, rest string, ok bool) {
	text, t.weak = strings.CutPrefix(text, "W/")
	text, quoted := strings.CutPrefix(text, `"`)
	t.opaque, rest, ok = strings.Cut(text, `"`)
	tagByte := func(b byte) bool { return b > ' ' && b != 0x7f }
	return t, strings.TrimLeft(rest, " \t"), quoted && ok && only(t.opaque, tagByte)
}
