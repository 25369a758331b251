package transit

import _ "embed"

// EverydayPolicy is what the identity that wraps and unwraps needs in Vault,
// as a policy in HCL for a transit engine mounted at "transit".
//
//go:embed policies/everyday.hcl
var EverydayPolicy string

// LifecyclePolicy is what the identity that makes, rotates and destroys keys
// needs in Vault. Where one identity does both, it needs both policies.
//
//go:embed policies/lifecycle.hcl
var LifecyclePolicy string
