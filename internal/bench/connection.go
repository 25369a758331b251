package bench

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// connection is one persistent TLS connection that speaks just enough HTTP/1.1
// (RFC 9112) to send requests that were made before and to read answers: a
// load generator shares the machine with what it measures, and should cost
// little. It is not safe for concurrent use.
type connection struct {
	tls    *tls.Conn
	in     *bufio.Reader
	target *target
	body   []byte // of the last answer, when it was kept
}

// target is a server to load.
type target struct {
	address string
	tls     *tls.Config
	token   string
	process int // its process id; 0: not ours
}

var errProtocol = errors.New("bench: the server's answer is not HTTP/1.1 as expected")

// ioTimeout ends a measurement whose server hangs.
const ioTimeout = 60 * time.Second

func (t *target) connect() (*connection, error) {
	return t.connectFrom(nil, 10*time.Second)
}

// connectFrom connects from an address of this machine; nil: from any.
func (t *target) connectFrom(from net.IP, timeout time.Duration) (*connection, error) {
	d := net.Dialer{Timeout: timeout}
	if from != nil {
		d.LocalAddr = &net.TCPAddr{IP: from}
	}
	raw, err := d.Dial("tcp", t.address)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	_ = raw.SetDeadline(time.Now().Add(timeout))
	c := tls.Client(raw, t.tls)
	if err := c.Handshake(); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: %w", err), raw.Close())
	}
	own := *t // a connection's token changes without the others
	return &connection{tls: c, in: bufio.NewReaderSize(c, 16<<10), target: &own}, nil
}

func (c *connection) close() { _ = c.tls.Close() }

// request appends a whole request to dst. A body comes with its type.
func (t *target) request(dst []byte, method, path, contentType string, body []byte) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, path...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, t.address...)
	if t.token != "" {
		dst = append(append(dst, "\r\nAuthorization: Bearer "...), t.token...)
	}
	if contentType != "" {
		dst = append(append(dst, "\r\nContent-Type: "...), contentType...)
		dst = strconv.AppendInt(append(dst, "\r\nContent-Length: "...), int64(len(body)), 10)
	}
	return append(append(dst, "\r\n\r\n"...), body...)
}

// roundTrip sends a request and reads its answer to the end. keep leaves the
// answer's body in c.body.
func (c *connection) roundTrip(request []byte, keep bool) (status int, err error) {
	_ = c.tls.SetDeadline(time.Now().Add(ioTimeout))
	if _, err := c.tls.Write(request); err != nil {
		return 0, err
	}
	return c.read(keep)
}

// stream is roundTrip for a request so long that the server answers before it
// has read it all: reading and writing go on at the same time.
func (c *connection) stream(request []byte) (status int, err error) {
	_ = c.tls.SetDeadline(time.Now().Add(ioTimeout))
	written := make(chan error, 1)
	go func() {
		_, err := c.tls.Write(request)
		written <- err
	}()
	status, err = c.read(true)
	return status, errors.Join(err, <-written)
}

func (c *connection) read(keep bool) (status int, err error) {
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, errProtocol
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, errProtocol
	}
	length, chunked, err := c.headers()
	if err != nil {
		return 0, err
	}
	c.body = c.body[:0]
	if chunked {
		return status, c.chunks(keep)
	}
	return status, c.take(length, keep)
}

func (c *connection) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

func (c *connection) headers() (length int, chunked bool, err error) {
	for {
		line, err := c.line()
		if err != nil || len(line) == 0 {
			return length, chunked, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == 14 && bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, false, errProtocol
			}
		case len(name) == 17 && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
}

func (c *connection) take(n int, keep bool) error {
	if !keep {
		_, err := c.in.Discard(n)
		return err
	}
	old := len(c.body)
	c.body = append(c.body, make([]byte, n)...)
	_, err := io.ReadFull(c.in, c.body[old:])
	return err
}

func (c *connection) chunks(keep bool) error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return errProtocol
		}
		if err := c.take(int(n), keep); err != nil {
			return err
		}
		if _, err := c.line(); err != nil || n == 0 {
			return err
		}
	}
}
