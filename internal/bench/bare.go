package bench

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"strongroom/store/bolt/floor"
)

// Bare is the floor of an API: what a net/http server answers that does nothing
// but answer, and what it stores for each POST.
type Bare struct {
	Read   json.RawMessage `json:"read"`   // the body of a real answer of a read
	Write  json.RawMessage `json:"write"`  // of a write
	Stored int             `json:"stored"` // bytes that a write stores
}

// Serve answers each GET over TLS 1.3 with the bytes of a read. A POST's body is
// read, as many bytes as the store would store are made durable in store by raw
// bbolt, and the bytes of a write are the answer. It serves until the listener
// closes.
func (b *Bare) Serve(l net.Listener, cert tls.Certificate, store *floor.Store) error {
	value := newMaker(1).text(nil, b.Stored)
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				answer(w, http.StatusOK, b.Read)
				return
			}
			_, err := io.ReadAll(r.Body)
			if err == nil {
				err = store.Put(value)
			}
			if err != nil {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			answer(w, http.StatusCreated, b.Write)
		}),
	}
	return server.ServeTLS(l, "", "")
}

func answer(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
