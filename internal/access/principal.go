package access

import "strongroom/internal/uid"

// Principal is an authenticated client and the request it makes: the first
// thing that every store method is given. It is made once a request and never
// changed afterwards.
type Principal struct {
	Client    string  // the client's name
	ClientUID uid.UID // outlives the name
	Roles     []string
	Policy    *Policy // nil grants nothing
	Labels    map[string]string
	Scopes    []string // of the token, narrowed into Policy; nil: all that the roles give

	// Binding is how the token is bound to who sent it: "dpop" (RFC 9449),
	// "mtls" (RFC 8705), or empty when it is not. Thumbprint names the key or
	// the certificate.
	Binding    string
	Thumbprint string

	TokenID     string // the token the request came with
	SignedBy    string // the id of the key that signed it
	SecretID    string // the client secret, or the other credential, that the token was issued for
	Address     string // where the request came from
	RequestID   string
	TraceParent string // W3C Trace Context

	Purpose  string // what the request says it reads for; empty: nothing
	Approval string // the approval that it names; empty: none
}

// Capability is a right over the control plane. Capabilities come from
// built-in roles alone, and no capability reads a field value.
type Capability uint16

// The capabilities; they combine by or.
const (
	ManageIntegrations Capability = 1 << iota
	ManageCollections
	ManageRoles
	ManageClients
	OperateBackup
	OperateKeys
	ReadAudit
	ApproveChanges // of what widens access, asked for by somebody else
	ApproveReads   // of fields that need a second person
)

// The names of the built-in roles.
const (
	RoleAdministrator = "administrator"
	RoleOperator      = "operator"
	RoleAuditor       = "auditor"
	RoleApprover      = "approver"
	RoleEverything    = "everything" // dev mode alone
)

// Builtin returns what a built-in role grants; ok is false for every other
// name. Duties are kept apart: administrator, operator, auditor and
// approver read no field value, and everything, which grants every action on every field, counts
// in dev mode alone and has no capability.
func Builtin(name string) (caps Capability, grantsEverything, ok bool) {
	switch name {
	case RoleAdministrator:
		return ManageIntegrations | ManageCollections | ManageRoles | ManageClients | ApproveChanges, false, true
	case RoleOperator:
		return OperateBackup | OperateKeys, false, true
	case RoleAuditor:
		return ReadAudit, false, true
	case RoleApprover:
		return ApproveChanges | ApproveReads, false, true
	case RoleEverything:
		return 0, true, true
	}
	return 0, false, false
}

// Builtins returns the names of the built-in roles. All but everything can be
// given to clients outside of dev mode.
func Builtins() []string {
	return []string{RoleAdministrator, RoleOperator, RoleAuditor, RoleApprover, RoleEverything}
}

// Reserved reports whether a stored role must not have this name.
func Reserved(name string) bool {
	_, _, ok := Builtin(name)
	return ok
}
