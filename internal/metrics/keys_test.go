package metrics

import (
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom/internal/uid"
	"strongroom/rotate"
	"strongroom/store"
)

func life(age, left int64) rotate.Life { return rotate.Life{Age: &age, Left: &left} }

func domainOf(name string, values uint64, age int64) rotate.DomainKeys {
	d := rotate.DomainKeys{KeyDomain: store.KeyDomain{Integration: name, UID: uid.New()}, KEK: rotate.KEK{Life: life(age, 100-age)},
		Keys: []rotate.KeyState{
			{KeyState: store.KeyState{Purpose: "wrapping", State: "primary", Values: values}, Life: life(age, 10-age)},
			{KeyState: store.KeyState{Purpose: "wrapping", State: "enabled", Values: 2}},
			{KeyState: store.KeyState{Purpose: "wrapping", State: "enabled", Values: 3}},
			{KeyState: store.KeyState{Purpose: "wrapping", State: "destroyed"}},
		}}
	return d
}

func TestKeysAreShown(t *testing.T) {
	m := New("", nil)
	system := domainOf("", 7, 1)
	system.UID, system.KEK.Unknown, system.KEK.Life = uid.Zero, "away", rotate.Life{}
	collector := &keys{list: func() ([]rotate.DomainKeys, error) {
		return []rotate.DomainKeys{domainOf("a", 5, 3), domainOf("b", 6, 4), domainOf("c", 1, 60), domainOf("d", 2, 50), system}, nil
	}, most: 2, now: time.Now}
	if err := m.Register(collector); err != nil {
		t.Fatal(err)
	}
	text := scrape(t, m)
	wantLines(t, text,
		`strongroom_key_values{integration="a",purpose="wrapping",state="primary"} 5`,
		`strongroom_key_values{integration="a",purpose="wrapping",state="enabled"} 5`,
		`strongroom_key_values{integration="(others)",purpose="wrapping",state="primary"} 3`,
		`strongroom_key_values{integration="(system)",purpose="wrapping",state="primary"} 7`,
		`strongroom_key_age_seconds{integration="b",purpose="kek"} 4`,
		`strongroom_key_age_seconds{integration="(others)",purpose="wrapping"} 60`,
		`strongroom_key_cryptoperiod_left_seconds{integration="(others)",purpose="wrapping"} -50`,
		`strongroom_key_cryptoperiod_left_seconds{integration="b",purpose="kek"} 96`,
		`strongroom_keys_unknown 1`)
	for _, no := range []string{"destroyed", `integration="c"`, `age_seconds{integration="(system)",purpose="kek"}`} {
		if strings.Contains(text, no) {
			t.Errorf("it has %s", no)
		}
	}
}

// Scrapes that come together ask once, and what cannot be read is not told as
// it was.
func TestKeysAreAskedForNowAndThen(t *testing.T) {
	now, asked := time.Unix(0, 0), 0
	var fails error
	k := &keys{most: 10, now: func() time.Time { return now }, list: func() ([]rotate.DomainKeys, error) {
		asked++
		return []rotate.DomainKeys{domainOf("a", 5, 3)}, fails
	}}
	first := len(k.metrics())
	if len(k.metrics()) != first || first == 0 || asked != 1 {
		t.Errorf("%d figures, asked for %d times", first, asked)
	}
	now, fails = now.Add(keysEvery), errors.New("away")
	if n := len(k.metrics()); n != 0 || asked != 2 {
		t.Errorf("%d figures, asked for %d times", n, asked)
	}
}

func TestRotationsAreShown(t *testing.T) {
	m := New("", nil)
	stats := rotate.Stats{Rotations: map[rotate.State]int{rotate.StateRunning: 2}, Moved: 9, Pauses: 4,
		Active: []rotate.Active{
			{ID: "id-1", Depth: rotate.DepthKeyset, Progress: rotate.Progress{Done: 1, Total: 10, Left: 9, Rate: 2.5}},
			{ID: "id-2", Depth: rotate.DepthKeyset, Progress: rotate.Progress{Done: 2, Total: 20, Left: 18, Rate: 2.5}}},
		Schedules: []rotate.Age{{Name: "yearly", Age: time.Minute, Overdue: true}, {Name: "monthly"}}}
	if err := m.WatchRotations(func() rotate.Stats { return stats }); err != nil {
		t.Fatal(err)
	}
	text := scrape(t, m)
	wantLines(t, text, `strongroom_rotations{state="running"} 2`, `strongroom_rotations{state="failed"} 0`,
		`strongroom_rotation_values{depth="keyset",what="left"} 27`, `strongroom_rotation_values{depth="data",what="done"} 0`,
		`strongroom_rotation_values_per_second{depth="keyset"} 5`, `strongroom_rotation_values_moved_total 9`, `strongroom_rotation_pauses_total 4`,
		`strongroom_schedule_age_seconds{schedule="yearly"} 60`, `strongroom_schedule_overdue{schedule="yearly"} 1`, `strongroom_schedule_overdue{schedule="monthly"} 0`)
	if strings.Contains(text, "id-1") {
		t.Error("the id of a rotation is a label")
	}
}
