package api

import (
	"context"
	"testing"

	"strongroom/internal/secret"
	"strongroom/store"
)

var aChange = store.Change{ID: "change-1", Kind: "put-role", Target: "role/billing-reader", State: "pending", Requester: "alice",
	RequestedAt: at, ExpiresAt: at, Affects: []string{"client/invoicing@7"}, Document: []byte(`{"rules":[]}`), Current: []byte(`{"rules":[]}`), BaseVersion: 6}

var anApproval = store.Approval{ID: "approval-1", UsesLeft: 1, State: "approved", Requester: "invoicing", RequestedAt: at, ExpiresAt: at, Decider: "bob", DecidedAt: &at,
	ApprovalSpec: store.ApprovalSpec{Client: "invoicing", Purpose: "refund", Integration: "acme-crm", Collection: "cards",
		Records: []string{"rec-1"}, Fields: []string{"number"}, Uses: 1, TTL: "15m0s"}}

// held is what the scripted store says of a change that waits.
func held() error {
	return &store.ChangePending{Change: aChange, Secret: &store.NewSecret{SecretInfo: store.SecretInfo{ID: "sec-1"}, Secret: secret.New("shown-once")}}
}

func (s *scripted) GetGovernance(_ context.Context, c store.Caller) (store.Governance, error) {
	return store.Governance{TwoPerson: true, UpdatedAt: &at, UpdatedBy: "alice"}, s.called(c, nil, nil)
}
func (s *scripted) PutGovernance(_ context.Context, c store.Caller, on bool) (store.Governance, error) {
	return store.Governance{TwoPerson: on}, s.called(c, on, nil)
}
func (s *scripted) ListChanges(_ context.Context, c store.Caller) ([]store.Change, error) {
	return []store.Change{aChange}, s.called(c, nil, nil)
}
func (s *scripted) change(c store.Caller, id string) (store.Change, error) {
	return aChange, s.called(c, id, nil)
}
func (s *scripted) GetChange(_ context.Context, c store.Caller, id string) (store.Change, error) {
	return s.change(c, id)
}
func (s *scripted) ApproveChange(_ context.Context, c store.Caller, id string) (store.Change, error) {
	return s.change(c, id)
}
func (s *scripted) RejectChange(_ context.Context, c store.Caller, id string) (store.Change, error) {
	return s.change(c, id)
}
func (s *scripted) WithdrawChange(_ context.Context, c store.Caller, id string) (store.Change, error) {
	return s.change(c, id)
}
func (s *scripted) RequestApproval(_ context.Context, c store.Caller, spec store.ApprovalSpec) (store.Approval, error) {
	return anApproval, s.called(c, spec, nil)
}
func (s *scripted) ListApprovals(_ context.Context, c store.Caller) ([]store.Approval, error) {
	return []store.Approval{anApproval}, s.called(c, nil, nil)
}
func (s *scripted) approval(c store.Caller, id string) (store.Approval, error) {
	return anApproval, s.called(c, id, nil)
}
func (s *scripted) GetApproval(_ context.Context, c store.Caller, id string) (store.Approval, error) {
	return s.approval(c, id)
}
func (s *scripted) ApproveRead(_ context.Context, c store.Caller, id string) (store.Approval, error) {
	return s.approval(c, id)
}
func (s *scripted) RejectRead(_ context.Context, c store.Caller, id string) (store.Approval, error) {
	return s.approval(c, id)
}
func (s *scripted) RevokeRead(_ context.Context, c store.Caller, id string) (store.Approval, error) {
	return s.approval(c, id)
}

func TestPurposeAndApprovalComeFromHeaders(t *testing.T) {
	f := newScripted(t)
	one := customers + "/records/rec-1"
	f.me().do("GET", one, "", "Strongroom-Purpose", "refund", "Strongroom-Approval", "approval-1").want(200)
	if c := f.script.caller; c.Purpose != "refund" || c.Approval != "approval-1" {
		t.Errorf("the store is told %q, %q", c.Purpose, c.Approval)
	}
	for _, headers := range [][]string{
		{"Strongroom-Purpose", "Two Words"}, {"Strongroom-Approval", "../x"}, {"Strongroom-Approval", "a b"},
	} {
		f.me().do("GET", one, "", headers...).refused(400, "malformed_request")
	}
}

// signed makes a client on the machine, so that nobody made it, and signs it in.
func (h *house) signed(name string, roles ...string) actor {
	h.t.Helper()
	made, err := h.store.InitialClient(h.t.Context(), name, roles)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.as(h.signIn(name, made.Secret.Reveal()))
}

