// Package rotate carries on what takes long and concerns keys: rotations of
// three depths, the schedules that start them, and whatever else is done step
// by step. A job is rows of the store: whatever happens to the process, what
// was done is known, and the job goes on where it was.
//
// A rotation has a part for each key domain. A part is a state machine whose
// steps are primitives of package store; each of them can be called again with
// the same arguments after a crash and finds out what was done. Nothing is
// destroyed before a count that is kept in the same transactions as the values,
// and a scan of all of them, agree that nothing is left under it.
package rotate
