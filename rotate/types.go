package rotate

import (
	"time"

	"strongroom/envelope"
	"strongroom/internal/span"
	"strongroom/store"
)

// Depth says how deep a rotation goes.
type Depth string

// The depths. Each does what those before it do, and more.
const (
	DepthKEK    Depth = "kek"    // a new version of the key-encryption key; every keyset is sealed again under it
	DepthKeyset Depth = "keyset" // a new wrapping key; every wrapped DEK is rewrapped
	DepthData   Depth = "data"   // a fresh DEK for every revision, and a new index key
)

// Span is a duration of whole seconds that is written like 90s, 36h or 30m.
type Span = span.Span

// Request is what a client says of a rotation, and what a schedule starts.
type Request struct {
	// Integrations holds names, and globs in which `*` stands for any
	// characters. An empty list is none: then System must be set.
	Integrations []string `json:"integrations,omitempty"`
	// System adds the system domain, which seals the control plane.
	System bool  `json:"system,omitempty"`
	Depth  Depth `json:"depth"`
	// Reindex gives the depth keyset new index keys too. The depth data does so
	// anyway.
	Reindex bool `json:"reindex,omitempty"`
	// Grace is how long a key stays disabled before it is destroyed, and thus
	// how long a rotation can be rolled back. Nil is DefaultGrace.
	Grace *Span `json:"grace,omitempty"`
	// Retire has the key service refuse the versions of the key-encryption key
	// that nothing is under any longer. It can be taken back there.
	Retire bool `json:"retire,omitempty"`
	// Trim has the key service destroy them, for good: backups whose keysets
	// are under them can never be opened again. It retires them too.
	Trim bool `json:"trim,omitempty"`
	// Compromised is the id of a key that others may know. The rotation is of
	// the depth data, of the domain that the key belongs to, and has no grace.
	Compromised string `json:"compromised,omitempty"`
	// Rate bounds how many values are moved in a second; 0: as many as leave
	// requests unharmed.
	Rate   uint64 `json:"rate,omitempty"`
	Reason string `json:"reason,omitempty"` // for people, and the report
	// Compact rewrites the data file at the end, without what was deleted.
	Compact bool `json:"compact,omitempty"`
}

// State is where a rotation stands.
type State string

// The states. The last three are for good.
const (
	StatePending    State = "pending" // it was not begun
	StateRunning    State = "running"
	StatePaused     State = "paused"  // by an operator, who resumes it
	StateWaiting    State = "waiting" // for what Detail says; it goes on by itself
	StateFailed     State = "failed"  // for the reason in Detail; it can be resumed
	StateDone       State = "done"
	StateCancelled  State = "cancelled"
	StateRolledBack State = "rolled_back"
)

// Ended reports whether the state is for good.
func (s State) Ended() bool {
	return s == StateDone || s == StateCancelled || s == StateRolledBack
}

// Rotation is a rotation as it stands.
type Rotation struct {
	ID string `json:"id"` // UUIDv7
	Request
	State State `json:"state"`
	// Direction is what an operator wants of it: forward, back or cancel.
	Direction  Direction  `json:"direction"`
	Detail     string     `json:"detail,omitempty"` // what it waits for, or why it failed
	By         string     `json:"by"`               // the client that asked for it
	Schedule   string     `json:"schedule,omitempty"`
	Due        *time.Time `json:"due,omitempty"` // the instant of the schedule that it is for
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at,omitempty"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	Progress   Progress   `json:"progress"`
	Parts      []Part     `json:"parts"`
	HasReport  bool       `json:"has_report"`
}

// Direction is where a rotation goes.
type Direction string

// The directions.
const (
	Forward Direction = "forward"
	Back    Direction = "back"   // the former keys become primary again, the new ones are destroyed
	Cancel  Direction = "cancel" // what was not promoted is removed
)