// Alice wants data, and it takes Bob.
func TestStoryOfTwoPersons(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	h.root.do("PUT", customers+"/records/r", `{"fields":{"email":"ada@example.org","ssn":"078-05-1120"}}`).want(201)
	alice, bob := h.signed("alice", "administrator"), h.signed("bob", "administrator")
	alice.do("PUT", "/v1/governance", `{}`).want(400)
	alice.do("PUT", "/v1/governance", `{"two_person":true}`).want(200).has(`"two_person":true`)
	wanted := `{"rules":[{"integrations":["*"],"collections":["*"],"actions":["read"],"read":{"ssn":"clear"}}]}`
	held := alice.do("PUT", "/v1/roles/mine", wanted).want(202).has(`"state":"pending"`)
	place := held.Header.Get("Location")
	alice.do("GET", "/v1/roles/mine", "").want(404)
	alice.do("POST", place+":approve", "").refused(403, "same_hand")
	alice.do("PUT", "/v1/clients/alice", `{"roles":["administrator","auditor"]}`).refused(403, "self_edit")
	bob.do("GET", place, "").want(200).has(`"requester":"alice"`).has(`"ssn":"clear"`)
	bob.do("POST", place+":approve", "").want(200).has(`"decider":"bob"`)
	alice.do("GET", "/v1/roles/mine", "").want(200)

	client := alice.do("PUT", "/v1/clients/mine", `{"roles":["mine"]}`).want(202).Header.Get("Location")
	alice.do("POST", "/v1/clients/mine/secrets", `{"ttl":"1h"}`).want(404)
	bob.do("POST", client+":approve", "").want(200)
	made := alice.do("POST", "/v1/clients/mine/secrets", `{"ttl":"1h"}`).want(202)
	secret := made.text("client_secret")
	h.as("").do("POST", "/oauth2/token", "grant_type=client_credentials&client_id=mine&client_secret="+secret, "Content-Type", mediaForm).want(401)
	bob.do("POST", made.Header.Get("Location")+":approve", "").want(200)
	h.as(h.signIn("mine", secret)).do("GET", customers+"/records/r", "").want(200).has("078-05-1120")

	again := alice.do("PUT", "/v1/clients/mine", `{"roles":["mine"],"labels":{"a":"b"}}`).want(202).Header.Get("Location")
	bob.do("POST", again+":reject", "").want(200).has(`"state":"rejected"`)
	off := alice.do("PUT", "/v1/governance", `{"two_person":false}`).want(202).Header.Get("Location")
	alice.do("POST", off+":withdraw", "").want(200).has(`"state":"withdrawn"`)
	alice.do("GET", "/v1/changes", "").want(200).has(`"put-client"`)
	alice.do("DELETE", "/v1/clients/root", "").want(204)
	alice.do("DELETE", "/v1/clients/bob", "").want(204)
	alice.do("DELETE", "/v1/clients/alice", "").refused(403, "self_edit")
}

func TestStoryOfAnApproval(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	h.root.do("PUT", acme+"/collections/cards", `{"schema":{"type":"object","properties":{"number":{"type":"string","x-mask":"last4","x-approval":"required"},"pin":{"type":"string","x-approval":"required"}}}}`).want(201)
	card := acme + "/collections/cards/records/card-1"
	h.root.do("PUT", card, `{"fields":{"number":"4242424242424242","pin":"9371"}}`).want(201)
	service := h.hire("refunds", `{"integrations":["*"],"collections":["cards"],"actions":["read"],"read":{"number":"clear","pin":"clear"}}`)
	approver := h.signed("approver", "approver")
	service.do("GET", card, "").want(200).has(`"number":"****4242"`).has(`"withheld":["pin"]`)
	service.do("GET", card+"/fields/pin", "").refused(403, "approval_required")
	asked := service.do("POST", "/v1/approvals", `{"purpose":"refund","integration":"acme-crm","collection":"cards","records":["card-1"],"fields":["number","pin"]}`).want(201)
	place, id := asked.Header.Get("Location"), asked.text("id")
	service.do("POST", place+":approve", "").refused(403, "forbidden")
	h.root.do("POST", place+":approve", "").refused(403, "same_hand") // it made the service
	approver.do("GET", "/v1/approvals", "").want(200).has(id)
	approver.do("POST", place+":approve", "").want(200).has(`"state":"approved"`)
	with := []string{"Strongroom-Purpose", "refund", "Strongroom-Approval", id}
	service.do("GET", card, "", with...).want(200).has(`"number":"4242424242424242"`).has(`"withheld":[]`)
	service.do("GET", card, "", with...).want(200).has(`"number":"****4242"`)
	service.do("GET", place, "").want(200).has(`"state":"used"`)
	service.do("POST", place+":revoke", "").refused(409, "conflict")
}
