package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"strongroom/client"
)

// killCampaign is a rotation and the steps that it is killed at.
type killCampaign struct {
	request   client.RotationRequest
	direction string // forward, back or cancel
	steps     []string
}

var (
	kekSteps    = []string{"pending", "kek_rotate", "kek_rewrap", "kek_verify", "retire", "trim", "done", stepEnd}
	keysetSteps = []string{
		"pending", "add", "promote", "sweep", "sweep" + chunkOf, "verify", "disable", "grace", "delete",
		"kek_rotate", "kek_rewrap", "kek_verify", "retire", "done", stepEnd,
	}
	backSteps = []string{
		"rollback_enable", "rollback_promote", "rollback_sweep", "rollback_sweep" + chunkOf, "rollback_verify", "rollback_delete", "rolled_back", stepEnd,
	}
	cancelSteps = []string{"cancel_remove", "cancelled", stepEnd}
)

// rotationOf asks for a rotation of everything that has integrations' keys.
func rotationOf(depth, grace string) client.RotationRequest {
	r := client.RotationRequest{Integrations: []string{"*"}, Depth: depth, Grace: grace, Retire: true}
	if depth == "kek" {
		r.Grace, r.Trim = "", true
	}
	return r
}

// withSystem adds the system domain. In the depth data it takes a day: see
// lastCampaign.
func withSystem(r client.RotationRequest) client.RotationRequest {
	r.System = true
	return r
}

// longGrace is a grace that a rotation is rolled back in.
const longGrace = "1h"

var allCampaigns = []killCampaign{
	{withSystem(rotationOf("kek", "")), "forward", kekSteps},
	{withSystem(rotationOf("keyset", "1s")), "forward", keysetSteps},
	{rotationOf("data", "1s"), "forward", keysetSteps},
	{withSystem(rotationOf("keyset", longGrace)), "back", backSteps},
	{rotationOf("data", longGrace), "back", backSteps},
	{withSystem(rotationOf("keyset", "0s")), "cancel", cancelSteps},
	{rotationOf("data", "0s"), "cancel", cancelSteps},
}

// briefCampaigns are for a run of seconds.
var briefCampaigns = []killCampaign{
	{withSystem(rotationOf("kek", "")), "forward", []string{"kek_rewrap", "trim"}},
	{withSystem(rotationOf("keyset", "0s")), "forward", []string{"promote", "sweep" + chunkOf, "delete"}},
	{rotationOf("data", longGrace), "back", []string{"sweep", "rollback_promote"}},
}

// lastCampaign leaves what a day has to pass for: idempotency keys that are
// under a MAC key of the system which was replaced, and taken back.
var lastCampaign = killCampaign{withSystem(rotationOf("data", "0s")), "drain", []string{"drain", "rollback_drain"}}

// killRotator makes the rotations of a campaign and brings them where they are
// to be killed.
type killRotator struct {
	k    *rotateTest
	c    killCampaign
	n    int
	made map[string]int

	mu   sync.Mutex
	then client.Rotation // as it was last seen
}

// begin begins another campaign. A rotation of an earlier one is brought to its
// end first.
func (r *killRotator) begin(c killCampaign) {
	r.n++
	c.request.Reason = fmt.Sprintf("campaign %d", r.n)
	r.c = c
}

// random is a campaign that nobody has thought of.
func (r *killRotator) random() killCampaign {
	depth := []string{"kek", "keyset", "keyset", "data"}[rand.IntN(4)]
	c := killCampaign{request: rotationOf(depth, []string{"0s", "1s"}[rand.IntN(2)]), direction: "random"}
	c.request.System = depth != "data" && rand.IntN(2) == 0
	c.request.Reindex = depth == "keyset" && !c.request.System && rand.IntN(2) == 0
	if rand.IntN(4) == 0 {
		c.request.Rate = 200
	}
	return c
}

func (r *killRotator) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return toJSON(r.k.T, r.then)
}

// lacksBackup reports whether the rotation waits for a verified backup.
func (r *killRotator) lacksBackup() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.then.State == "waiting" && strings.Contains(r.then.Detail, "make one, and verify it")
}

func (r *killRotator) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.then = client.Rotation{}
}

// run looks after the rotations until the server is gone.
func (r *killRotator) run(ctx context.Context) {
	for ctx.Err() == nil && !r.k.Failed() {
		err := r.look(ctx)
		var problem *client.Problem
		switch {
		case err == nil, errors.Is(err, client.ErrConflict):
		case errors.As(err, &problem):
			r.k.Errorf("a rotation: %v", err)
		default:
			return
		}
		time.Sleep(15 * time.Millisecond)
	}
}

// look makes a rotation when there is none, or takes care of the one that is.
func (r *killRotator) look(ctx context.Context) error {
	all, err := r.k.client.ListRotations(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(one client.Rotation) bool { return !one.Ended() })
	if i < 0 {
		made, err := r.k.client.CreateRotation(ctx, r.c.request)
		if err == nil {
			r.count(made)
		}
		return err
	}
	one, err := r.k.client.GetRotation(ctx, all[i].ID)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.then = *one
	r.mu.Unlock()
	return r.tend(ctx, one)
}

func (r *killRotator) count(made *client.Rotation) {
	if r.made == nil {
		r.made = map[string]int{}
	}
	r.made[made.Depth+" "+r.c.direction]++
}

// tend has a rotation go where the campaign wants it.
func (r *killRotator) tend(ctx context.Context, one *client.Rotation) (err error) {
	at := func(step string) bool {
		return slices.ContainsFunc(one.Parts, func(p client.RotationPart) bool { return p.Step == step })
	}
	mine := one.Reason == r.c.request.Reason
	c := r.k.client
	switch {
	case one.State == "failed":
		r.k.Errorf("a rotation failed: %s", one.Detail)
	case one.State == "paused":
		_, err = c.ResumeRotation(ctx, one.ID)
	case !mine && one.Rate > 0:
		_, err = c.ThrottleRotation(ctx, one.ID, 0)
	case one.Direction != "forward":
	case r.c.direction == "cancel" && at("promote"):
		_, err = c.CancelRotation(ctx, one.ID)
	case one.Grace == longGrace && at("grace"):
		_, err = c.RollbackRotation(ctx, one.ID)
	case mine && r.c.direction == "drain" && at("drain") && r.rolls():
		_, err = c.RollbackRotation(ctx, one.ID)
	case mine && r.c.direction == "random":
		err = r.meddle(ctx, one)
	}
	return err
}

// rolls reports whether the last campaign has seen the drain forward.
func (r *killRotator) rolls() bool {
	return slices.ContainsFunc(r.k.record(), func(line string) bool { return line == "data drain "+killBefore || line == "data drain "+killDuring })
}

// meddle does now and then what an operator may.
func (r *killRotator) meddle(ctx context.Context, one *client.Rotation) (err error) {
	switch c := r.k.client; rand.IntN(20) {
	case 0:
		_, err = c.PauseRotation(ctx, one.ID)
	case 1:
		_, err = c.CancelRotation(ctx, one.ID)
	case 2:
		_, err = c.RollbackRotation(ctx, one.ID)
	case 3:
		_, err = c.ThrottleRotation(ctx, one.ID, uint64(rand.IntN(2)*500))
	}
	return err
}
