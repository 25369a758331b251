package bench

import (
	"context"
	"encoding/json"
	"errors"

	"strongroom/client"
)

// lifted are the built-in limits that bound one address or one client: a
// benchmark is both, and measures what the server can do.
var lifted = map[string]string{
	"default-connections": `{"per":"address","routes":["connection"],"concurrency":1,"disabled":true}`,
	"default-concurrency": `{"per":"client","concurrency":1,"disabled":true}`,
	"default-bulk":        `{"per":"client","routes":["bulk"],"concurrency":1,"disabled":true}`,
}

// liftLimits switches the built-in limits off on a server of our own. Somebody
// else's server keeps its limits.
func (b *Bench) liftLimits(ctx context.Context) error {
	if b.o.Process == 0 {
		return nil
	}
	var errs []error
	for name, definition := range lifted {
		_, err := b.client.PutLimit(ctx, name, json.RawMessage(definition), client.WriteOptions{})
		errs = append(errs, err)
	}
	b.liftedLimits = true
	return errors.Join(errs...)
}

// restoreLimits puts them in force again.
func (b *Bench) restoreLimits(ctx context.Context) error {
	if !b.liftedLimits {
		return nil
	}
	var errs []error
	for name := range lifted {
		errs = append(errs, b.client.DeleteLimit(ctx, name))
	}
	return errors.Join(errs...)
}
