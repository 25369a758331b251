package bolt

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"strongroom/store/kv"
)

// View implements kv.Engine. What it reads is durable.
func (e *Engine) View(ctx context.Context, fn func(kv.ReadTx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m, err := e.moment(ctx)
	if err != nil {
		return err
	}
	defer m.release()
	return m.view(fn)
}

// view runs fn on a reader of the moment. A disk that fails under the mapped
// file makes the transaction fail, not the process.
func (m *moment) view(fn func(kv.ReadTx) error) (err error) {
	r := m.reader()
	faults := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(faults)
		if p := recover(); p != nil {
			err = faultOrPanic(p)
		}
		if r.err != nil {
			err = r.err
		}
		m.giveBack(r)
	}()
	return fn(r)
}

// faultOrPanic makes an error of a memory fault, which is what reading a page
// of the mapping that the disk can't deliver ends in. Other panics go on.
func faultOrPanic(p any) error {
	fault, ok := p.(interface {
		runtime.Error
		Addr() uintptr
	})
	if !ok {
		panic(p)
	}
	return fmt.Errorf("%w: %w", ErrDamaged, fault)
}
