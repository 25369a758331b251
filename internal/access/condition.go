package access

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
	_ "time/tzdata" // conditions name time zones, and an image from scratch has none

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

// Bounds of a condition. What it may cost is bounded twice: by an estimate from
// the largest labels that there can be, when it is saved, and while it runs. The
// unit is that of CEL: about one step, or ten characters of text looked through.
const (
	maxCondition  = 4 << 10 // bytes of text
	maxConditions = 64      // different ones in a role
	maxNesting    = 32
	maxCost       = 20_000
	maxRun        = 20 * time.Millisecond // of one that loops
	checkEvery    = 64                    // steps of a loop
)

// result is what a condition says of the facts.
type result byte

const (
	fails  result = 'f' // it ran and does not hold
	holds  result = 'h'
	broken result = 'b' // it could not be worked out: a label is missing, say
)

// condition is a `when`, compiled. It is safe for concurrent use.
type condition struct {
	source   string
	program  cel.Program
	ofRecord bool // it names the record, and can't be judged without one
	loops    bool
	labels   []labelName
}

// labelName is a label that a condition looks up by name.
type labelName struct{ of, key string }

// environment holds what conditions may name. It is made when the first one is
// compiled.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	options := []cel.EnvOption{
		ext.Network(), cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxCondition), cel.ParserRecursionLimit(maxNesting), cel.ParserErrorRecoveryLimit(4),
	}
	for _, v := range variables {
		options = append(options, cel.Variable(v.name, v.kind))
	}
	return cel.NewEnv(options...)
})

// compiled counts the conditions that were compiled since the program began.
var compiled atomic.Uint64

// Compiled returns how many conditions were compiled since the program began:
// it grows when roles are saved and when the store is opened, and at no other
// time.
func Compiled() uint64 { return compiled.Load() }

// compileCondition compiles and checks the text of a condition. What is wrong
// with it comes back as a sentence that says where.
func compileCondition(source string) (*condition, string) {
	if len(source) > maxCondition {
		return nil, "This condition is too long: it has at most 4096 bytes."
	}
	env, err := environment()
	if err != nil {
		return nil, "Conditions can't be compiled."
	}
	compiled.Add(1)
	checked, issues := env.Compile(source)
	if issues.Err() != nil {
		return nil, describeIssues(issues)
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, "A condition must be true or false; this one has another type."
	}
	if !affordable(env, checked) {
		return nil, "This condition can cost too much with the largest labels that there can be. Nested loops over labels do."
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.InterruptCheckFrequency(checkEvery))
	if err != nil {
		return nil, "This condition can't be planned: a constant in it is not what its function takes."
	}
	c := &condition{source: source, program: program}
	c.inspect(checked.NativeRep())
	return c, ""
}

// inspect notes what a condition looks at.
func (c *condition) inspect(tree *ast.AST) {
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			name := e.AsIdent()
			c.ofRecord = c.ofRecord || name == varRecordID || name == varRecordLabels
		case ast.ComprehensionKind:
			c.loops = true
		case ast.SelectKind:
			if s := e.AsSelect(); !s.IsTestOnly() {
				c.looksUp(s.Operand(), s.FieldName())
			}
		case ast.CallKind:
			c.inspectIndex(e.AsCall())
		}
	}))
}

// inspectIndex notes a label that is looked up in brackets.
func (c *condition) inspectIndex(call ast.CallExpr) {
	args := call.Args()
	if call.FunctionName() != "_[_]" || len(args) != 2 || args[1].Kind() != ast.LiteralKind {
		return
	}
	if key, ok := args[1].AsLiteral().(types.String); ok {
		c.looksUp(args[0], string(key))
	}
}

func (c *condition) looksUp(operand ast.Expr, key string) {
	if operand.Kind() != ast.IdentKind {
		return
	}
	if of := operand.AsIdent(); of == varRecordLabels || of == varClientLabels {
		c.labels = append(c.labels, labelName{of, key})
	}
}

// judge runs the condition. Whatever goes wrong is no reason to grant.
func (c *condition) judge(f *Facts) result {
	out, err := c.run(f)
	switch {
	case err != nil:
		return broken
	case out == types.True:
		return holds
	case out == types.False:
		return fails
	}
	return broken
}

// run runs the program; a loop is interrupted when it takes too long.
func (c *condition) run(f *Facts) (out ref.Val, err error) {
	if !c.loops {
		out, _, err = c.program.Eval(f)
		return out, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxRun)
	defer cancel()
	out, _, err = c.program.ContextEval(ctx, f)
	return out, err
}

// missing names the labels that the condition looks up and that are not there.
func (c *condition) missing(f *Facts) (names []string) {
	for _, l := range c.labels {
		if set := f.labels(l.of); set != nil {
			if _, ok := set.Label(l.key); !ok {
				names = append(names, l.of+"."+l.key)
			}
		}
	}
	return names
}