// Progress is how far a rotation is. Values are wrapped DEKs, token sets of the
// index and, of the system domain, values of the control plane.
type Progress struct {
	Done uint64 `json:"done"`
	// Total is what there is to move; values that are written meanwhile under
	// the new key do not count.
	Total uint64 `json:"total"`
	// Left is how many values are under a former key now.
	Left       uint64   `json:"left"`
	Rate       float64  `json:"rate"`                  // values a second, lately
	ETASeconds *float64 `json:"eta_seconds,omitempty"` // until all are moved; nil: not known
	PartsDone  int      `json:"parts_done"`
	Parts      int      `json:"parts"`
}

// Step is where a part stands.
type Step string

// The steps, in order. A part of the depth kek goes from pending to
// kek_rotate; what has no grace, or does not retire or trim, skips those.
const (
	StepPending   Step = "pending"
	StepAdd       Step = "add"     // a new key, which opens and does not seal yet
	StepPromote   Step = "promote" // it becomes the primary one
	StepSweep     Step = "sweep"   // what is under former keys is moved
	StepDrain     Step = "drain"   // what cannot be moved ends by itself: idempotency keys
	StepVerify    Step = "verify"  // the counts are 0, and a scan finds none
	StepDisable   Step = "disable" // former keys open nothing any longer
	StepGrace     Step = "grace"   // and are kept for a while
	StepDelete    Step = "delete"  // then they are destroyed
	StepKEKRotate Step = "kek_rotate"
	StepKEKRewrap Step = "kek_rewrap"
	StepKEKVerify Step = "kek_verify"
	StepRetire    Step = "retire"
	StepTrim      Step = "trim"
	StepDone      Step = "done"
	StepSkipped   Step = "skipped" // the integration was deleted, or the rotation ended before

	// Back again. Each can be called after a crash, as those above.
	StepBackEnable  Step = "rollback_enable"
	StepBackPromote Step = "rollback_promote"
	StepBackSweep   Step = "rollback_sweep"
	StepBackDrain   Step = "rollback_drain"
	StepBackVerify  Step = "rollback_verify"
	StepBackDelete  Step = "rollback_delete" // of the new keys
	StepRolledBack  Step = "rolled_back"
	StepRemove      Step = "cancel_remove" // of keys that never were primary
	StepCancelled   Step = "cancelled"
)

// Key names a key of a keyset.
type Key = envelope.KeyRef

// Part is what a rotation does in one key domain.
type Part struct {
	ID              string `json:"id"` // unique within the rotation
	store.KeyDomain        // without an integration: the system domain
	// Purposes are those whose keys are replaced; empty at the depth kek.
	Purposes []string `json:"purposes,omitempty"`
	Step     Step     `json:"step"`
	Failed   bool     `json:"failed,omitempty"` // it goes on when it is resumed
	Detail   string   `json:"detail,omitempty"` // what it waits for, or why it failed or was skipped

	// New are the keys that it made, Former those that were primary before, Old
	// all that are to go: former ones, and what an abandoned rotation left.
	New    []Key `json:"new,omitempty"`
	Former []Key `json:"former,omitempty"`
	Old    []Key `json:"old,omitempty"`

	KEK     string `json:"kek,omitempty"`
	KEKFrom int    `json:"kek_from,omitempty"` // newest version before
	KEKTo   int    `json:"kek_to,omitempty"`   // and after
	Retired bool   `json:"retired,omitempty"`
	Trimmed bool   `json:"trimmed,omitempty"`

	Cursor store.Cursor `json:"cursor,omitempty"` // of the sweep
	Sweeps int          `json:"sweeps,omitempty"` // passes that ended
	Counts Counts       `json:"counts"`
	Scan   *Scan        `json:"scan,omitempty"` // that found nothing left

	GraceEnds *time.Time         `json:"grace_ends,omitempty"`
	Times     map[Step]time.Time `json:"times,omitempty"` // when each step was reached
}

