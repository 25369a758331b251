package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"strongroom/internal/schema"
	"strongroom/store"
)

// insider is Alice, an administrator, with every client that she can act as:
// she tries whatever comes to her mind to read what she may not.
type insider struct {
	*court
	rand  *rand.Rand
	known map[string][]string // secret ids that she has seen, by client
	made  map[string]bool     // changes that wait
	notes []string
}

var (
	insiderRoles = []string{emptyRole, readsEmail, readsSSN,
		`{"rules":[{"integrations":["*"],"collections":["*"],"actions":["read","list","export"],"read":{"*":"clear","card":"clear","ssn":"clear"}}]}`,
		`{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read"],"read":{"ssn":"none","card":"none"}}]}`,
		`{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read"],"read":{"*":"mask:redact"}}]}`,
		`{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read","list","export"],"read":{"*":"clear"}}]}`}
	insiderSchemas = []string{customersSchema,
		strings.Replace(customersSchema, `,"x-sensitivity":"high"`, ``, 1),
		strings.Replace(customersSchema, `"card":{"type":"string","x-mask":"last4"},`, ``, 1),
		strings.Replace(customersSchema, `"card":{"type":"string","x-mask":"last4"}`, `"card":{"type":"string"}`, 1),
		strings.Replace(customersSchema, `"ssn":{"type":"string","x-sensitivity":"high"},`, ``, 1)}
	insiderClients = []string{"c0", "c1", "c2", "alice", "bob", "reader", "masked"}
)

func newInsider(t *testing.T, seed uint64, two bool) *insider {
	w := newCourt(t)
	w.role("trusted", insiderRoles[3])
	w.role("starred", insiderRoles[6])
	w.founded("masked", "starred")
	if _, _, err := w.PutClient(context.Background(), w.root, "reader", store.ClientSpec{Roles: []string{"trusted"}}, store.Precondition{}); err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{"alice": {w.secrets["alice"]}, "masked": {w.secrets["masked"]}}
	for _, name := range []string{"c0", "c1"} { // administrators of her making, to which Bob agreed
		w.agreed(w.roles("alice", name, "administrator"))
		w.agreed(w.secret("alice", name))
		known[name] = []string{w.secrets[name]}
	}
	if !two {
		_, err := w.PutGovernance(context.Background(), w.root, false)
		w.must(err)
	}
	return &insider{court: w, rand: rand.New(rand.NewPCG(seed, 1)), made: map[string]bool{}, known: known}
}

func pick[T any](in *insider, list []T) T { return list[in.rand.IntN(len(list))] }

// hands returns everybody that she can act as now.
func (in *insider) hands() (list []store.Caller) {
	for name, ids := range in.known {
		c, err := in.GetClient(context.Background(), in.root, name)
		if err != nil {
			continue
		}
		for _, id := range ids {
			if p, err := in.Principal(&store.TokenRef{Client: name, ClientUID: c.UID, SecretID: id}); err == nil {
				list = append(list, p)
			}
		}
	}
	return list
}

// note remembers what waits and what she has seen.
func (in *insider) note(what, client string, secret store.NewSecret, err error) {
	var pending *store.ChangePending
	if errors.As(err, &pending) {
		in.made[pending.Change.ID] = true
		if pending.Secret != nil {
			secret = *pending.Secret
		}
	}
	if secret.ID != "" {
		in.known[client] = append(in.known[client], secret.ID)
	}
	in.notes = append(in.notes, fmt.Sprintf("%s: %v", what, err))
}

// try does one thing at random.
func (in *insider) try(as store.Caller) {
	ctx, client := context.Background(), pick(in, insiderClients)
	role := pick(in, []string{"r0", "r1", "readers", "trusted", "starred", "nothing"})
	switch in.rand.IntN(12) {
	case 0, 1:
		_, _, err := in.PutRole(ctx, as, role, []byte(pick(in, insiderRoles)), store.Precondition{})
		in.note(as.Client+" puts role "+role, "", store.NewSecret{}, err)
	case 2:
		in.note(as.Client+" deletes role "+role, "", store.NewSecret{}, in.DeleteRole(ctx, as, role))
	case 3, 4, 5:
		spec := store.ClientSpec{Disabled: in.rand.IntN(4) == 0}
		for _, r := range []string{"r0", "r1", "readers", "trusted", "starred", "nothing", "administrator", "approver"} {
			if in.rand.IntN(4) == 0 {
				spec.Roles = append(spec.Roles, r)
			}
		}
		_, _, err := in.PutClient(ctx, as, client, spec, store.Precondition{})
		in.note(fmt.Sprintf("%s puts client %s %v", as.Client, client, spec), "", store.NewSecret{}, err)
	case 6, 7:
		secret, err := in.CreateSecret(ctx, as, client, 0, store.WriteOptions{})
		in.note(as.Client+" makes a secret of "+client, client, secret, err)
	case 8:
		if client != "reader" && client != "bob" {
			in.note(as.Client+" deletes client "+client, "", store.NewSecret{}, in.DeleteClient(ctx, as, client))
		}
	case 9:
		_, _, err := in.PutCollection(ctx, as, customers, store.CollectionSpec{Schema: []byte(pick(in, insiderSchemas))}, store.Precondition{})
		in.note(as.Client+" puts the schema", "", store.NewSecret{}, err)
	case 10:
		_, err := in.PutGovernance(ctx, as, false)
		in.note(as.Client+" switches it off", "", store.NewSecret{}, err)
	case 11:
		for id := range in.made {
			_, err := in.ApproveChange(ctx, as, id)
			if err == nil {
				in.note(as.Client+" approves "+id, "", store.NewSecret{}, nil)
			}
		}
	}
}

// learns returns a value that she should not see, once she does.
func (in *insider) learns(ref store.RecordRef) string {
	for _, c := range in.hands() {
		rec, err := in.GetRecord(context.Background(), c, ref, store.ReadOptions{})
		if err != nil {
			continue
		}
		for _, value := range []string{secretOfAll, cardOfAll} {
			if strings.Contains(string(schema.Join(rec.Fields)), value) {
				return c.Client + " reads " + value
			}
		}
	}
	return ""
}

// insiderRuns is how often she tries: every time from another beginning.
func insiderRuns() uint64 {
	if os.Getenv("STRONGROOM_LONG") == "1" {
		return 200
	}
	return 10
}

// However she tries, Alice does not read alone what she may not; without two
// persons she soon does, which shows that the test tries the right things.
func TestAnInsiderAloneLearnsNothing(t *testing.T) {
	for _, two := range []bool{true, false} {
		learned := 0
		for seed := range insiderRuns() {
			in := newInsider(t, seed, two)
			ref := in.create(fullRecord)
			for step := 0; step < 120 && learned <= int(seed); step++ {
				hands := in.hands()
				in.try(pick(in, hands))
				if what := in.learns(ref); what != "" {
					learned++
					if two {
						t.Fatalf("seed %d, step %d: %s\n%s", seed, step, what, strings.Join(in.notes, "\n"))
					}
				}
			}
			if two && !in.TwoPersons() {
				t.Fatalf("seed %d: it is off\n%s", seed, strings.Join(in.notes, "\n"))
			}
		}
		if !two && learned < 5 {
			t.Errorf("without two persons she learned something in %d runs: the test tries too little", learned)
		}
	}
}
