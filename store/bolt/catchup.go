package bolt

import (
	"context"
	"errors"

	"strongroom/store/kv"
)

// ErrOutrun comes when writes keep changing keys faster than they can be
// copied: try again when fewer come.
var ErrOutrun = errors.New("the copy can't keep up with the writes")

const (
	// lastKeys is how few changed keys may be left for the last replay, for
	// which writers wait.
	lastKeys = 512
	// patientRounds is after how many rounds more keys are tolerated, and
	// maxRounds when the copy gives up.
	patientRounds = 16
	maxRounds     = 32
	toleratedKeys = 16 * lastKeys
)

// catchUp copies what was changed meanwhile, again and again, until little
// enough is left. It returns the number of rounds.
func (e *Engine) catchUp(ctx context.Context, write func([]kv.Entry) error, between func() error) (rounds int, err error) {
	for rounds = 1; ; rounds++ {
		keys, err := e.takeDirty()
		if err != nil {
			return rounds, err
		}
		if err := e.copyKeys(ctx, keys, write); err != nil {
			return rounds, err
		}
		if err := between(); err != nil {
			return rounds, err
		}
		left := e.dirtyCount()
		switch {
		case left <= lastKeys || rounds > patientRounds && left <= toleratedKeys:
			return rounds, nil
		case rounds > maxRounds:
			return rounds, ErrOutrun
		}
	}
}
