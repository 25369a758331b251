// Package webhooks holds webhook events in the shape in which well-known
// services send them. See README.md.
package webhooks

import "embed"

// Files are the events, a request body each.
//
//go:embed *.json
var Files embed.FS
