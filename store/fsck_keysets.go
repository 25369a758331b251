package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
	"strongroom/vaultkeys"
)

// keysetKeys looks for keysets and generations that belong to no integration.
// The caller holds controlMu.
func (f *fsck) keysetKeys() error {
	err := f.scan(kv.Keysets, nil, nil, func(_ kv.ReadTx, key, _ []byte) { f.keysetKey(key) })
	if err != nil {
		return err
	}
	if err := f.view(func(tx kv.ReadTx) {
		f.checkStates(tx, uid.Zero)
		for id := range f.plane.integrations {
			f.checkStates(tx, id)
		}
	}); err != nil {
		return err
	}
	return f.scan(kv.Generations, nil, nil, func(_ kv.ReadTx, key, _ []byte) {
		id, err := uid.Parse(hex.EncodeToString(key))
		if err != nil || !id.IsZero() && f.plane.integrations[id] == nil {
			f.add(Damage{damagedKeyset, fmt.Sprintf("integration %x", key), "the generation of keysets whose integration is not there, or its definition does not open"})
		}
	})
}

// checkDomains opens the key domain of every integration. It calls the key
// service and holds no lock; what does not fit is looked at once more.
func (f *fsck) checkDomains() error {
	for _, id := range slices.Collect(maps.Keys(f.plane.integrations)) {
		found, err := f.checkDomain(id)
		if err == nil && found != nil {
			found, err = f.confirmDomain(id)
		}
		if err != nil {
			return err
		}
		if found != nil {
			f.add(*found)
		}
	}
	return nil
}

func (f *fsck) confirmDomain(id uid.UID) (*Damage, error) {
	if err := f.renewPlane(); err != nil || f.plane.integrations[id] == nil {
		return nil, err
	}
	delete(f.keysets, id)
	f.domains.Drop(id)
	return f.checkDomain(id)
}

// checkDomain opens the keysets of an integration and compares those that are
// used with those that are said to be in force. One that is being destroyed may have
// lost its key already.
func (f *fsck) checkDomain(id uid.UID) (*Damage, error) {
	in := f.plane.integrations[id]
	dom, err := f.open(id)
	if again := away(f.ctx, err); again != nil {
		return nil, again
	}
	where := "integration " + in.name
	if err != nil {
		due := in.doc.DestroyAt != nil && !f.s.now().Before(*in.doc.DestroyAt)
		if due && errors.Is(err, vaultkeys.ErrKeyNotFound) {
			return nil, nil
		}
		return &Damage{damagedKeyset, where, "its keysets cannot be opened, so none of its records can: " + explain(err)}, nil
	}
	wrapping, index := dom.Generation()
	if in.generation != (generation{}) && (in.generation.wrapping != wrapping || in.generation.index != index) {
		return &Damage{damagedKeyset, where, "its keysets in force are not those that are said to be"}, nil
	}
	return nil, nil
}

// keysetKey checks what the key of a keyset says of it.
func (f *fsck) keysetKey(key []byte) {
	var id uid.UID
	r := reader{b: key}
	copy(id[:], r.take(len(id)))
	purpose, number := envelope.Purpose(r.u8()), r.u32()
	where := fmt.Sprintf("%s, %s keyset, generation %d", f.domainName(id), purpose, number)
	switch ofSystem := purpose == envelope.PurposeSystem || purpose == envelope.PurposeSystemMAC; {
	case !r.done() || number == 0:
		f.add(Damage{damagedKeyset, fmt.Sprintf("key %x", key), "this is not the key of a keyset"})
	case id.IsZero() != ofSystem || !ofSystem && purpose != envelope.PurposeWrapping && purpose != envelope.PurposeIndex:
		f.add(Damage{damagedKeyset, where, "a keyset of a purpose that it cannot have there"})
	case !id.IsZero() && f.plane.integrations[id] == nil:
		f.add(Damage{damagedKeyset, where, "its integration is not there, or its definition does not open"})
	}
}

func (f *fsck) domainName(id uid.UID) string {
	if in := f.plane.integrations[id]; in != nil {
		return "integration " + in.name
	}
	if id.IsZero() {
		return systemPlace
	}
	return "integration " + id.String()
}
