package rotate

import (
	"context"
	"time"

	"strongroom/internal/uid"
)

// CertificateKind is the kind of the statements that certificates are.
const CertificateKind = "erasure-certificate"

// Certificate is the signed account of an erasure that has come as far as it
// was to go.
type Certificate struct {
	StoreUID       uid.UID           `json:"store_uid"`
	Erasure        string            `json:"erasure"`
	Integration    string            `json:"integration"`
	IntegrationUID uid.UID           `json:"integration_uid"`
	Collection     string            `json:"collection,omitempty"`
	Record         string            `json:"record,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
	Records        uint64            `json:"records"`
	Level          Level             `json:"level"`
	AskedAt        time.Time         `json:"asked_at"`
	By             string            `json:"by"`
	Reason         string            `json:"reason,omitempty"`
	E1At           *time.Time        `json:"e1_at"`
	E2At           *time.Time        `json:"e2_at,omitempty"`
	E3At           *time.Time        `json:"e3_at,omitempty"`
	Rotation       string            `json:"rotation,omitempty"` // whose signed report tells of the scan
	Destroyed      []DestroyedKeys   `json:"destroyed,omitempty"`
	KeyService     string            `json:"key_service"`
	// Proof says whether the keys are gone: "proven" as far as the key service
	// can be trusted, else why not.
	Proof string `json:"proof"`
	// NotCovered says what this does not reach.
	NotCovered []string  `json:"not_covered"`
	IssuedAt   time.Time `json:"issued_at"`
}

// DestroyedKeys are keys of a domain that exist no more.
type DestroyedKeys struct {
	Integration string `json:"integration"`
	Keys        []Key  `json:"keys,omitempty"`  // of keysets
	KEK         string `json:"kek,omitempty"`   // the key-encryption key that wrapped them
	Below       int    `json:"below,omitempty"` // its versions below this one were trimmed
	Detail      string `json:"detail,omitempty"`
}

// Unproven is the proof of an E3 with a local keyring.
const Unproven = "unproven: copies of the keyring file"

// notCovered is what no erasure reaches.
var notCovered = []string{
	"labels, ids and times in the audit log, which is kept",
	"the ids of the erased records in the ledger of erasures, which a restore needs",
	"what clients have read before",
	"copies that were made within a day of a write with an Idempotency-Key hold a keyed MAC of that whole request, under a key of the system domain: " +
		"who has that key can confirm a guess of the request, until the system domain is rotated at the depth data, and its versions trimmed",
	"copies of the storage of the key service, such as its snapshots, for as long as they are kept",
	"labels, ids and sizes in backups that were not sealed for a recipient: they are not encrypted there",
}

// certify makes the certificate, and ends the erasure.
func (j *erasure) certify(ctx context.Context, doc erasureDoc) error {
	cert := j.e.certificate(j.id, &doc)
	text, err := j.e.store.Attest(ctx, CertificateKind, cert)
	if err != nil {
		return err
	}
	doc.Certificate = string(text)
	return j.put(ctx, doc)
}

func (e *Erasures) certificate(id string, d *erasureDoc) Certificate {
	c := Certificate{
		StoreUID: e.store.UID(), Erasure: id, Integration: d.Plan.Integration, IntegrationUID: d.Plan.UID, Collection: d.Plan.Collection,
		Record: d.Plan.Record, Labels: d.Plan.Labels, Records: d.Records, Level: d.Level, AskedAt: d.CreatedAt, By: d.By, Reason: d.Reason,
		E1At: d.E1At, E2At: d.E2At, E3At: d.E3At, Rotation: d.Rotation, Destroyed: d.Keys, NotCovered: notCovered, IssuedAt: e.now().UTC(),
	}
	var proves bool
	c.KeyService, proves = e.store.KeyService()
	switch {
	case d.Level != LevelKeys:
		c.Proof = "no key was destroyed: copies of the data file and backups of before can still be opened with the keys"
	case !proves:
		c.Proof = Unproven
	default:
		c.Proof = "proven: the key service destroyed the keys"
	}
	return c
}

// VerifyCertificate checks a certificate against the store's public keys,
// without the store, and returns what it says: a key of that store signed it.
func VerifyCertificate(text []byte, keys []string) (Certificate, error) {
	var c Certificate
	signer, err := openStatement(text, keys, CertificateKind, "the certificate of an erasure", &c)
	if err == nil {
		err = signedBy(signer, c.StoreUID)
	}
	if err != nil {
		return Certificate{}, err
	}
	return c, nil
}
