package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"strongroom/client"
	"strongroom/internal/audit"
)

// killControl changes definitions: a role, a client with a secret, and the
// collection that the workers write to.
type killControl struct {
	k       *killTest
	n       int
	role    int // acknowledged
	client  int
	pending string // what was begun and not acknowledged: role, client
	secrets []string
}

func (c *killControl) run(ctx context.Context) {
	for ctx.Err() == nil && !c.k.Failed() {
		c.n++
		for _, step := range []struct {
			kind string
			do   func(context.Context) error
		}{{"role", c.putRole}, {"client", c.putClient}, {"secret", c.addSecret}, {"collection", c.putCollection}} {
			c.pending = step.kind
			if err := step.do(ctx); err != nil {
				c.k.gone(step.kind, err)
				return
			}
			c.pending = ""
			c.k.acks.add(step.kind, "", 0)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// putRole puts a role whose rule names its number.
func (c *killControl) putRole(ctx context.Context) error {
	doc := fmt.Appendf(nil, `{"rules":[{"integrations":["kill"],"collections":["n-%d"],"actions":["list"]}]}`, c.n)
	_, err := c.k.client.PutRole(ctx, "killer", doc, client.WriteOptions{})
	if err == nil {
		c.role = c.n
	}
	return err
}

func (c *killControl) putClient(ctx context.Context) error {
	_, err := c.k.client.PutClient(ctx, "killer", client.PrincipalSpec{Roles: []string{"killer"}, Labels: map[string]string{"n": fmt.Sprint(c.n)}}, client.WriteOptions{})
	if err == nil {
		c.client = c.n
	}
	return err
}

// addSecret gives the client a secret, and takes the oldest when it has the two
// that a client can have.
func (c *killControl) addSecret(ctx context.Context) error {
	present, err := c.k.client.ListSecrets(ctx, "killer")
	if err != nil {
		return err
	}
	if len(present) > 1 {
		oldest := present[0].ID
		c.secrets = slices.DeleteFunc(c.secrets, func(id string) bool { return id == oldest })
		if err := c.k.client.DeleteSecret(ctx, "killer", oldest); err != nil {
			return err
		}
	}
	issued, err := c.k.client.CreateSecret(ctx, "killer", time.Hour, client.WriteOptions{})
	if err == nil {
		c.secrets = append(c.secrets, issued.ID)
	}
	return err
}

// putCollection changes how many revisions are kept: every write that is under
// way has to look at the definition again.
func (c *killControl) putCollection(ctx context.Context) error {
	_, err := c.k.client.PutCollection(ctx, killOrders, killSpec(3+c.n%5), client.WriteOptions{})
	return err
}

// check compares the definitions with what was acknowledged.
func (c *killControl) check() {
	k := c.k
	k.Helper()
	role, err := k.client.GetRole(k.Context(), "killer")
	c.expect("role", &c.role, err, func(n int) bool {
		return string(role.Rules) == fmt.Sprintf(`[{"integrations":["kill"],"collections":["n-%d"],"actions":["list"]}]`, n)
	})
	who, err := k.client.GetClient(k.Context(), "killer")
	c.expect("client", &c.client, err, func(n int) bool { return who.Labels["n"] == fmt.Sprint(n) })
	if c.client > 0 {
		c.checkSecrets()
	}
	c.pending = ""
}

// expect wants the number that was acknowledged, or the one under way, which
// is then what to go on from.
func (c *killControl) expect(kind string, acked *int, err error, is func(int) bool) {
	c.k.Helper()
	underWay := c.pending == kind
	switch {
	case err != nil && *acked == 0 && errors.Is(err, client.ErrNotFound):
	case err != nil:
		c.k.Errorf("%s: %v", kind, err)
	case underWay && is(c.n):
		*acked = c.n
	case !is(*acked):
		c.k.Errorf("the %s is not that of change %d, and one was under way: %v", kind, *acked, underWay)
	}
}

func (c *killControl) checkSecrets() {
	c.k.Helper()
	present, err := c.k.client.ListSecrets(c.k.Context(), "killer")
	c.k.must(err)
	for _, id := range c.secrets {
		if !slices.ContainsFunc(present, func(s client.SecretInfo) bool { return s.ID == id }) {
			c.k.Errorf("an acknowledged secret is gone")
		}
	}
}

// trail is what the audit log says of mutations.
type trail struct {
	intents  map[string]bool // operations
	outcomes map[string]bool
	written  map[ackedWrite]string // operation
	told     map[ackedWrite]bool   // also by a request that was answered again
	meant    map[string]bool       // records that an intent names
	imported map[string]string
}

// wantAudited holds every acknowledged write against the audit log: its intent
// and its outcome are there. Where the server was killed between a commit and
// its outcome, nobody was told until the request came again.
func (k *killTest) wantAudited() {
	k.Helper()
	tr := k.readTrail(filepath.Join(k.home, "audit"))
	for _, a := range k.acks.writes {
		if op := tr.written[a]; op == "" || !tr.intents[op] {
			k.Errorf("revision %d of %s was acknowledged; operation %q, intent: %v", a.revision, a.record, op, tr.intents[op])
		}
	}
	for _, a := range k.acks.repeated {
		if !tr.told[a] || !tr.meant[a.record] {
			k.Errorf("revision %d of %s was acknowledged on a repeat; told: %v, intent: %v", a.revision, a.record, tr.told[a], tr.meant[a.record])
		}
	}
	for _, id := range k.acks.imported {
		if op := tr.imported[id]; op == "" || !tr.outcomes[op] {
			k.Errorf("the import of %s was acknowledged; operation %q, outcome: %v", id, op, tr.outcomes[op])
		}
	}
	for op := range tr.outcomes {
		if !tr.intents[op] {
			k.Errorf("operation %s has an outcome and no intent", op)
		}
	}
}

func (k *killTest) readTrail(dir string) trail {
	k.Helper()
	tr := trail{map[string]bool{}, map[string]bool{}, map[ackedWrite]string{}, map[ackedWrite]bool{}, map[string]bool{}, map[string]string{}}
	r := audit.NewReader(dir, audit.Filter{})
	defer r.Close()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return tr
		}
		if err != nil {
			k.Fatalf("the audit log: %v", err)
		}
		tr.note(&e)
	}
}

func (tr *trail) note(e *audit.Entry) {
	if e.Outcome == audit.Allowed && e.Action == "create" {
		tr.told[ackedWrite{e.Record, e.Revision}] = true
	}
	switch {
	case e.Phase == audit.Intent:
		tr.intents[e.Operation], tr.meant[e.Record] = true, true
		for _, id := range e.Records {
			tr.imported[id] = e.Operation
		}
	case e.Phase == audit.Outcome && e.Outcome == audit.Allowed:
		tr.outcomes[e.Operation] = true
		tr.written[ackedWrite{e.Record, e.Revision}] = e.Operation
	}
}