// Counts tell what a sweep met and what lay under which key.
type Counts struct {
	// Before and After are values by key id: when the part began, and when the
	// verifying scan ended.
	Before map[string]uint64 `json:"before,omitempty"`
	After  map[string]uint64 `json:"after,omitempty"`

	Total     uint64 `json:"total,omitempty"` // values under keys that are to go, when the sweep began
	Scanned   uint64 `json:"scanned,omitempty"`
	Rewrapped uint64 `json:"rewrapped,omitempty"`
	Resealed  uint64 `json:"resealed,omitempty"`
	Reindexed uint64 `json:"reindexed,omitempty"`
	Stale     uint64 `json:"stale,omitempty"` // changed or erased under the sweep, by somebody who has left them right
	Damaged   uint64 `json:"damaged,omitempty"`
	Bytes     uint64 `json:"bytes,omitempty"`
	Keysets   int    `json:"keysets,omitempty"` // sealed again under the new version of the KEK
}

// Scan is a full scan of a domain that proved that nothing is left.
type Scan struct {
	store.Scan
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
}

// ScheduleSpec is what a client says of a schedule: a rotation that comes again.
type ScheduleSpec struct {
	Request Request `json:"rotation"`

	// Exactly one of these says when. Every counts from Start, whatever happens:
	// a late rotation does not move those that follow it.
	Every *Span      `json:"every,omitempty"`
	Start *time.Time `json:"start,omitempty"` // of Every; left out: when the schedule was first put
	Cron  string     `json:"cron,omitempty"`  // minute hour day month weekday, or @daily and the like

	// TimeZone is that of Cron and Window, a name of the IANA database; empty: UTC.
	TimeZone string `json:"time_zone,omitempty"`
	// Jitter delays each rotation by less than so much, by an amount that hangs
	// on the schedule and the due instant alone.
	Jitter *Span `json:"jitter,omitempty"`
	// Window is when rotations may start; nil: always. One that is due outside
	// of it starts when it opens.
	Window *Window `json:"window,omitempty"`
	// MaxAge is how old the last finished rotation may be before /readyz, the
	// audit log and the metrics say so; nil: never.
	MaxAge *Span `json:"max_age,omitempty"`
	Paused bool  `json:"paused,omitempty"`
}

// Schedule is a schedule as it stands.
type Schedule struct {
	Name string `json:"name"`
	ScheduleSpec
	Version   uint64    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Run       Run       `json:"run"`
}

// Window is a maintenance window: from a time of the day to another, on some
// days. One that ends before it begins goes past midnight, into the next day.
type Window struct {
	Days []string `json:"days,omitempty"` // mon, tue, ...; empty: every day
	From string   `json:"from"`           // "22:00"
	To   string   `json:"to"`             // "04:00"
}

// Run is what a schedule has done, written in the same transaction as the
// rotation that it started.
type Run struct {
	LastDue      *time.Time `json:"last_due,omitempty"`     // the latest due instant that was dealt with
	LastStarted  *time.Time `json:"last_started,omitempty"` // when its rotation was made
	LastRotation string     `json:"last_rotation,omitempty"`
	LastDone     *time.Time `json:"last_done,omitempty"` // when a rotation of it last ended well
	Missed       uint64     `json:"missed,omitempty"`    // due instants that passed without a rotation of their own
	Detail       string     `json:"detail,omitempty"`    // why a due one did not start yet
	NextDue      *time.Time `json:"next_due,omitempty"`  // on the grid
	NextStart    *time.Time `json:"next_start,omitempty"`
	Overdue      bool       `json:"overdue"` // MaxAge has passed
}

// Stats is what an operator watches.
type Stats struct {
	Rotations map[State]int `json:"rotations"` // that are kept, by state
	Active    []Active      `json:"active"`
	Schedules []Age         `json:"schedules"`

	Moved  uint64 `json:"moved"`  // values, since the start
	Pauses uint64 `json:"pauses"` // of the sweep for the sake of requests, since the start
}

// Active is a rotation that has not ended.
type Active struct {
	ID       string   `json:"id"`
	State    State    `json:"state"`
	Depth    Depth    `json:"depth"`
	Progress Progress `json:"progress"`
}

// Age is how old a schedule's last rotation is.
type Age struct {
	Name    string        `json:"name"`
	Age     time.Duration `json:"age"`
	MaxAge  time.Duration `json:"max_age"` // 0: none
	Overdue bool          `json:"overdue"`
	Next    time.Time     `json:"next"`
}
