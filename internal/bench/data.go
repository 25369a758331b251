package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// schema is the shape of the records that are measured: eight text fields, one
// of which has an index.
const schema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["email"],
  "properties": {
    "email":    {"type": "string", "maxLength": 200, "x-index": "exact", "x-normalise": "lowercase"},
    "name":     {"type": "string", "maxLength": 200},
    "phone":    {"type": "string", "maxLength": 200},
    "street":   {"type": "string", "maxLength": 200},
    "city":     {"type": "string", "maxLength": 200},
    "country":  {"type": "string", "maxLength": 200},
    "card":     {"type": "string", "maxLength": 200, "x-mask": "last4"},
    "note":     {"type": "string", "maxLength": 200}
  }
}`

const letters = "abcdefghijklmnopqrstuvwxyz0123456789"

// maker makes records of 8 fields of about 64 bytes each, the same for the same
// number, so that a search knows what to ask for.
type maker struct{ r *rand.Rand }

func newMaker(seed uint64) *maker { return &maker{rand.New(rand.NewPCG(seed, 17))} }

func emailOf(n uint64) string {
	return "customer-" + strconv.FormatUint(n*2654435761%(1<<32), 36) + "-" + strconv.FormatUint(n, 10) + "@mail.of.a.fictitious.example.com"
}

func (m *maker) text(dst []byte, n int) []byte {
	bits := m.r.Uint64()
	for i := range n {
		if i%12 == 11 {
			bits = m.r.Uint64()
		}
		dst = append(dst, letters[bits%36])
		bits /= 36
	}
	return dst
}

// record appends the body of a create to dst.
func (m *maker) record(dst []byte, n uint64) []byte {
	dst = append(dst, `{"fields":`...)
	dst = m.fields(dst, n)
	return append(dst, '}')
}

// fields appends the fields' object alone: its bytes are the plaintext.
func (m *maker) fields(dst []byte, n uint64) []byte {
	dst = append(append(dst, `{"email":"`...), emailOf(n)...)
	for _, name := range [...]string{"name", "phone", "street", "city", "country", "card", "note"} {
		dst = append(append(append(dst, `","`...), name...), `":"`...)
		dst = m.text(dst, 64)
	}
	return append(dst, `"}`...)
}

func (m *maker) search(dst []byte, n uint64) []byte {
	return fmt.Appendf(dst, `{"where":{"email":%q},"fields":["email","name","phone","street","city","country","card","note"],"limit":10}`, emailOf(n))
}
