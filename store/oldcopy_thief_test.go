package store_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/internal/vaulttest"
	"strongroom/store"
	"strongroom/vaultkeys"
	"strongroom/vaultkeys/transit"
)

// thief has an old file of a store, its present one, and every right at Vault.
type thief struct {
	t       *testing.T
	keys    *transit.Provider
	relabel *atomic.Int64 // ciphertexts are sent to Vault as of this version; 0: as of their own
	live    *store.Store
	ref     store.CollectionRef
	store   uid.UID
	in      uid.UID
	present store.Haul
}

func newThief(t *testing.T, v *vaulttest.Server, live *store.Store, ref store.CollectionRef, in uid.UID) *thief {
	t.Helper()
	th := &thief{t: t, relabel: new(atomic.Int64), live: live, ref: ref, store: live.UID(), in: in}
	version := regexp.MustCompile(`vault:v[0-9]+:`)
	address := v.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if n := th.relabel.Load(); n > 0 {
			body, _ := io.ReadAll(r.Body)
			body = version.ReplaceAll(body, fmt.Appendf(nil, "vault:v%d:", n))
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		next.ServeHTTP(w, r)
	}).Address
	token := vaulttest.WriteFile(t, "root-token", v.RootToken)
	keys, err := transit.Open(t.Context(), transit.Config{Address: address, Timeout: patient, Auth: transit.Auth{Method: transit.MethodToken, TokenFile: token}})
	need(t, err)
	t.Cleanup(func() { keys.Close() })
	th.keys = keys
	return th
}

// patient is a deadline that nothing reaches by accident.
const patient = 20 * time.Second

// loot is what a thief got out of an old file.
type loot struct {
	keysets    map[string]error             // of each wrapped keyset of the old file: nil when it was opened
	relabelled []error                      // of those sent to Vault as of another version
	deks       map[string][]error           // by record: of each try to open a DEK that lies there
	direct     map[string]map[string]string // by record: fields opened by a DEK that lies there
	opened     map[string]map[string]string // and by whatever DEK
	matched    map[string]bool              // values whose token lies there
	guesses    int                          // that were held against an entry
}

// rob tries everything that lies in an old file with everything that can be had
// from Vault now.
func (th *thief) rob(old store.Haul, dictionary map[string][]string) *loot {
	l := &loot{
		keysets: map[string]error{}, deks: map[string][]error{}, matched: map[string]bool{},
		direct: map[string]map[string]string{}, opened: map[string]map[string]string{},
	}
	for i, k := range slices.Concat(old.Keysets, th.present.Keysets) {
		dom, err := th.open(k)
		if i < len(old.Keysets) {
			l.keysets[fmt.Sprint(k.Purpose, " ", k.Generation)] = err
		}
		switch {
		case err != nil:
			l.relabelled = append(l.relabelled, th.openRelabelled(k)...)
		case k.Purpose == envelope.PurposeIndex:
			th.guess(l, dom, k.Generation, old, dictionary)
		default:
			th.openAll(l, dom, old)
		}
	}
	return l
}

// open opens one wrapped keyset, beside a present one of the other purpose.
func (th *thief) open(k envelope.WrappedKeyset) (*envelope.Domain, error) {
	sets := keysetsToTry{k}
	for _, p := range th.present.Keysets {
		if p.Purpose != k.Purpose {
			p.State = envelope.StatePrimary
			sets = append(sets, p)
			break
		}
	}
	sets[0].State = envelope.StatePrimary
	domains := envelope.NewDomains(th.store, th.keys, sets, envelope.Options{Deadline: patient})
	defer domains.Close()
	return domains.Open(always, th.in)
}

type keysetsToTry []envelope.WrappedKeyset

func (k keysetsToTry) Keysets(context.Context, uid.UID) ([]envelope.WrappedKeyset, error) {
	return k, nil
}

// openRelabelled tells Vault that a keyset is under each of the versions that
// it still has.
func (th *thief) openRelabelled(k envelope.WrappedKeyset) (errs []error) {
	info, err := th.keys.Describe(always, vaultkeys.IntegrationKey(th.store, th.in))
	need(th.t, err)
	for _, v := range info.Versions {
		th.relabel.Store(int64(v.Version))
		domains := envelope.NewDomains(th.store, th.keys, keysetsToTry{k}, envelope.Options{Deadline: patient})
		_, err := domains.Open(always, th.in)
		errs = append(errs, err)
		domains.Close()
	}
	th.relabel.Store(0)
	return errs
}

// openAll tries the DEKs of an old file as they are, and as if they were under
// the key at hand; and on every field of it those of the present file.
func (th *thief) openAll(l *loot, dom *envelope.Domain, old store.Haul) {
	for i := range old.Revisions {
		r := &old.Revisions[i]
		for _, dek := range [][]byte{r.DEK, forced(r.DEK, dom.KeyID())} {
			opener, err := dom.Open(r.ID, r.Header, dek)
			l.deks[r.ID.Record] = append(l.deks[r.ID.Record], err)
			if err == nil {
				takeFields(r, opener, l.direct)
				takeFields(r, opener, l.opened)
			}
		}
	}
	for _, p := range th.present.Revisions {
		opener, err := dom.Open(p.ID, p.Header, p.DEK)
		if err != nil {
			continue
		}
		for i := range old.Revisions {
			takeFields(&old.Revisions[i], opener, l.opened)
		}
	}
}

// forced returns a wrapped DEK that says that it is under another key.
func forced(dek []byte, key uint32) []byte {
	id, err := envelope.KeyIDOf(dek)
	if err != nil {
		return nil
	}
	return bytes.Replace(dek, binary.BigEndian.AppendUint32(nil, id), binary.BigEndian.AppendUint32(nil, key), 1)
}

// takeFields opens what an opener opens of a revision.
func takeFields(r *store.TakenRevision, opener envelope.Opener, into map[string]map[string]string) {
	for i, path := range r.Paths {
		clear, err := opener.Field(nil, path, r.Fields[i])
		if err != nil {
			continue
		}
		if into[r.ID.Record] == nil {
			into[r.ID.Record] = map[string]string{}
		}
		into[r.ID.Record][path] = string(clear)
	}
}

// guess computes the tokens of values under an index key, and looks for them.
func (th *thief) guess(l *loot, dom *envelope.Domain, generation uint32, old store.Haul, dictionary map[string][]string) {
	for path, values := range dictionary {
		for _, value := range values {
			text, err := json.Marshal(value)
			need(th.t, err)
			token, err := th.live.TokenForTest(dom, generation, th.ref, path, string(text))
			need(th.t, err)
			for _, entry := range old.Tokens {
				l.guesses++
				if len(token) > 0 && bytes.Contains(entry, token) {
					l.matched[path+"="+value] = true
				}
			}
		}
	}
}

// all reports whether every error is one of some kind, and there are any.
func all(errs []error, kinds ...error) bool {
	for _, err := range errs {
		ok := false
		for _, kind := range kinds {
			ok = ok || errors.Is(err, kind)
		}
		if !ok {
			return false
		}
	}
	return len(errs) > 0
}
