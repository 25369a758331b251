package rotate

import (
	"context"

	"strongroom/store"
)

// Store is what a Manager needs of a store.
type Store interface {
	Rows(ctx context.Context, kind store.RowKind) ([]store.Row, error)
	PutRows(ctx context.Context, c store.Caller, action string, rows ...store.Row) error
	Attest(ctx context.Context, kind string, doc any) ([]byte, error)
}
