package api

import (
	"context"
	"time"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/rotate"
	"strongroom/store"
)

var aSpan = rotate.Span(7200e9)

func aKey(generation uint32) rotate.Key {
	return rotate.Key{Purpose: envelope.PurposeWrapping, Generation: generation, KeyID: 0x0a1b2c3c + generation}
}

var aRotation = rotate.Rotation{ID: "rotation-1", State: rotate.StateRunning, Direction: rotate.Forward, By: "root", CreatedAt: at, StartedAt: &at,
	Request: rotate.Request{Integrations: []string{"acme-*"}, Depth: rotate.DepthKeyset, Grace: &aSpan, Retire: true, Rate: 5000, Reason: "yearly"},
	Parts: []rotate.Part{{ID: "p1", KeyDomain: store.KeyDomain{Integration: "acme-crm", UID: uid.New()}, Purposes: []string{"wrapping"}, Step: rotate.StepSweep,
		New: []rotate.Key{aKey(2)}, Old: []rotate.Key{aKey(1)},
		Former: []rotate.Key{aKey(1)}, KEK: "strongroom-a-b", KEKFrom: 1, Cursor: "c",
		Counts: rotate.Counts{Before: map[string]uint64{"1a1b2c3d": 7}, Total: 7, Scanned: 3, Rewrapped: 3, Bytes: 390},
		Scan:   &rotate.Scan{Scan: store.Scan{Values: 7, Opened: 7}, StartedAt: at, FinishedAt: at}, Times: map[rotate.Step]time.Time{rotate.StepAdd: at}}},
	Progress: rotate.Progress{Done: 3, Total: 7, Left: 4, Rate: 1000.5, ETASeconds: &[]float64{0.004}[0], Parts: 1}}

var aSchedule = rotate.Schedule{Name: "yearly", Version: 3, CreatedAt: at, UpdatedAt: at,
	ScheduleSpec: rotate.ScheduleSpec{Request: rotate.Request{Integrations: []string{"*"}, System: true, Depth: rotate.DepthKEK}, Every: &aSpan, Start: &at,
		TimeZone: "Europe/Zurich", Window: &rotate.Window{Days: []string{"sat"}, From: "22:00", To: "04:00"}, MaxAge: &aSpan},
	Run: rotate.Run{LastDue: &at, LastStarted: &at, LastRotation: "rotation-1", NextDue: &at, NextStart: &at}}

// scriptedJobs is the part of the script whose methods have short names.
type scriptedJobs struct{ s *scripted }

func (j scriptedJobs) one(c store.Caller, id string) (rotate.Rotation, error) {
	return aRotation, j.s.called(c, id, nil)
}
func (j scriptedJobs) Create(_ context.Context, c store.Caller, r rotate.Request) (rotate.Rotation, error) {
	return aRotation, j.s.called(c, nil, r)
}
func (j scriptedJobs) Get(_ context.Context, c store.Caller, id string) (rotate.Rotation, error) {
	return j.one(c, id)
}
func (j scriptedJobs) List(_ context.Context, c store.Caller) ([]rotate.Rotation, error) {
	short := aRotation
	short.Parts = nil
	return []rotate.Rotation{short}, j.s.called(c, nil, nil)
}
func (j scriptedJobs) Pause(_ context.Context, c store.Caller, id string) (rotate.Rotation, error) {
	return j.one(c, id)
}
func (j scriptedJobs) Resume(_ context.Context, c store.Caller, id string) (rotate.Rotation, error) {
	return j.one(c, id)
}
func (j scriptedJobs) Cancel(_ context.Context, c store.Caller, id string) (rotate.Rotation, error) {
	return j.one(c, id)
}
func (j scriptedJobs) Rollback(_ context.Context, c store.Caller, id string) (rotate.Rotation, error) {
	return j.one(c, id)
}
func (j scriptedJobs) Throttle(_ context.Context, c store.Caller, id string, rate uint64) (rotate.Rotation, error) {
	return aRotation, j.s.called(c, id, rate)
}
func (j scriptedJobs) Subscribe(ctx context.Context, c store.Caller, id string) (<-chan rotate.Rotation, error) {
	if err := j.s.called(c, id, nil); err != nil {
		return nil, err
	}
	if j.s.rotations != nil {
		return j.s.rotations, nil
	}
	docs, ended := make(chan rotate.Rotation, 2), aRotation
	ended.State, ended.FinishedAt, ended.HasReport = rotate.StateDone, &at, true
	docs <- aRotation
	docs <- ended
	return docs, nil
}
func (j scriptedJobs) Report(_ context.Context, c store.Caller, id string) ([]byte, error) {
	return []byte("{}\n\n— strongroom-1 c2lnbmF0dXJl\n"), j.s.called(c, id, nil)
}
func (j scriptedJobs) PutSchedule(_ context.Context, c store.Caller, name string, spec rotate.ScheduleSpec, p store.Precondition) (rotate.Schedule, bool, error) {
	return aSchedule, j.s.put.Created, j.s.called(c, name, spec)
}
func (j scriptedJobs) GetSchedule(_ context.Context, c store.Caller, name string) (rotate.Schedule, error) {
	return aSchedule, j.s.called(c, name, nil)
}
func (j scriptedJobs) ListSchedules(_ context.Context, c store.Caller) ([]rotate.Schedule, error) {
	return []rotate.Schedule{aSchedule}, j.s.called(c, nil, nil)
}
func (j scriptedJobs) DeleteSchedule(_ context.Context, c store.Caller, name string, p store.Precondition) error {
	return j.s.called(c, name, p)
}

