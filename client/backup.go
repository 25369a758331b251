package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"time"
)

// The trailers of a backup: the server sends them when it ended well.
const (
	trailerSHA256   = "Strongroom-Backup-Sha256"
	trailerEntries  = "Strongroom-Backup-Entries"
	trailerSequence = "Strongroom-Backup-Sequence"
)

// BackupInfo describes a backup that came whole.
type BackupInfo struct {
	Bytes   int64  `json:"bytes"`
	Entries uint64 `json:"entries"`
	SHA256  string `json:"sha256"` // of the bytes, in hexadecimal
	// Sequence is up to which change it reaches.
	Sequence uint64 `json:"sequence"`
	// VerifiedAt is when the server was told that it was read back: see
	// ConfirmBackup.
	VerifiedAt *time.Time `json:"verified_at,omitempty"`
}

// ConfirmBackup tells the server that the backup was read back from where it is
// kept, and has the sum that it says. Keys that an older backup needs are
// destroyed only then.
func (c *Client) ConfirmBackup(ctx context.Context, b *BackupInfo) error {
	q, err := post("/v1/backups:confirm", map[string]any{"sequence": b.Sequence, "sha256": b.SHA256})
	if err != nil {
		return err
	}
	q.safe = true
	known, err := fetch[struct {
		VerifiedAt *time.Time `json:"verified_at"`
	}](ctx, c, q)
	if err == nil {
		b.VerifiedAt = known.VerifiedAt
	}
	return err
}

// Backup writes a backup of the whole store to w while the server streams it.
// recipient is an age recipient to seal it for; an empty one leaves labels and
// ids readable in it. ErrTruncated comes when it broke off, or when what came
// has not the sum that the server sent behind it.
func (c *Client) Backup(ctx context.Context, recipient string, w io.Writer) (*BackupInfo, error) {
	body := map[string]string{}
	if recipient != "" {
		body["recipient"] = recipient
	}
	q, err := post("/v1/backups", body)
	if err != nil {
		return nil, err
	}
	res, _, err := c.send(ctx, q, bytes.NewReader(q.body), true)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), res.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	info := &BackupInfo{Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}
	if said := res.Trailer.Get(trailerSHA256); said != info.SHA256 {
		return nil, fmt.Errorf("%w: the backup has not the sum that the server sent", ErrTruncated)
	}
	info.Entries, err = strconv.ParseUint(res.Trailer.Get(trailerEntries), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: the server sent no count of entries", ErrTruncated)
	}
	info.Sequence, err = strconv.ParseUint(res.Trailer.Get(trailerSequence), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: the server did not say up to which change it reaches", ErrTruncated)
	}
	return info, nil
}
