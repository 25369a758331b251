package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"strongroom/client"
)

// The names of the demo. Names are plaintext, on the disk and in the audit log.
const (
	shop    = "shop-webhooks"
	payroll = "payroll"
)

var (
	events  = client.CollectionRef{Integration: shop, Collection: "events"}
	signing = client.CollectionRef{Integration: shop, Collection: "signing"}
	slips   = client.CollectionRef{Integration: payroll, Collection: "slips"}
)

// roles are what each client may do. Whatever they don't grant is denied.
var roles = map[string]string{
	"demo-intake-role": `{"rules": [
  {"integrations": ["shop-webhooks"], "collections": ["events"], "actions": ["create", "update", "search"],
   "write": ["*"], "write_labels": ["source"], "search": ["external_id"], "read": {"external_id": "clear"}},
  {"integrations": ["shop-webhooks"], "collections": ["signing"], "actions": ["create"], "write": ["*", "secret"]}]}`,
	"demo-support-role": `{"rules": [
  {"integrations": ["shop-webhooks"], "collections": ["events"], "actions": ["read", "list"],
   "read": {"event_type": "clear", "occurred_at": "clear", "source": "clear", "customer_email": "mask:email"}}]}`,
	"demo-verifier-role": `{"rules": [
  {"integrations": ["shop-webhooks"], "collections": ["events"], "actions": ["read"], "read": {"raw_body": "clear", "headers": "clear"}},
  {"integrations": ["shop-webhooks"], "collections": ["signing"], "actions": ["read"], "read": {"secret": "clear"}}]}`,
	"demo-payroll-role": `{"rules": [
  {"integrations": ["payroll"], "collections": ["*"], "actions": ["read", "list", "search", "create"], "read": {"*": "clear"}, "write": ["*"]}]}`,
}

// furnish makes integrations, collections and roles.
func (d *demo) furnish(ctx context.Context) error {
	d.begin("The owner makes two integrations, each with a key of its own, and their collections")
	for _, name := range []string{shop, payroll} {
		if _, err := d.owner.PutIntegration(ctx, name, client.IntegrationSpec{}, client.WriteOptions{}); err != nil {
			return err
		}
	}
	for ref, spec := range map[client.CollectionRef]client.CollectionSpec{
		events:  {Preset: "webhook_event"},
		signing: {Preset: "webhook_secret"},
		slips:   {Schema: json.RawMessage(`{"type": "object", "properties": {"employee": {"type": "string"}, "net": {"type": "number"}}}`)},
	} {
		if _, err := d.owner.PutCollection(ctx, ref, spec, client.WriteOptions{}); err != nil {
			return err
		}
	}
	for name, document := range roles {
		if _, err := d.owner.PutRole(ctx, name, json.RawMessage(document), client.WriteOptions{}); err != nil {
			return err
		}
		d.needles.addText("a role", []byte(document))
		d.needles.addText("a role", compact(document))
	}
	d.saw(Integration, "PUT /v1/integrations/%s, its collections %s (preset webhook_event) and %s (preset webhook_secret)", shop, events.Collection, signing.Collection)
	d.saw(Service, "nothing yet: no client exists but the owner's")
	d.saw(Attacker, "the names, in plaintext; schemas and roles are sealed, so that nobody who writes the disk writes himself a role")
	return nil
}

func compact(document string) []byte {
	var b bytes.Buffer
	_ = json.Compact(&b, []byte(document))
	return b.Bytes()
}

// admit makes a client with a secret for each role.
func (d *demo) admit(ctx context.Context) error {
	d.begin("Each service becomes a client with one role and a secret, shown once")
	for role := range roles {
		name := strings.TrimSuffix(role, "-role")
		if _, err := d.owner.PutClient(ctx, name, client.PrincipalSpec{Roles: []string{role}}, client.WriteOptions{}); err != nil {
			return err
		}
		secret, err := d.owner.CreateSecret(ctx, name, 0, client.WriteOptions{})
		if err != nil {
			return err
		}
		d.needles.add("a client secret", secret.Value.Reveal())
		config := d.server.Client()
		config.ClientID, config.ClientSecret = name, secret.Value
		if d.clients[name], err = client.New(config); err != nil {
			return err
		}
	}
	d.saw(Service, "POST /oauth2/token with its secret: an access token for fifteen minutes")
	d.saw(Attacker, "a hash of each secret, sealed; tokens are never stored")
	return nil
}
