package demo

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"strongroom/client"
)

// support reads an event as somebody who answers customers.
func (d *demo) support(ctx context.Context) error {
	d.begin("Support looks at the payment: it sees what its role names, the address masked, no body")
	r, err := d.clients["demo-support"].GetRecord(ctx, events.Of(d.stripe), client.ReadOptions{})
	if err != nil {
		return err
	}
	email, _ := r.Fields.Text("customer_email")
	if strings.Contains(email, "quintanar") || !slices.Contains(r.Masked, "customer_email") {
		return leak("support saw the address of a customer")
	}
	if bytes.Contains(r.Reveal(), []byte("Almirez")) || !slices.Contains(r.Withheld, "raw_body") {
		return leak("support saw the body of a payment")
	}
	var text bytes.Buffer
	if err := json.Compact(&text, r.Fields.Reveal()); err != nil {
		return err
	}
	d.saw(Service, "GET .../events/records/%s -> %s", d.stripe, text.String())
	d.saw(Service, "masked: %s; withheld: %s", strings.Join(r.Masked, ", "), strings.Join(r.Withheld, ", "))
	return nil
}

// verify checks a signature, with a credential fetched in one call.
func (d *demo) verify(ctx context.Context) error {
	d.begin("The verifier fetches one credential in one call, and the exact bytes that were signed")
	c := d.clients["demo-verifier"]
	key, err := c.GetField(ctx, signing.Of("shop-endpoint"), "secret")
	if err != nil {
		return err
	}
	body, err := c.GetField(ctx, events.Of(d.stripe), "raw_body")
	if err != nil {
		return err
	}
	headers, err := c.GetField(ctx, events.Of(d.stripe), "headers")
	if err != nil {
		return err
	}
	var sent map[string]string
	if err := json.Unmarshal(headers.Value, &sent); err != nil {
		return err
	}
	mac := hmac.New(sha256.New, key.Value)
	mac.Write(body.Value)
	if sent["X-Signature-256"] != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
		return errors.New("the signature does not verify: a byte was changed on the way")
	}
	d.saw(Service, "GET .../signing/records/shop-endpoint/fields/secret -> %s... (%d bytes, text/plain)", key.Value[:8], len(key.Value))
	d.saw(Service, "GET .../events/records/%s/fields/raw_body -> %d bytes: the HMAC over them verifies", d.stripe, len(body.Value))
	return nil
}

// strangers asks as a client of another integration.
func (d *demo) strangers(ctx context.Context) error {
	d.begin("A client of another integration asks for the same records")
	c := d.clients["demo-payroll"]
	_, there := c.GetRecord(ctx, events.Of(d.stripe), client.ReadOptions{})
	_, absent := c.GetRecord(ctx, events.Of("no-such-record"), client.ReadOptions{})
	_, field := c.GetField(ctx, signing.Of("shop-endpoint"), "secret")
	for _, err := range []error{there, absent, field} {
		if !errors.Is(err, client.ErrForbidden) {
			return leak("a client of another integration got %v", err)
		}
	}
	d.saw(Attacker, "with the token of %s: 403 for a record that exists, 403 for one that does not, 403 for the credential", "demo-payroll")
	_, err := c.CreateRecord(ctx, slips, client.RecordInput{Fields: map[string]any{"employee": "Wilhelmina Achterberg", "net": 2843.17}}, client.WriteOptions{})
	d.needles.add("a field value", "Wilhelmina Achterberg")
	d.saw(Service, "in its own integration it works as before")
	return err
}

// forgetting erases a record.
func (d *demo) forgetting(ctx context.Context) error {
	d.begin("A customer wants to be forgotten")
	ref := events.Of(d.stripe)
	if err := d.owner.ExpungeRecord(ctx, ref); err != nil {
		return err
	}
	if _, err := d.owner.GetRecord(ctx, ref, client.ReadOptions{}); !errors.Is(err, client.ErrNotFound) {
		return leak("an erased record was read (%v)", err)
	}
	d.saw(Service, "POST .../records/%s:expunge -> gone: its key is erased, and what it sealed with it", d.stripe)
	d.saw(Attacker, "old pages of the file until it is compacted, sealed under the integration's key")
	return nil
}
