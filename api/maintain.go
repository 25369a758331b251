package api

import (
	"context"
	_ "embed"
	"io"
	"net/http"
	"strconv"
	"time"

	"strongroom/store"
)

// keeper is what keeps the store whole and tells how it is.
type keeper interface {
	Backup(ctx context.Context, c store.Caller, w io.Writer, o store.BackupOptions) (store.BackupInfo, error)
	ConfirmBackup(ctx context.Context, c store.Caller, sequence uint64, sha256 string) (store.KnownBackup, error)
	Ready() []store.Reason
}

type backupBody struct {
	Recipient string `json:"recipient"`
}

// The trailers of a backup: they are sent when it ended well and never else.
const (
	trailerSHA256   = "Strongroom-Backup-Sha256"
	trailerEntries  = "Strongroom-Backup-Entries"
	trailerSequence = "Strongroom-Backup-Sequence"
)

// backup streams a backup. Its sum comes as a trailer; one that fails midway
// ends in a broken connection.
func (s *Server) backup(c *call) error {
	body, err := decode[backupBody](c)
	if err != nil {
		return err
	}
	out := &backupWriter{c: c, control: http.NewResponseController(c.w)}
	liftDeadlines(out.control)
	info, err := s.Store.Backup(c.ctx(), c.who, out, store.BackupOptions{Recipient: body.Recipient})
	if err != nil {
		return err
	}
	out.begin()
	_ = out.control.SetWriteDeadline(time.Now().Add(s.StreamStall))
	c.w.Header().Set(trailerSHA256, info.SHA256)
	c.w.Header().Set(trailerEntries, strconv.FormatUint(info.Entries, 10))
	c.w.Header().Set(trailerSequence, strconv.FormatUint(info.Sequence, 10))
	return nil
}

type confirmBody struct {
	Sequence *uint64 `json:"sequence"`
	SHA256   string  `json:"sha256"`
}

// confirmBackup is told that a backup was read back where it is kept.
func (s *Server) confirmBackup(c *call) error {
	body, err := decode[confirmBody](c)
	if err != nil {
		return err
	}
	if body.Sequence == nil {
		return refuseMember("/sequence", "is needed")
	}
	value, err := s.Store.ConfirmBackup(c.ctx(), c.who, *body.Sequence, body.SHA256)
	return answered(c, value, err)
}

// backupWriter begins the answer with the first byte, so that a backup that is
// refused has a status that says so.
type backupWriter struct {
	c       *call
	control *http.ResponseController
}

func (b *backupWriter) begin() {
	if b.c.status != 0 {
		return
	}
	h := b.c.w.Header()
	h["Content-Type"] = []string{mediaBytes}
	h["Content-Disposition"] = []string{`attachment; filename="strongroom.backup"`}
	h["Trailer"] = []string{trailerSHA256, trailerEntries, trailerSequence}
	b.c.status = http.StatusOK
	b.c.w.WriteHeader(http.StatusOK)
}

func (b *backupWriter) Write(p []byte) (int, error) {
	b.begin()
	_ = b.control.SetWriteDeadline(time.Now().Add(b.c.s.StreamStall))
	n, err := b.c.w.Write(p)
	_ = b.control.SetWriteDeadline(time.Time{})
	b.c.written += int64(n)
	return n, err
}

// health is how the server is. Reasons are told on the operations listener
// alone.
type health struct {
	Status  string         `json:"status"` // ready, degraded, unavailable, draining
	Reasons []store.Reason `json:"reasons,omitempty"`
}

func (s *Server) health() (health, int) {
	if s.draining.Load() {
		return health{Status: "draining"}, http.StatusServiceUnavailable
	}
	h := health{Status: "ready", Reasons: s.Ready()}
	status := http.StatusOK
	for _, r := range h.Reasons {
		switch {
		case r.Notice:
		case !r.Degraded:
			return health{"unavailable", h.Reasons}, http.StatusServiceUnavailable
		default:
			h.Status = "degraded"
		}
	}
	return h, status
}

// live answers as long as the process does.
func (s *Server) live(c *call) error { return c.sendJSON(http.StatusOK, health{Status: "live"}) }

// ready tells whether requests should be sent here.
func (s *Server) ready(c *call) error {
	h, status := s.health()
	return c.sendJSON(status, health{Status: h.Status})
}

// readyWithReasons is ready with its reasons.
func (s *Server) readyWithReasons(c *call) error {
	h, status := s.health()
	return c.sendJSON(status, h)
}

//go:generate go run ./apidoc openapi.json

//go:embed openapi.json
var openAPIDocument []byte

// openAPI answers with the OpenAPI 3.1 document of what this server does.
func (s *Server) openAPI(c *call) error { return c.send(http.StatusOK, mediaJSON, openAPIDocument) }

// delegate lets another handler answer.
func (c *call) delegate(h http.Handler) error {
	w := &countingWriter{ResponseWriter: c.w, c: c}
	h.ServeHTTP(w, c.r)
	return nil
}

// countingWriter tells a call what another handler answered.
type countingWriter struct {
	http.ResponseWriter
	c *call
}

func (w *countingWriter) WriteHeader(status int) {
	w.c.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(b []byte) (int, error) {
	if w.c.status == 0 {
		w.c.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.c.written += int64(n)
	return n, err
}
