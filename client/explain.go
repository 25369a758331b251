package client

import "context"

// ExplainQuery asks what a client may do with a collection, or with one of its
// records.
type ExplainQuery struct {
	Client      string     `json:"client"`
	Integration string     `json:"integration"`
	Collection  string     `json:"collection"`
	Record      string     `json:"record,omitempty"` // empty: of any record
	Action      string     `json:"action,omitempty"` // empty: read
	Request     *ExplainAs `json:"request,omitempty"`
}

// ExplainAs is what conditions on the request would see.
type ExplainAs struct {
	Address string `json:"address,omitempty"`
	Purpose string `json:"purpose,omitempty"`
	Binding string `json:"binding,omitempty"` // dpop, mtls or nothing
	Time    string `json:"time,omitempty"`    // RFC 3339; empty: now
}

// Explanation says what a client may do, and which rules decided. AtBest is
// what it could do if the conditions that depend on a record held.
type Explanation struct {
	Client      string             `json:"client"`
	Disabled    bool               `json:"disabled,omitempty"`
	Roles       []string           `json:"roles"`
	Integration string             `json:"integration"`
	Collection  string             `json:"collection"`
	Record      string             `json:"record,omitempty"`
	Action      string             `json:"action"`
	Allowed     bool               `json:"allowed"`
	AtBest      bool               `json:"at_best"`
	Rules       []RuleExplanation  `json:"rules"`
	Fields      []FieldExplanation `json:"fields"`
}

// RuleExplanation is a rule that speaks about the collection. Outcome is
// always, holds, fails, broken or open.
type RuleExplanation struct {
	Role    string   `json:"role"`
	Rule    int      `json:"rule"`
	Actions []string `json:"actions"`
	When    string   `json:"when,omitempty"`
	Outcome string   `json:"outcome"`
	Missing []string `json:"missing,omitempty"`
}

// FieldExplanation is what is granted of one field.
type FieldExplanation struct {
	Path         string     `json:"path"`
	Mask         string     `json:"x_mask,omitempty"`
	High         bool       `json:"high,omitempty"`
	Needs        []string   `json:"needs,omitempty"` // purpose, approval: what the field asks for beside a role
	Grant        string     `json:"grant"`
	AtBest       string     `json:"at_best"`
	Reason       string     `json:"reason"`
	By           []Deciding `json:"by"`
	Write        []string   `json:"write"`
	WriteAtBest  []string   `json:"write_at_best"`
	WriteReason  string     `json:"write_reason,omitempty"`
	Search       bool       `json:"search"`
	SearchAtBest bool       `json:"search_at_best"`
}

// Deciding is a rule that says something of a field, by the name that it uses.
type Deciding struct {
	Role    string `json:"role"`
	Rule    int    `json:"rule"`
	Names   string `json:"names"`
	Grant   string `json:"grant"`
	Decides bool   `json:"decides"`
}

// ExplainAccess says what a client may do, field by field, and why. It needs the
// role administrator or auditor, and shows no value.
func (c *Client) ExplainAccess(ctx context.Context, q ExplainQuery) (*Explanation, error) {
	request, err := post("/v1/access:explain", q)
	if err != nil {
		return nil, err
	}
	request.safe = true // it changes nothing
	return fetch[Explanation](ctx, c, request)
}
