package limits

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// handshakeWait bounds how long a connection waits for its turn to shake hands.
const handshakeWait = 5 * time.Second

// Door is a listener that keeps connections within the limits of connections:
// one too many is reset at once, which costs some microseconds, before the TLS
// handshake, which costs the server most of all that a stranger can ask for. Of
// those that it lets in, only half as many as there are processors do the costly
// part of a handshake at a time; the other half serves who is in.
type Door struct {
	net.Listener
	limiter    *Limiter
	handshakes chan struct{}
	refused    atomic.Uint64
}

// NewDoor wraps a listener.
func NewDoor(l net.Listener, limiter *Limiter) *Door {
	return &Door{Listener: l, limiter: limiter, handshakes: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// Refused returns how many connections were reset.
func (d *Door) Refused() uint64 { return d.refused.Load() }

// Accept returns the next connection that the limits allow.
func (d *Door) Accept() (net.Conn, error) {
	for {
		raw, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &guarded{Conn: raw, door: d}
		tcp, isTCP := raw.(*net.TCPConn)
		if err := d.limiter.AdmitConnection(&c.ticket, addressOf(raw)); err == nil {
			if isTCP {
				_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true})
			}
			return c, nil
		}
		d.refused.Add(1)
		if isTCP {
			_ = tcp.SetLinger(0) // a reset: nothing of it stays behind
		}
		_ = raw.Close()
	}
}

func addressOf(c net.Conn) netip.Addr {
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr()
	}
	return netip.IPv6Unspecified()
}

// guarded is a connection. From the arrival of its first bytes to the server's
// first answer lie key exchange and signature: that part takes turns. Whoever
// stops in the middle of it has no turn while he is waited for.
type guarded struct {
	net.Conn
	door   *Door
	ticket Ticket
	closed sync.Once
	phase  atomic.Uint32
}

// The phases of a handshake.
const (
	waiting   uint32 = iota // for bytes of the client
	computing               // it holds a turn
	answered
)

// Read takes a turn when bytes have come before the first answer.
func (c *guarded) Read(b []byte) (int, error) {
	if c.phase.Load() == answered {
		return c.Conn.Read(b)
	}
	c.giveBack(waiting)
	n, err := c.Conn.Read(b)
	if n > 0 && !c.takeTurn() {
		return 0, os.ErrDeadlineExceeded
	}
	return n, err
}

func (c *guarded) takeTurn() bool {
	timer := time.NewTimer(handshakeWait)
	defer timer.Stop()
	select {
	case c.door.handshakes <- struct{}{}:
	case <-timer.C:
		return false
	}
	if !c.phase.CompareAndSwap(waiting, computing) { // it was closed meanwhile
		<-c.door.handshakes
	}
	return true
}

// giveBack gives the turn back if there is one.
func (c *guarded) giveBack(next uint32) {
	if c.phase.Swap(next) == computing {
		<-c.door.handshakes
	}
}

// Write gives the turn back: the costly part is done.
func (c *guarded) Write(b []byte) (int, error) {
	if c.phase.Load() != answered {
		c.giveBack(answered)
	}
	return c.Conn.Write(b)
}

// Close closes the connection, once, and lets the next one in.
func (c *guarded) Close() error {
	c.giveBack(answered)
	c.closed.Do(func() { c.door.limiter.Finish(&c.ticket, 0, 0) })
	return c.Conn.Close()
}
