package tlsconf

import (
	"crypto/x509"
	"time"
)

// Status is how the certificate is that the server shows.
type Status struct {
	NotBefore, NotAfter time.Time // zero: there is none yet
	Problem             string    // why what the files hold is not what is shown; empty: it is
}

// Status tells how the certificate is now. Of several that ACME keeps it is the
// one that runs out first.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Status{Problem: k.problem}
	leaf := k.leaf
	if k.acme != nil {
		leaf = k.acme.first()
		if s.Problem == "" {
			s.Problem = k.acme.trouble()
		}
	}
	if leaf != nil {
		s.NotBefore, s.NotAfter = leaf.NotBefore, leaf.NotAfter
	}
	return s
}

// Level says how urgent the end of a certificate is.
type Level int

// The levels, mild to grave.
const (
	Fine   Level = iota
	Ending       // 30 days are left, or a quarter of a shorter life
	Soon         // 7 days are left, or a twelfth of a shorter life
	Over         // it has run out, or is not valid yet
)

// Level grades what is left at a time. A certificate that lives for less than
// four months is given less notice: else one that is renewed every two months
// would be complained about half of the time.
func (s Status) Level(now time.Time) Level {
	life, left := s.NotAfter.Sub(s.NotBefore), s.NotAfter.Sub(now)
	switch {
	case left <= 0 || now.Before(s.NotBefore):
		return Over
	case left <= min(7*24*time.Hour, life/12):
		return Soon
	case left <= min(30*24*time.Hour, life/4):
		return Ending
	}
	return Fine
}

// StatusOf grades a certificate that is not served.
func StatusOf(leaf *x509.Certificate) Status {
	return Status{NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter}
}
