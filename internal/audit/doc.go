// Package audit writes who did what to a log of JSON lines, one entry a line,
// and reads it back.
//
// An entry that Write accepted has been handed to the operating system: it
// outlives the process at once, and the machine after at most a second, when
// the log is synced. A caller writes its entry before it acts or answers, and
// doesn't act or answer when Write fails.
//
// Names stand in an entry, values never: an Entry has no place for one.
//
// Files are called strongroom-audit-000001.jsonl and so on, have mode 0600, and
// rotate by size. Nothing here deletes a file.
package audit
