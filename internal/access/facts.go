package access

import (
	"reflect"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Facts are what conditions are judged by. Record and Labels are those of a
// header that was authenticated; they are left out while only the request is
// known.
type Facts struct {
	Who    *Principal
	At     time.Time
	Record string
	Labels LabelSet
}

// LabelSet is the labels of a record.
type LabelSet interface {
	Label(key string) (value string, ok bool)
	LabelMap() map[string]string
}

// StringLabels is a label set in a map.
type StringLabels map[string]string

// Label returns a label's value.
func (l StringLabels) Label(key string) (string, bool) { v, ok := l[key]; return v, ok }

// LabelMap returns the labels.
func (l StringLabels) LabelMap() map[string]string { return l }

// The names that conditions know.
const (
	varRecordID     = "record.id"
	varRecordLabels = "record.labels"
	varClientName   = "client.name"
	varClientLabels = "client.labels"
	varAddress      = "request.address"
	varTime         = "request.time"
	varPurpose      = "request.purpose"
	varBound        = "request.bound"
	varBinding      = "request.binding"
)

// variable is a name with its type and the most that it can hold.
type variable struct {
	name  string
	kind  *cel.Type
	bytes uint64 // of a text
}

var labelsType = cel.MapType(cel.StringType, cel.StringType)

var variables = []variable{
	{varRecordID, cel.StringType, 128},
	{varRecordLabels, labelsType, 0},
	{varClientName, cel.StringType, 64},
	{varClientLabels, labelsType, 0},
	{varAddress, cel.StringType, 64},
	{varTime, cel.TimestampType, 0},
	{varPurpose, cel.StringType, 256},
	{varBound, cel.BoolType, 0},
	{varBinding, cel.StringType, 16},
}

// ResolveName hands a condition the variables that it names: Facts is the
// activation that it runs in.
func (f *Facts) ResolveName(name string) (any, bool) {
	switch name {
	case varRecordLabels:
		return labelMap{f.Labels}, f.Labels != nil
	case varRecordID:
		return types.String(f.Record), f.Labels != nil
	case varClientLabels:
		return labelMap{StringLabels(f.Who.Labels)}, true
	case varClientName:
		return types.String(f.Who.Client), true
	case varAddress:
		return types.String(f.Who.Address), true
	case varTime:
		return types.Timestamp{Time: f.At}, true
	case varPurpose:
		return types.String(f.Who.Purpose), true
	case varBound:
		return types.Bool(f.Who.Binding != ""), true
	case varBinding:
		return types.String(f.Who.Binding), true
	}
	return nil, false
}

// Parent says that there is nothing beyond.
func (f *Facts) Parent() cel.Activation { return nil }

// labels returns the label set that a variable stands for.
func (f *Facts) labels(variable string) LabelSet {
	if variable == varClientLabels {
		return StringLabels(f.Who.Labels)
	}
	return f.Labels
}

// labelMap lets conditions look into a label set as it is, without a map being
// made of it. What goes through all of it makes one.
type labelMap struct{ set LabelSet }

var _ traits.Mapper = labelMap{}

func (m labelMap) whole() traits.Mapper {
	return types.NewStringStringMap(types.DefaultTypeAdapter, m.set.LabelMap())
}

// Find returns the value of a label.
func (m labelMap) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	value, ok := m.set.Label(string(name))
	return types.String(value), ok
}

// Get is Find with an error for a label that is missing.
func (m labelMap) Get(key ref.Val) ref.Val {
	if value, ok := m.Find(key); ok {
		return value
	}
	return types.NewErr("no such label")
}

// Contains reports whether there is such a label.
func (m labelMap) Contains(key ref.Val) ref.Val {
	_, ok := m.Find(key)
	return types.Bool(ok)
}

// ConvertToNative implements ref.Val.
func (m labelMap) ConvertToNative(t reflect.Type) (any, error) { return m.whole().ConvertToNative(t) }

// ConvertToType implements ref.Val.
func (m labelMap) ConvertToType(t ref.Type) ref.Val { return m.whole().ConvertToType(t) }

// Equal implements ref.Val.
func (m labelMap) Equal(other ref.Val) ref.Val {
	if o, ok := other.(labelMap); ok {
		other = o.whole()
	}
	return m.whole().Equal(other)
}

// Type implements ref.Val.
func (m labelMap) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (m labelMap) Value() any { return m.set.LabelMap() }

// Iterator implements traits.Iterable.
func (m labelMap) Iterator() traits.Iterator { return m.whole().Iterator() }

// Size implements traits.Sizer.
func (m labelMap) Size() ref.Val { return m.whole().Size() }
