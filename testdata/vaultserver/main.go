// Command vaultserver is a real Vault server for Strongroom's tests, made of
// Vault's own packages: the transit and kv engines, four ways to log in, file
// storage and one unseal share. It is a module of its own so that nothing of
// it, nor of what it needs, is linked into Strongroom or stands in its go.mod.
//
//	vaultserver -dir DIR [-temporary] [-listen 127.0.0.1:0] [-tls-listen 127.0.0.1:0]
//
// A new DIR is initialised; one that was used before is unsealed again, with
// its keys and its certificate. Then one line of JSON says where it is:
//
//	{"address": URL, "tls_address": URL, "ca_pem": PEM, "root_token": TEXT, "unseal_key": HEX}
//
// It ends when its standard input does, so that it never outlives the test that
// started it; with -temporary it then removes DIR.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/vault"
)

func main() {
	dir := flag.String("dir", "", "folder of the storage")
	temporary := flag.Bool("temporary", false, "remove the folder when standard input ends")
	listen := flag.String("listen", "127.0.0.1:0", "loopback address of the plain listener")
	tlsListen := flag.String("tls-listen", "127.0.0.1:0", "loopback address of the TLS listener")
	flag.Parse()

	check(os.MkdirAll(*dir, 0o700))
	go endWithInput(*dir, *temporary)
	core, err := newCore(*dir)
	check(err)
	st, err := unseal(core, *dir)
	check(err)
	handler := vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core})
	st.TLSAddress, st.CAPEM, err = serveTLS(*tlsListen, *dir, handler)
	check(err)
	plain, err := net.Listen("tcp", *listen)
	check(err)
	st.Address = "http://" + plain.Addr().String()
	check(json.NewEncoder(os.Stdout).Encode(st))
	check(quiet(handler).Serve(plain))
}

// quiet serves without a word about handshakes that tests make fail.
func quiet(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
}

func check(err error) {
	if err != nil {
		log.Fatalf("vaultserver: %v", err)
	}
}

// endWithInput ends the process when whoever started it closes the pipe, which
// the system does when that process dies.
func endWithInput(dir string, temporary bool) {
	_, _ = io.Copy(io.Discard, os.Stdin)
	if temporary {
		_ = os.RemoveAll(dir)
	}
	os.Exit(0)
}

// serveTLS asks clients for a certificate, which the cert login then judges.
func serveTLS(address, dir string, h http.Handler) (url, caPEM string, err error) {
	pair, caPEM, err := certificateOf(dir)
	if err != nil {
		return "", "", err
	}
	l, err := tls.Listen("tcp", address, &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", "http/1.1"},
	})
	if err != nil {
		return "", "", err
	}
	go func() { check(quiet(h).Serve(l)) }()
	return "https://" + l.Addr().String(), caPEM, nil
}
