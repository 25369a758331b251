package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"strongroom/internal/access"
	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/storetest"
)

// What a schema may say of masks and what masks there are is written down in
// two packages that know nothing of each other.
func TestSchemasTakeTheMasksThatThereAre(t *testing.T) {
	for _, mask := range []string{
		"email", "domain", "last4", "year", "hash", "redact", "first:1", "first:16", "fixed:n/a", "fixed:a:b", "fixed:" + strings.Repeat("x", 64),
		"", "first", "first:", "first:0", "first:17", "first:01", "first:+1", "first:x", "fixed", "fixed:", "fixed:a\u0000", "fixed:\u202e", "fixed:" + strings.Repeat("x", 65),
		"last5", "LAST4", "last4:", "hash:x", "none", "clear", "mask:last4",
	} {
		_, err := schema.Compile([]byte(`{"type":"object","properties":{"p":{"type":"string","x-mask":` + jsonText(mask) + `}}}`))
		if known := access.KnownMask(mask); known != (err == nil) {
			t.Errorf("%q: a mask is %v, a schema says %v", mask, known, err)
		}
	}
}

func jsonText(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

const maskedSchema = `{"type":"object","properties":{
	"email":{"type":"string"},"birth":{"type":"string","x-mask":"year"},"card":{"type":"string","x-mask":"first:4"},
	"account":{"type":"string","x-mask":"hash"},"iban":{"type":"string"},"note":{"type":"string","x-mask":"fixed:on file"}}}`

func TestStoryOfMasks(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.collection(customers, store.CollectionSpec{Schema: []byte(maskedSchema)})
	ref := w.create(`{"email":"ann@example.com","birth":"1984-06-08","card":"4242424242424242","account":"A-1","iban":"DE02120300000000202051","note":"hunter2"}`)
	c := w.client("reader", `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read","update"],
		"read":{"*":"clear","email":"mask:domain","iban":"mask:first:2"},"write":["*"]}]}`)
	got := w.read(c, ref)
	for _, want := range []string{`"email":"****@example.com"`, `"birth":"1984"`, `"card":"4242****"`, `"iban":"DE****"`, `"note":"on file"`} {
		if !strings.Contains(got, want) {
			t.Errorf("read %s, want %s in it", got, want)
		}
	}
	for _, field := range []string{"email", "birth", "card", "account", "iban", "note"} {
		wantErr(t, w.patch(c, ref, `{"`+field+`":"1999-01-01"}`), store.ErrForbidden)
	}
	if strings.Contains(got, "A-1") || strings.Contains(got, "hunter2") {
		t.Errorf("read %s", got)
	}
}

// Hashes join within an integration, whatever the field and the collection, and
// nothing outside of it; and without the key no guess can be checked.
func TestHashesJoinWithinAnIntegrationAlone(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.integration("globex")
	role := `{"rules":[{"integrations":["*"],"collections":["*"],"actions":["read"],"read":{"*":"mask:hash"}}]}`
	c := w.client("analyst", role)
	place := func(integration, collection, fields string) string {
		ref := store.CollectionRef{Integration: integration, Collection: collection}
		w.collection(ref, store.CollectionSpec{Schema: []byte(`{"type":"object","properties":{"buyer":{"type":"string"},"who":{"type":"string"}}}`)})
		res, err := w.CreateRecord(context.Background(), w.root, ref, input(fields), store.WriteOptions{})
		w.must(err)
		rec := w.get(c, store.RecordRef{CollectionRef: ref, Record: res.ID})
		return string(rec.Fields[0].JSON)
	}
	one := place("acme", "orders", `{"buyer":"cust-42"}`)
	same := place("acme", "tickets", `{"who":"cust\u002d42"}`)
	other := place("acme", "refunds", `{"who":"cust-43"}`)
	elsewhere := place("globex", "orders", `{"buyer":"cust-42"}`)
	if one != same || one == other || one == elsewhere || len(one) != 34 {
		t.Errorf("%s, the same %s, another %s, in another integration %s", one, same, other, elsewhere)
	}
	guess := sha256.Sum256([]byte("cust-42"))
	if strings.Contains(one, hex.EncodeToString(guess[:16])) {
		t.Error("the hash has no key")
	}
}
