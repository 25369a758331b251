package rotate

import (
	"context"
	"time"

	"strongroom/store"
)

// watcher is somebody who follows a rotation.
type watcher struct {
	changed chan struct{}
}

// tellEvery is how long a watcher is not told again: a sweep changes often.
const tellEvery = 250 * time.Millisecond

// Subscribe returns a rotation now, and again when something of it changes, at
// most a few times a second, until it ended or the context ends. The last one
// before the channel is closed tells how it stands then.
func (m *Manager) Subscribe(ctx context.Context, c store.Caller, id string) (<-chan Rotation, error) {
	r, err := m.look(ctx, c, id)
	if err != nil {
		return nil, err
	}
	w := &watcher{changed: make(chan struct{}, 1)}
	w.changed <- struct{}{}
	m.mu.Lock()
	if m.watchers[id] == nil {
		m.watchers[id] = map[*watcher]struct{}{}
	}
	m.watchers[id][w] = struct{}{}
	m.mu.Unlock()
	out := make(chan Rotation)
	go func() {
		defer close(out)
		defer m.forget(id, w)
		m.follow(ctx, r, w, out)
	}()
	return out, nil
}

func (m *Manager) follow(ctx context.Context, r *rotation, w *watcher, out chan<- Rotation) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.changed:
		}
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		now := m.describe(r, true)
		select {
		case <-ctx.Done():
			return
		case out <- now:
		}
		if now.State.Ended() {
			return
		}
		pause.Reset(tellEvery)
	}
}

func (m *Manager) forget(id string, w *watcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watchers[id], w)
	if len(m.watchers[id]) == 0 {
		delete(m.watchers, id)
	}
}

// changed tells who follows a rotation.
func (m *Manager) changed(r *rotation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changedLocked(r)
}

func (m *Manager) changedLocked(r *rotation) {
	for w := range m.watchers[r.id] {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}
