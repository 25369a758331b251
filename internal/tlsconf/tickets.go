package tlsconf

import (
	"crypto/rand"
	"crypto/tls"
	"time"
)

// ticketLife is how long a key makes tickets; it opens them for as long again.
const ticketLife = 12 * time.Hour

// tickets are the keys of session tickets, the current first. Whoever learns
// one can read what a client sends first on sessions of TLS 1.2 that it
// resumes, so none lives for longer than a day, and none is written anywhere.
type tickets struct {
	keys [][32]byte
	made time.Time
}

// turn makes a new key when the current one is due, and tells whether it did.
func (t *tickets) turn(now time.Time) bool {
	if len(t.keys) > 0 && now.Sub(t.made) < ticketLife {
		return false
	}
	t.add(now)
	return true
}

func (t *tickets) add(now time.Time) {
	var key [32]byte
	rand.Read(key[:])
	t.keys = append([][32]byte{key}, t.keys...)
	if len(t.keys) > 2 {
		t.keys = t.keys[:2]
	}
	t.made = now
}

// forget makes every ticket worthless.
func (t *tickets) forget() {
	t.keys = nil
	t.add(time.Now())
}

func (t *tickets) give(to *tls.Config) { to.SetSessionTicketKeys(t.keys) }