var aDomain = rotate.DomainKeys{KeyDomain: store.KeyDomain{Integration: "acme-crm", UID: uid.New()}, NextRotation: &at, Schedule: "yearly",
	KEK: rotate.KEK{KEKState: store.KEKState{Name: "strongroom-a-b", Latest: 1, Minimum: 1, Available: 1, Versions: []store.KEKVersion{{Version: 1, CreatedAt: at, Keysets: 2}}},
		Life: rotate.Life{Age: new(int64), Left: new(int64)}},
	Keys: []rotate.KeyState{{KeyState: store.KeyState{Purpose: "wrapping", Generation: 1, KeyID: "0a1b2c3d", State: "primary", CreatedAt: at, KEKVersion: 1, Values: 7}}}}

// scriptedKeys is the inventory of the script.
type scriptedKeys struct{ s *scripted }

func (k scriptedKeys) List(_ context.Context, c store.Caller) ([]rotate.DomainKeys, error) {
	return []rotate.DomainKeys{aDomain}, k.s.called(c, nil, nil)
}
func (k scriptedKeys) Covered(_ context.Context, c store.Caller, id uint32, fn func(store.CoveredRecord) error) error {
	if err := k.s.called(c, id, nil); err != nil {
		return err
	}
	if id == 0 {
		return store.ErrNotFound
	}
	for _, r := range []store.CoveredRecord{{Integration: "acme-crm", Collection: "customers", Record: "rec-1", Revisions: 2, CreatedAt: at, Under: true}, {Control: "role/a"}} {
		if err := fn(r); err != nil {
			return err
		}
	}
	return k.s.midway
}

func (s *scripted) AttestKeys() []store.VerifierKey {
	return []store.VerifierKey{{Key: "strongroom-1+2b3c4d5e+AQID", CreatedAt: at}}
}

func (s *scripted) Renew(c store.Caller) (store.Caller, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c, s.gone
}

var anErasure = rotate.Erasure{ID: "erasure-1", State: rotate.LevelFile, By: "root", CreatedAt: at, E1At: &at, E2At: &at, Records: 3, Rotation: "rotation-1", Detail: "waits",
	ErasureRequest: rotate.ErasureRequest{EraseTarget: store.EraseTarget{Integration: "acme-crm", Labels: map[string]string{"subject": "cust-42"}}, Level: rotate.LevelKeys, Reason: "4711"}}

// scriptedErasures are the erasures of the script.
type scriptedErasures struct{ s *scripted }

func (e scriptedErasures) Create(_ context.Context, c store.Caller, r rotate.ErasureRequest) (rotate.Erasure, error) {
	return anErasure, e.s.called(c, nil, r)
}
func (e scriptedErasures) Get(_ context.Context, c store.Caller, id string) (rotate.Erasure, error) {
	return anErasure, e.s.called(c, id, nil)
}
func (e scriptedErasures) List(_ context.Context, c store.Caller) ([]rotate.Erasure, error) {
	return []rotate.Erasure{anErasure}, e.s.called(c, nil, nil)
}
func (e scriptedErasures) Resume(_ context.Context, c store.Caller, id string) (rotate.Erasure, error) {
	return anErasure, e.s.called(c, id, nil)
}
func (e scriptedErasures) Certificate(_ context.Context, c store.Caller, id string) ([]byte, error) {
	return []byte("{}\n\n— strongroom-1 c2lnbmF0dXJl\n"), e.s.called(c, id, nil)
}
func (e scriptedErasures) Subscribe(_ context.Context, c store.Caller, id string) (<-chan rotate.Erasure, error) {
	docs, done := make(chan rotate.Erasure, 2), anErasure
	done.State, done.Done, done.E3At, done.HasCertificate = rotate.LevelKeys, true, &at, true
	docs <- anErasure
	docs <- done
	return docs, e.s.called(c, id, nil)
}
