package store

import (
	"bytes"

	"strongroom/envelope"
	"strongroom/internal/schema"
	"strongroom/internal/uid"
)

// sealedDraft is a revision as it goes into the tables, with everything that
// has to hold in the transaction that writes it.
type sealedDraft struct {
	draft
	base       found // what it was made from
	generation generation
	number     uint64
	rawHeader  []byte
	value      []byte
	wrapped    []byte
	tokens     tokenSet
	indexed    []byte     // encoded tokens
	older      []tokenSet // of the unique fields, under which other records may still hold a value
}

// size is what writing the draft writes, near enough.
func (d *sealedDraft) size() int {
	return len(d.value) + len(d.wrapped) + 2*len(d.indexed) + 256 + 64*len(d.labels)
}

// seal seals a draft with the revision that it will have if nothing comes in
// between.
func (s *Store) seal(dom *envelope.Domain, coll *collection, operation uid.UID, base found, d draft) (*sealedDraft, error) {
	out := &sealedDraft{draft: d, base: base, generation: coll.integration.generation}
	if !coll.integration.generation.opened(dom) {
		return nil, errStale
	}
	out.number = base.floor + 1
	if base.exists {
		out.number = base.state.revision + 1
	}
	h := header{
		schemaVersion: coll.doc.SchemaVersion, created: d.created, updated: d.updated, validUntil: d.validUntil,
		eraseAt: d.eraseAt, operation: operation, labels: d.labels, fields: make([]string, len(d.values)),
	}
	fields := make([]envelope.Field, len(d.values))
	for i, v := range d.values {
		h.fields[i] = v.Path
		fields[i] = envelope.Field{Path: v.Path, Value: v.JSON}
	}
	out.rawHeader = h.encode()
	sealed, err := dom.Seal(s.identity(coll, d.id, out.number), out.rawHeader, fields)
	if err != nil {
		return nil, keyError(err)
	}
	out.value = encodeRevision(out.rawHeader, sealed.Fields)
	out.wrapped = sealed.DEK
	if err := out.index(dom, coll); err != nil {
		return nil, err
	}
	return out, nil
}

// index makes the tokens of the indexed fields.
func (d *sealedDraft) index(dom *envelope.Domain, coll *collection) error {
	if len(coll.indexed) == 0 {
		return nil
	}
	open := dom.IndexGenerations()
	d.tokens.generation = open[0]
	for _, f := range coll.indexed {
		token, err := coll.token(dom, open[0], f, d.values)
		if err != nil {
			return err
		}
		if token != nil {
			d.tokens.tokens = append(d.tokens.tokens, indexToken{path: f.Path, token: token, unique: f.Index == schema.IndexUnique})
		}
	}
	for _, generation := range open[1:] {
		d.older = append(d.older, d.uniques(dom, coll, generation))
	}
	if len(d.tokens.tokens) > 0 {
		d.indexed = d.tokens.encode()
	}
	return nil
}

// uniques makes the tokens that the unique fields would have under another
// generation.
func (d *sealedDraft) uniques(dom *envelope.Domain, coll *collection, generation uint32) tokenSet {
	set := tokenSet{generation: generation}
	for _, t := range d.tokens.tokens {
		if f, ok := coll.indexedField(t.path); ok && t.unique {
			if token, err := coll.token(dom, generation, f, d.values); err == nil && token != nil {
				set.tokens = append(set.tokens, indexToken{path: t.path, token: token, unique: true})
			}
		}
	}
	return set
}

// token returns the token of an indexed field's value under a generation, nil
// when the record has none or it is null.
func (coll *collection) token(dom *envelope.Domain, generation uint32, f schema.Field, values []schema.Value) ([]byte, error) {
	for _, v := range values {
		if v.Path != f.Path {
			continue
		}
		if bytes.Equal(v.JSON, []byte("null")) {
			return nil, nil
		}
		return coll.tokenOf(dom, generation, f, v.JSON)
	}
	return nil, nil
}

// bitsOf returns the length of a field's tokens.
func (coll *collection) bitsOf(f schema.Field) int {
	if f.Index == schema.IndexUnique {
		return envelope.UniqueBits
	}
	return coll.tokenBits
}

func (coll *collection) tokenOf(dom *envelope.Domain, generation uint32, f schema.Field, json []byte) ([]byte, error) {
	normal, err := schema.Normalise(f.Normalise, json)
	if err != nil {
		return nil, invalid("/fields/"+f.Path, "this value cannot be indexed")
	}
	if normal == nil {
		return nil, nil // nothing is left of it: a text without digits, say
	}
	return dom.TokenAt(generation, coll.doc.UID, f.Path, normal, coll.bitsOf(f)), nil
}
