package access

import "strings"

// Explanation says what a decision grants and which rules decided. It holds
// names and the text of roles, and never a value: not of a field, and not of a
// label.
type Explanation struct {
	Allowed bool               `json:"allowed"` // of every record, or of the one that was asked about
	AtBest  bool               `json:"at_best"` // if the conditions that depend on a record held
	Rules   []RuleExplanation  `json:"rules"`
	Fields  []FieldExplanation `json:"fields"`
}

// RuleExplanation is a rule that speaks about the collection, and what its
// condition said.
type RuleExplanation struct {
	Role    string   `json:"role"`
	Rule    int      `json:"rule"` // its place in the role, from 0
	Actions []Action `json:"actions"`
	When    string   `json:"when,omitempty"`
	Outcome Outcome  `json:"outcome"`
	Missing []string `json:"missing,omitempty"` // labels that the condition looks up and that are not there
}

// Outcome is what became of a rule.
type Outcome string

// The outcomes.
const (
	OutcomeAlways Outcome = "always" // it has no condition
	OutcomeHolds  Outcome = "holds"
	OutcomeFails  Outcome = "fails"
	OutcomeBroken Outcome = "broken" // the condition could not be worked out: the rule grants nothing, and withholds what it says none of
	OutcomeOpen   Outcome = "open"   // the condition depends on the record
)

// FieldExplanation is what is granted of one field, and by which rules.
type FieldExplanation struct {
	Path         string     `json:"path"`
	Mask         string     `json:"x_mask,omitempty"`
	High         bool       `json:"high,omitempty"`
	Needs        []string   `json:"needs,omitempty"` // purpose, approval: what the field asks for beside a role
	Grant        string     `json:"grant"`
	AtBest       string     `json:"at_best"`
	Reason       string     `json:"reason"`
	By           []Deciding `json:"by"`
	Write        []Action   `json:"write"`
	WriteAtBest  []Action   `json:"write_at_best"`
	WriteReason  string     `json:"write_reason,omitempty"`
	Search       bool       `json:"search"`
	SearchAtBest bool       `json:"search_at_best"`
}

// Deciding is a rule that says something of a field.
type Deciding struct {
	Role    string `json:"role"`
	Rule    int    `json:"rule"`
	Names   string `json:"names"` // the field itself, its ancestor or `*`
	Grant   string `json:"grant"`
	Decides bool   `json:"decides"`
}

// Explain says what the decision, which must not be settled for a record yet,
// grants by these facts. Without labels in them it is about any record.
func (d *Decision) Explain(a Action, fields []FieldInfo, f *Facts) Explanation {
	out := Explanation{Rules: d.explainRules(f), Fields: []FieldExplanation{}}
	settled := d.ForRequest(f)
	if f.Labels != nil {
		settled = settled.ForRecord(f)
	}
	out.Allowed, out.AtBest = settled.Allows(a), settled.Could(a)
	seen := make(map[string]bool, len(fields))
	for _, field := range fields {
		if !seen[field.Path] {
			seen[field.Path] = true
			out.Fields = append(out.Fields, settled.explainField(a, field))
		}
	}
	return out
}

func (d *Decision) explainRules(f *Facts) []RuleExplanation {
	rules := d.rules
	if d.open != nil {
		rules = d.open.all
	}
	out := make([]RuleExplanation, len(rules))
	for i, r := range rules {
		out[i] = r.explain(f)
	}
	return out
}

func (r *rule) explain(f *Facts) RuleExplanation {
	out := RuleExplanation{Role: r.role, Rule: r.number, Actions: r.actions.list(), Outcome: OutcomeAlways}
	c := r.condition
	if c == nil {
		return out
	}
	out.When, out.Missing = c.source, c.missing(f)
	if c.ofRecord && f.Labels == nil {
		out.Outcome = OutcomeOpen
		return out
	}
	out.Outcome = map[result]Outcome{holds: OutcomeHolds, fails: OutcomeFails, broken: OutcomeBroken}[c.judge(f)]
	return out
}

func (s actionSet) list() []Action {
	list := []Action{}
	for i, a := range actions {
		if s&(1<<i) != 0 {
			list = append(list, a)
		}
	}
	return list
}

func (d *Decision) explainField(a Action, f FieldInfo) FieldExplanation {
	out := FieldExplanation{
		Path: f.Path, Mask: f.Mask, High: f.High,
		Grant: d.Read(a, f.Path).String(), AtBest: d.CouldRead(a, f.Path).String(),
		By:     d.deciding(a, f),
		Write:  d.writable(f.Path).list(),
		Search: d.MaySearch(f.Path), SearchAtBest: d.CouldSearch(f.Path),
	}
	out.WriteAtBest = d.best().writable(f.Path).list()
	out.Reason = d.reason(a, f, out.By)
	if len(out.Write) == 0 {
		out.WriteReason = d.writeReason(f)
	}
	return out
}

func (d *Decision) writable(path string) actionSet {
	if r := d.fields[path]; r != nil {
		return r.write
	}
	return 0
}

// deciding lists the rules that say something of reading the field.
func (d *Decision) deciding(a Action, f FieldInfo) []Deciding {
	list := []Deciding{}
	final := d.Read(a, f.Path)
	for _, r := range d.rules {
		says := r.readAnswer(f, true)
		if !a.HandsOut() || !r.actions.has(a) || !says.named {
			continue
		}
		list = append(list, Deciding{
			Role: r.role, Rule: r.number, Names: r.names(f.Path), Grant: says.grant.String(), Decides: says.grant == final,
		})
	}
	return list
}

// names returns the name by which a rule speaks of a path.
func (r *rule) names(path string) string {
	if r.all {
		return wildcard
	}
	for at := path; ; {
		if _, ok := r.read[at]; ok {
			return at
		}
		cut := strings.LastIndexByte(at, '/')
		if cut < 0 {
			return wildcard
		}
		at = at[:cut]
	}
}

func (d *Decision) reason(a Action, f FieldInfo, by []Deciding) string {
	grant := d.Read(a, f.Path)
	switch {
	case !a.HandsOut():
		return "This action hands out no values."
	case !d.Allows(a):
		return "No rule grants the action."
	case len(by) == 0 && f.High:
		return "The field has high sensitivity, and no rule that grants the action names it."
	case len(by) == 0:
		return "No rule that grants the action names the field, an ancestor or *."
	case grant.Kind == None:
		return "A rule says none, which wins over every grant."
	case len(by) == 1:
		return "One rule grants it."
	}
	return "The most permissive grant of several rules."
}

func (d *Decision) writeReason(f FieldInfo) string {
	covered := uncovered
	for i := readKinds; i < readKinds+writeKinds; i++ {
		covered = max(covered, d.cover(i, f.Path, true, (*rule).writes))
	}
	switch {
	case covered == uncovered:
		return "No rule that grants writing names the field, an ancestor or * in write."
	case f.High:
		return "The field has high sensitivity, and no rule names it in write."
	}
	return "The field is read masked, and no rule names it in write: a mask must not be written back."
}
