package store

import (
	"encoding/json"
	"fmt"
	"strings"

	"strongroom/internal/access"
	"strongroom/internal/limits"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// plane is the control plane as fsck reads it from the disk. An integration
// whose definition does not open is there under its uid as its name, so that
// its collections can be looked at all the same.
type plane struct {
	seen         *catalog // the running one at that time
	integrations map[uid.UID]*integration
	collections  map[uid.UID]*collection
	clients      map[uid.UID]string
	purges       map[uid.UID]bool
	versions     map[string]uint64 // by kind and id, of every value that opened
	governed     bool              // there must be a governance value
}

// control opens the system domain and checks the control plane, of which
// nothing can change meanwhile. Without the system domain there is nothing to
// go on with: the plane stays nil.
func (f *fsck) control() error {
	system, err := f.domains.System(f.ctx)
	if err != nil {
		if again := away(f.ctx, err); again != nil {
			return again
		}
		f.add(Damage{damagedKeyset, "the system domain", "its keysets cannot be opened, so nothing else was looked at: " + explain(err)})
		return nil
	}
	f.system = system
	if err := f.renewSystem(); err != nil {
		return err
	}
	f.s.controlMu.Lock()
	defer f.s.controlMu.Unlock()
	p, err := f.readPlane(f.add)
	if err != nil {
		return err
	}
	f.plane = p
	f.report.Integrations = uint64(len(p.integrations))
	f.checkRunning()
	return f.keysetKeys()
}

// renewPlane reads the control plane again when it was changed. A change that
// is committed is published before the lock is free.
func (f *fsck) renewPlane() error {
	f.s.controlMu.Lock()
	defer f.s.controlMu.Unlock()
	if f.s.catalog.Load() == f.plane.seen {
		return nil
	}
	p, err := f.readPlane(func(...Damage) {})
	if err == nil {
		f.plane = p
	}
	return err
}

// planeReader opens control values into a plane.
type planeReader struct {
	f     *fsck
	p     *plane
	tx    kv.ReadTx
	add   func(...Damage)
	kinds map[string]bool
}

// planeKinds says how each kind of control value is read, in an order in which
// what a value refers to comes before it.
var planeKinds = []struct {
	kind string
	read func(r *planeReader, id string, value []byte) (version uint64, err error)
}{
	{kindSettings, func(r *planeReader, id string, value []byte) (uint64, error) {
		doc, v, err := openControlValue[settingsDoc](r.f.system, kindSettings, id, value)
		r.p.governed = doc.Governed
		return v, err
	}},
	{kindIntegration, (*planeReader).integration},
	{kindCollection, (*planeReader).collection},
	{kindClient, (*planeReader).client},
	{kindSecret, (*planeReader).secret},
	{kindRole, func(r *planeReader, id string, value []byte) (uint64, error) {
		doc, v, err := openControlValue[roleDoc](r.f.system, kindRole, id, value)
		if err == nil {
			_, err = access.ParseRole(doc.Raw)
		}
		return v, err
	}},
	{kindLimit, func(r *planeReader, id string, value []byte) (uint64, error) {
		doc, v, err := openControlValue[limitDoc](r.f.system, kindLimit, id, value)
		if err == nil {
			_, err = limits.Parse(doc.Raw)
		}
		return v, err
	}},
	{kindLimitCounts, func(r *planeReader, id string, value []byte) (uint64, error) {
		_, v, err := openControlValue[limitCountsDoc](r.f.system, kindLimitCounts, id, value)
		return v, err
	}},
	{kindSigningKey, func(r *planeReader, id string, value []byte) (uint64, error) {
		_, v, err := openControlValue[signingKeyDoc](r.f.system, kindSigningKey, id, value)
		return v, err
	}},
	{kindIssuer, func(r *planeReader, id string, value []byte) (uint64, error) {
		_, v, err := openControlValue[issuerDoc](r.f.system, kindIssuer, id, value)
		return v, err
	}},
	{kindUse, func(r *planeReader, id string, value []byte) (uint64, error) {
		_, v, err := openControlValue[useDoc](r.f.system, kindUse, id, value)
		return v, err
	}},
	{kindEnded, func(r *planeReader, id string, value []byte) (uint64, error) {
		_, v, err := openControlValue[endedDoc](r.f.system, kindEnded, id, value)
		return v, err
	}},
	{kindPurge, (*planeReader).purge},
	{kindGovernance, readKind[governanceDoc](kindGovernance)},
	{kindChange, readKind[changeDoc](kindChange)},
	{kindApproval, readKind[approvalDoc](kindApproval)},
	{kindBreakGlass, readKind[breakGlassDoc](kindBreakGlass)},
	{kindKeys, (*planeReader).keyHistory},
	{kindAttestKey, readKind[attestKeyDoc](kindAttestKey)},
	{kindLedger, readKind[ledgerMark](kindLedger)},
	{kindBackup, readKind[backupDoc](kindBackup)},
	{string(RowRotation), readKind[json.RawMessage](string(RowRotation))},
	{string(RowPart), readKind[json.RawMessage](string(RowPart))},
	{string(RowSchedule), readKind[json.RawMessage](string(RowSchedule))},
	{string(RowScheduleRun), readKind[json.RawMessage](string(RowScheduleRun))},
	{string(RowErasure), readKind[json.RawMessage](string(RowErasure))},
}

// readKind reads values of a kind that nothing else refers to.
func readKind[T any](kind string) func(*planeReader, string, []byte) (uint64, error) {
	return func(r *planeReader, id string, value []byte) (uint64, error) {
		_, v, err := openControlValue[T](r.f.system, kind, id, value)
		return v, err
	}
}

// readPlane reads the control plane. The caller holds controlMu.
func (f *fsck) readPlane(add func(...Damage)) (*plane, error) {
	p := &plane{
		seen: f.s.catalog.Load(), integrations: map[uid.UID]*integration{}, collections: map[uid.UID]*collection{},
		clients: map[uid.UID]string{}, purges: map[uid.UID]bool{}, versions: map[string]uint64{},
	}
	r := &planeReader{f: f, p: p, add: add, kinds: map[string]bool{}}
	for _, k := range planeKinds {
		r.kinds[k.kind] = true
		prefix := controlKey(k.kind, "")
		err := f.scan(kv.Control, prefix, after(prefix), func(tx kv.ReadTx, key, value []byte) {
			r.tx = tx
			id := string(key[len(prefix):])
			version, err := k.read(r, id, value)
			if err != nil {
				add(Damage{damagedControl, r.where(k.kind, id), explain(err)})
				return
			}
			p.versions[k.kind+"\x00"+id] = version
		})
		if err != nil {
			return nil, err
		}
	}
	if p.versions[kindSettings+"\x00store"] == 0 {
		add(Damage{damagedControl, kindSettings + "/store", "the store's settings are missing"})
	}
	if p.governed && p.versions[kindGovernance+"\x00"+twoPersonID] == 0 {
		add(Damage{damagedControl, kindGovernance + "/" + twoPersonID, "whether two persons are wanted is missing, or does not open: it counts as wanted"})
	}
	return p, r.others()
}

// others looks for values of a kind that does not exist.
func (r *planeReader) others() error {
	return r.f.scan(kv.Control, nil, nil, func(_ kv.ReadTx, key, _ []byte) {
		if kind, id, ok := strings.Cut(string(key), "\x00"); !ok || !r.kinds[kind] {
			r.add(Damage{damagedControl, fmt.Sprintf("%q", kind+"/"+id), "there is no such kind of value"})
		}
	})
}

// where names a control value for people: the uid of an integration that a
// collection's id begins with gives way to its name.
func (r *planeReader) where(kind, id string) string {
	text, rest, ok := strings.Cut(id, "/")
	if u, err := uid.Parse(text); err == nil && ok {
		if in := r.p.integrations[u]; in != nil {
			text = in.name
		} else if name := r.p.clients[u]; name != "" {
			text = name
		}
		return kind + "/" + text + "/" + rest
	}
	return kind + "/" + id
}

func (r *planeReader) integration(name string, value []byte) (uint64, error) {
	doc, v, err := openControlValue[integrationDoc](r.f.system, kindIntegration, name, value)
	if err != nil {
		return 0, err
	}
	in := &integration{name: name, doc: doc, version: v}
	in.generation, err = decodeGeneration(r.tx.Get(kv.Generations, doc.UID[:]))
	if err != nil {
		r.add(Damage{damagedKeyset, "integration " + name, "the generation of its keysets in force cannot be read"})
	}
	r.p.integrations[doc.UID] = in
	return v, nil
}

// collection reads a definition. One whose schema does not compile any more is
// kept without: what needs no schema is checked all the same.
func (r *planeReader) collection(id string, value []byte) (uint64, error) {
	doc, v, err := openControlValue[collectionDoc](r.f.system, kindCollection, id, value)
	if err != nil {
		return 0, err
	}
	text, name, _ := strings.Cut(id, "/")
	u, err := uid.Parse(text)
	if err != nil {
		return 0, err
	}
	in := r.p.integrations[u]
	if in == nil {
		in = &integration{name: u.String(), doc: integrationDoc{UID: u}}
		r.add(Damage{damagedControl, r.where(kindCollection, id), "its integration is not there, or its definition does not open"})
	}
	coll, err := newCollection(in, name, doc, v)
	if err != nil {
		r.p.collections[doc.UID] = &collection{name: name, integration: in, doc: doc, version: v}
		return 0, fmt.Errorf("%w: its schema does not compile", errLayout)
	}
	r.p.collections[doc.UID] = coll
	return v, nil
}

func (r *planeReader) client(name string, value []byte) (uint64, error) {
	doc, v, err := openControlValue[clientDoc](r.f.system, kindClient, name, value)
	if err == nil {
		r.p.clients[doc.UID] = name
		_, err = doc.ClientAuth.compile()
	}
	return v, err
}

func (r *planeReader) secret(id string, value []byte) (uint64, error) {
	_, v, err := openControlValue[secretDoc](r.f.system, kindSecret, id, value)
	text, _, _ := strings.Cut(id, "/")
	if u, bad := uid.Parse(text); err == nil && (bad != nil || r.p.clients[u] == "") {
		r.add(Damage{damagedControl, kindSecret + "/" + id, "its client is not there, or its definition does not open"})
	}
	return v, err
}

func (r *planeReader) purge(id string, value []byte) (uint64, error) {
	_, v, err := openControlValue[purgeDoc](r.f.system, kindPurge, id, value)
	if u, bad := uid.Parse(id); err == nil && bad == nil {
		r.p.purges[u] = true
	}
	return v, err
}

// keyHistory reads the history of a domain's keys. The values of planeKinds
// before it are read already.
func (r *planeReader) keyHistory(id string, value []byte) (uint64, error) {
	_, v, err := openControlValue[keysDoc](r.f.system, kindKeys, id, value)
	if u, bad := uid.Parse(id); err == nil && (bad != nil || !u.IsZero() && r.p.integrations[u] == nil) {
		r.add(Damage{damagedControl, kindKeys + "/" + id, "its integration is not there, or its definition does not open"})
	}
	return v, err
}

// checkRunning compares the disk with what the running store goes by: a value
// that was removed, or an older one that was put back, opens well.
func (f *fsck) checkRunning() {
	for key, version := range f.plane.seen.versions() {
		if on := f.plane.versions[key]; on != version {
			kind, id, _ := strings.Cut(key, "\x00")
			where := (&planeReader{p: f.plane}).where(kind, id)
			f.add(Damage{damagedControl, where, fmt.Sprintf("this server goes by version %d and the disk has %s", version, versionText(on))})
		}
	}
	for id, in := range f.plane.integrations {
		running := f.plane.seen.integrations[in.name]
		if running != nil && running.doc.UID == id && running.generation != in.generation {
			f.add(Damage{damagedKeyset, "integration " + in.name, "the generation of its keysets in force is not the one that this server goes by"})
		}
	}
}

func versionText(version uint64) string {
	if version == 0 {
		return "none that opens"
	}
	return fmt.Sprintf("version %d", version)
}

// versions returns the version of every control value that a catalog holds, by
// kind and id.
func (c *catalog) versions() map[string]uint64 {
	all := map[string]uint64{}
	for name, in := range c.integrations {
		all[kindIntegration+"\x00"+name] = in.version
		for n, coll := range in.collections {
			all[kindCollection+"\x00"+collectionID(in, n)] = coll.version
		}
	}
	for name, r := range c.roles {
		all[kindRole+"\x00"+name] = r.version
	}
	for name, cl := range c.clients {
		all[kindClient+"\x00"+name] = cl.version
		for id, sec := range cl.secrets {
			all[kindSecret+"\x00"+secretControlID(cl, id)] = sec.version
		}
	}
	for name, i := range c.issuers {
		all[kindIssuer+"\x00"+name] = i.version
	}
	for name, l := range c.limits {
		all[kindLimit+"\x00"+name] = l.version
	}
	for _, k := range c.attest {
		all[kindAttestKey+"\x00"+k.id] = k.version
	}
	for id, p := range c.purges {
		all[kindPurge+"\x00"+id.String()] = p.version
	}
	c.governanceVersions(all)
	return all
}
