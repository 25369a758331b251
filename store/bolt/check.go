package bolt

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"strongroom/store/kv"
)

// Progress is how far a check has come.
type Progress struct {
	Stage   string // the name of each table, then "structure"
	Entries int64
	Bytes   int64
}

// maxProblems is how many problems a check lists.
const maxProblems = 100

// Check reads the whole file and changes nothing. First every entry of every
// table is read, chunk by chunk, next to the writes; damage that would be the
// end of a process is found here. Then bbolt looks at the structure: whether
// every page is reachable once or free, and keys are in order; writers wait
// meanwhile, and ctx is not heard. progress may be nil. Problems come back
// joined, and wrap ErrDamaged. It fails with ErrBusy next to another
// maintenance.
func (e *Engine) Check(ctx context.Context, progress func(Progress)) error {
	ctx, done, err := e.maintain(ctx)
	if err != nil {
		return err
	}
	defer done()
	if progress == nil {
		progress = func(Progress) {}
	}
	p := Progress{}
	if err := e.checkEntries(ctx, &p, progress); err != nil {
		return err
	}
	p.Stage = "structure"
	progress(p)
	return e.checkStructure(ctx)
}

// checkStructure runs bbolt's own check, which needs that nothing is written.
func (e *Engine) checkStructure(ctx context.Context) error {
	e.writeMu.Lock()
	defer e.writeMu.Unlock()
	m, err := e.moment(ctx)
	if err != nil {
		return err
	}
	defer m.release()
	return problems(m.tx)
}

func problems(tx *bbolt.Tx) error {
	var found []error
	for err := range tx.Check() { // to the end: it blocks until each is read
		if len(found) < maxProblems {
			found = append(found, fmt.Errorf("%w: %w", ErrDamaged, err))
		}
	}
	return errors.Join(found...)
}

func (e *Engine) checkEntries(ctx context.Context, p *Progress, progress func(Progress)) error {
	return e.copyTables(ctx, func(entries []kv.Entry) error {
		for _, entry := range entries {
			p.Stage = entry.Table.String()
			p.Entries++
			p.Bytes += int64(len(entry.Key) + len(entry.Value))
		}
		if len(entries) > 0 {
			progress(*p)
		}
		return nil
	})
}
