package demo

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"strongroom/client"
	"strongroom/testdata/webhooks"
)

// delivery is a webhook as it arrives.
type delivery struct {
	source, id, kind, email string
	body                    []byte
}

// deliveries reads the events of testdata, in the order of their names.
func deliveries() ([]delivery, error) {
	names, err := fs.Glob(webhooks.Files, "*.json")
	if err != nil {
		return nil, err
	}
	var all []delivery
	for _, name := range names {
		body, err := webhooks.Files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		d, err := understand(strings.SplitN(name, "-", 2)[0], name, body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, d)
	}
	return all, nil
}

// understand takes from a body what its record is found by.
func understand(source, name string, body []byte) (delivery, error) {
	var event struct {
		ID    json.RawMessage `json:"id"`
		Type  string          `json:"type"`
		After string          `json:"after"`
		Data  struct {
			Object struct {
				Email         string `json:"email"`
				ReceiptEmail  string `json:"receipt_email"`
				CustomerEmail string `json:"customer_email"`
			} `json:"object"`
		} `json:"data"`
		Email   string `json:"email"`
		EventID string `json:"event_id"`
		Pusher  struct {
			Email string `json:"email"`
		} `json:"pusher"`
		Issue struct {
			ID json.Number `json:"id"`
		} `json:"issue"`
	}
	err := json.Unmarshal(body, &event)
	o := event.Data.Object
	d := delivery{source: source, body: body,
		id:    first(strings.Trim(string(event.ID), `"`), event.EventID, event.After, event.Issue.ID.String()),
		kind:  first(event.Type, strings.TrimSuffix(strings.TrimPrefix(name, source+"-"), ".json")),
		email: first(o.Email, o.ReceiptEmail, o.CustomerEmail, event.Email, event.Pusher.Email),
	}
	return d, err
}

func first(candidates ...string) string {
	for _, c := range candidates {
		if c != "" {
			return c
		}
	}
	return ""
}

// record is the delivery as a record of the preset webhook_event, with a
// signature like those of the services that sign.
func (w *delivery) record(key []byte) client.RecordInput {
	mac := hmac.New(sha256.New, key)
	mac.Write(w.body)
	fields := map[string]any{
		"external_id": w.id, "event_type": w.kind, "source": w.source,
		"raw_body": base64.StdEncoding.EncodeToString(w.body), "payload": json.RawMessage(w.body),
		"headers": map[string]string{"X-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil))},
	}
	if w.email != "" {
		fields["customer_email"] = w.email
	}
	return client.RecordInput{Fields: fields, Labels: map[string]string{"source": w.source}}
}

// signingKey is what the senders sign with: made for this run.
var signingKey = "whsec_" + rand.Text()

// receive stores every event as the intake client.
func (d *demo) receive(ctx context.Context) error {
	all, err := deliveries()
	if err != nil {
		return err
	}
	d.begin(fmt.Sprintf("%d webhook events arrive and are stored, whole and parsed", len(all)))
	size := 0
	for _, w := range all {
		in := w.record([]byte(signingKey))
		made, err := d.clients["demo-intake"].UpsertRecord(ctx, events, "external_id", "ignore", in, client.WriteOptions{})
		if err != nil {
			return fmt.Errorf("%s: %w", w.kind, err)
		}
		d.records[w.id] = made.ID
		if w.kind == "payment_intent.succeeded" {
			d.stripe = made.ID
		}
		text, err := json.Marshal(in.Fields)
		if err != nil {
			return err
		}
		d.needles.addJSON("a field value", text)
		d.needles.addText("a payload", w.body)
		size += len(w.body)
		d.saw(Integration, "POST .../events/records:upsert  %s %s, %d bytes -> record %s", w.source, w.kind, len(w.body), made.ID)
	}
	d.saw(Attacker, "%d record ids with the label source; %d bytes of payloads as ciphertext, each field under its record's own key", len(all), size)
	return nil
}

// receiveAgain delivers one event a second time.
func (d *demo) receiveAgain(ctx context.Context) error {
	d.begin("The same event is delivered again, as senders do")
	all, err := deliveries()
	if err != nil {
		return err
	}
	w := all[len(all)-1]
	again, err := d.clients["demo-intake"].UpsertRecord(ctx, events, "external_id", "ignore", w.record([]byte(signingKey)), client.WriteOptions{})
	if err != nil {
		return err
	}
	if again.Created || again.ID != d.records[w.id] {
		return fmt.Errorf("a second delivery made another record: %s", again.ID)
	}
	d.saw(Integration, "the record there is, %s revision %d: found by a blind index of external_id", again.ID, again.Revision)
	d.saw(Attacker, "that two deliveries had the same id, and not which: unique fields leak equality and nothing else")
	return nil
}

// keepCredential stores the secret that deliveries are signed with.
func (d *demo) keepCredential(ctx context.Context) error {
	d.begin("The integration stores a credential: the secret that deliveries are signed with")
	d.needles.add("a credential", signingKey)
	in := client.RecordInput{ID: "shop-endpoint", Fields: map[string]any{
		"secret": signingKey, "algorithm": "hmac-sha256", "signature_header": "X-Signature-256",
	}}
	if _, err := d.clients["demo-intake"].CreateRecord(ctx, signing, in, client.WriteOptions{}); err != nil {
		return err
	}
	d.saw(Integration, "POST .../signing/records -> shop-endpoint. It can't read it back: its role says create, not read")
	if _, err := d.clients["demo-intake"].GetField(ctx, signing.Of("shop-endpoint"), "secret"); !errors.Is(err, client.ErrForbidden) {
		return leak("the intake client read the credential back (%v)", err)
	}
	return nil
}

func leak(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrLeak, fmt.Sprintf(format, args...))
}
