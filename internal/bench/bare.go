package bench

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"time"
)

// bareAnswer has the members of a record's read.
type bareAnswer struct {
	ID        string            `json:"id"`
	Revision  uint64            `json:"revision"`
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
	Labels    map[string]string `json:"labels"`
	Fields    map[string]string `json:"fields"`
	Masked    []string          `json:"masked"`
	Withheld  []string          `json:"withheld"`
}

// ServeBare is the floor of reads: a net/http server over TLS 1.3 that encodes
// an answer of the same bytes for each request and does nothing else. body is a
// real answer of a read. It serves until the listener closes.
func ServeBare(l net.Listener, cert tls.Certificate, body []byte) error {
	var answer bareAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			out, err := json.Marshal(&answer)
			if err != nil {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(out)
		}),
	}
	return server.ServeTLS(l, "", "")
}
