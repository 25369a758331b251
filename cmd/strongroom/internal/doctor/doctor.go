// Package doctor looks at an installation as an operator would: what the
// configuration says, what lies on the disk and who may read it, how long the
// certificate is good, whether the key service answers, and what the running
// server itself finds open. It changes nothing.
package doctor

import (
	"context"
	"time"

	"strongroom/cmd/strongroom/internal/app"
	"strongroom/internal/config"
)

// Level says how bad a finding is.
type Level string

// The levels. A fail is what keeps the server from serving, or its data from
// being safe; a warn is what an operator should know of.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Finding is the outcome of one check.
type Finding struct {
	Check  string `json:"check"`
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
}

// Input is what is looked at.
type Input struct {
	Config config.Config
	Dev    *app.Dev // set for a development server
	Now    time.Time
}

// Report is all findings, in the order of the checks.
type Report struct {
	Findings []Finding `json:"findings"`
	Warnings int       `json:"warnings"`
	Failures int       `json:"failures"`
}

func (r *Report) add(check string, level Level, detail string) {
	r.Findings = append(r.Findings, Finding{check, level, detail})
	switch level {
	case Warn:
		r.Warnings++
	case Fail:
		r.Failures++
	}
}

// Run makes every check. One that fails does not keep the others from being
// made.
func Run(ctx context.Context, in Input) *Report {
	r := &Report{}
	r.configuration(in)
	r.doors(in)
	r.certificate(in)
	r.keys(ctx, in)
	r.clock(in)
	r.disks(in)
	r.modes(in)
	r.memory()
	r.server(ctx, in)
	return r
}
