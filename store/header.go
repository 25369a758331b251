package store

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"strongroom/internal/uid"
)

// errLayout comes when stored bytes are not of the layout that they should
// have; to a caller it is an ErrIntegrity.
var errLayout = errors.New("store: malformed value")

// header is what a revision says of itself outside of its sealed fields. It
// never changes: its SHA-256 is authenticated with the revision's DEK.
//
// Layout, big-endian; times are unix microseconds, 0 for none:
//
//	01 | u32 schema version | u64 created | u64 updated | u64 valid until |
//	u64 erase at | 16 operation id | u16 labels (u16 len, key, u16 len, value)* |
//	u16 fields (u16 len, path)*
//
// created is the record's, updated the revision's. Labels are sorted by key.
type header struct {
	schemaVersion uint32
	created       time.Time
	updated       time.Time
	validUntil    time.Time
	eraseAt       time.Time
	operation     uid.UID
	labels        []Label
	fields        []string
}

const (
	headerFormat = 1
	headerFixed  = 1 + 4 + 4*8 + 16 + 2
)

func (h *header) encode() []byte {
	size := headerFixed + 2
	for _, l := range h.labels {
		size += 4 + len(l.Key) + len(l.Value)
	}
	for _, f := range h.fields {
		size += 2 + len(f)
	}
	b := make([]byte, 0, size)
	b = append(b, headerFormat)
	b = binary.BigEndian.AppendUint32(b, h.schemaVersion)
	for _, t := range [...]time.Time{h.created, h.updated, h.validUntil, h.eraseAt} {
		b = binary.BigEndian.AppendUint64(b, micros(t))
	}
	b = append(b, h.operation[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.labels)))
	for _, l := range h.labels {
		b = appendText(appendText(b, l.Key), l.Value)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.fields)))
	for _, f := range h.fields {
		b = appendText(b, f)
	}
	return b
}

// decodeHeader reads what encode wrote, and nothing else. Field names that are
// in names are taken from there instead of being copied; names may be nil.
func decodeHeader(b []byte, names map[string]string) (header, error) {
	var h header
	r := reader{b: b}
	if r.u8() != headerFormat {
		return header{}, errLayout
	}
	h.schemaVersion = r.u32()
	h.created = r.time()
	h.updated = r.time()
	h.validUntil = r.time()
	h.eraseAt = r.time()
	copy(h.operation[:], r.take(16))
	h.labels = r.labels()
	h.fields = r.texts(names)
	if !r.done() {
		return header{}, errLayout
	}
	return h, nil
}

func (r *reader) labels() []Label {
	n := int(r.u16())
	if n == 0 || n*4 > len(r.b) {
		r.bad = r.bad || n != 0
		return nil
	}
	labels := make([]Label, n)
	for i := range labels {
		labels[i] = Label{Key: r.text(), Value: r.text()}
		if i > 0 && labels[i].Key <= labels[i-1].Key {
			r.bad = true
		}
	}
	return labels
}

func (r *reader) texts(names map[string]string) []string {
	n := int(r.u16())
	if n == 0 || n*2 > len(r.b) {
		r.bad = r.bad || n != 0
		return nil
	}
	texts := make([]string, n)
	for i := range texts {
		b := r.take(int(r.u16()))
		known, ok := names[string(b)]
		if !ok {
			known = string(b)
		}
		texts[i] = known
	}
	return texts
}

// micros turns a time into its stored form.
func micros(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMicro())
}

// fromMicros is the inverse of micros.
func fromMicros(n uint64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(n)).UTC()
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// reader takes a stored value apart. A read past the end yields zeros and
// makes done false.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad = true
		r.b = nil
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) u8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) time() time.Time {
	n := r.u64()
	if n > math.MaxInt64 {
		r.bad = true
		return time.Time{}
	}
	return fromMicros(n)
}

func (r *reader) text() string { return string(r.take(int(r.u16()))) }

func (r *reader) done() bool { return !r.bad && len(r.b) == 0 }
