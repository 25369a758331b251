package store

import (
	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// labelSet lets the conditions of roles look at the labels of a header as they
// are.
type labelSet []Label

// Label returns the value of a label.
func (s labelSet) Label(key string) (string, bool) {
	for i := range s {
		if s[i].Key == key {
			return s[i].Value, true
		}
	}
	return "", false
}

// LabelMap returns the labels in a map.
func (s labelSet) LabelMap() map[string]string {
	labels := make(map[string]string, len(s))
	for _, l := range s {
		labels[l.Key] = l.Value
	}
	return labels
}

// hidden is the ErrNotFound of a record that is there, and that a condition
// keeps from the caller. It says no more than that of one that is not; only
// the audit log tells them apart.
type hidden struct{}

var errHidden error = hidden{}

// Error is that of ErrNotFound.
func (hidden) Error() string { return ErrNotFound.Error() }

// Is makes it an ErrNotFound.
func (hidden) Is(target error) bool { return target == ErrNotFound }

// on settles the decision for a record with these labels: those of a header
// whose DEK has opened, or of one that is about to be written.
func (sc scope) on(id string, labels []Label) scope {
	if !sc.base.Settled() {
		sc.decision = sc.base.ForRecord(&access.Facts{Who: sc.caller, At: sc.at, Record: id, Labels: labelSet(labels)})
	}
	return sc
}

// onOld settles the decision for a revision that is not current: it must pass
// under the current labels, by which sc was settled, and under its own.
func (sc scope) onOld(id string, labels []Label) scope {
	if !sc.base.Settled() {
		sc.own = sc.on(id, labels).decision
	}
	return sc
}

// allows reports whether the action is allowed on what sc was settled for.
func (sc scope) allows(a access.Action) bool {
	return sc.decision.Allows(a) && (sc.own == nil || sc.own.Allows(a))
}

// read returns how a field may be read: of an old revision as the stricter of
// two decisions says.
func (sc scope) read(a access.Action, path string) access.Grant {
	grant := sc.decision.Read(a, path)
	if sc.own != nil {
		grant = access.Stricter(grant, sc.own.Read(a, path))
	}
	return grant
}

// hash covers everything that decides how fields are read.
func (sc scope) hash() [8]byte {
	sum := sc.decision.Hash()
	if sc.own != nil {
		for i, b := range sc.own.Hash() {
			sum[i] = sum[i]<<1 ^ sum[i]>>7 ^ b // the order of the two counts
		}
	}
	return sum
}

// open opens the DEK of a revision. Every one is opened here.
func (s *Store) open(dom *envelope.Domain, id envelope.Identity, rawHeader, wrapped []byte) (envelope.Opener, error) {
	if s.watchOpens != nil {
		s.watchOpens()
	}
	opener, err := dom.Open(id, rawHeader, wrapped)
	return opener, openError(err)
}

// absent is the ErrNotFound of a record that is not there. Where one that is
// denied would have been opened and judged before that was said, a decoy is:
// both answers take the same work.
func (s *Store) absent(sc scope, dom *envelope.Domain, a access.Action) error {
	if sc.base.Depends(a) {
		s.openDecoy(sc, dom)
	}
	return ErrNotFound
}

// decoy is a wrapped DEK that belongs to no record.
type decoy struct {
	wrapping uint32
	id       envelope.Identity
	header   []byte
	wrapped  []byte
}

// openDecoy opens a decoy and judges it. Nothing depends on how that ends.
func (s *Store) openDecoy(sc scope, dom *envelope.Domain) {
	d := s.decoyOf(sc.collection, dom)
	if d == nil {
		return
	}
	_, _ = s.open(dom, d.id, d.header, d.wrapped)
	sc.on("", nil)
}

// decoyOf makes a decoy for an integration, and another when its wrapping
// generation changes. The all-zero collection is nobody's.
func (s *Store) decoyOf(coll *collection, dom *envelope.Domain) *decoy {
	in := coll.integration.doc.UID
	wrapping, _ := dom.Generation()
	if have, ok := s.decoys.Load(in); ok && have.(*decoy).wrapping == wrapping {
		return have.(*decoy)
	}
	d := &decoy{wrapping: wrapping, header: (&header{}).encode()}
	d.id = envelope.Identity{Store: s.id, Integration: in, Collection: uid.UID{}, Record: "decoy", Revision: 1}
	sealed, err := dom.Seal(d.id, d.header, nil)
	if err != nil {
		return nil
	}
	d.wrapped = sealed.DEK
	s.decoys.Store(in, d)
	return d
}

// judgeState settles whether the caller may act on a record whose state alone
// is to be changed. Where that depends on the record its current revision is
// opened, in the transaction that changes it.
func (w *write) judgeState(tx kv.ReadTx, dom *envelope.Domain) error {
	if !w.sc.base.Depends(w.op.action()) {
		return nil
	}
	f, err := w.s.findCurrent(tx, w.sc.collection, dom, w.id)
	switch {
	case err != nil:
		return err
	case !f.exists:
		return w.s.absent(w.sc, dom, w.op.action())
	case !w.sc.on(w.id, f.revision.header.labels).allows(w.op.action()):
		return errHidden
	}
	return nil
}
