// Package demo runs the main job of a store from end to end, through the public
// API: an integration stores webhook events and a credential, services with
// roles fetch just their fields, and whoever steals the disk finds none of it.
package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"strongroom/client"
)

// Server is a development server with everything in one home.
type Server interface {
	// Client says how its dev client connects.
	Client() client.Config
	// Stop ends it; everything is on disk then.
	Stop() error
}

// Options say where and with what the demo runs.
type Options struct {
	Home  string
	Start func(ctx context.Context, home string) (Server, error)
	// Print hears of each step when it is done.
	Print func(Step)
}

// The three who look at what happens.
const (
	Integration = "integration" // stores what it receives
	Service     = "service"     // reads what its role lets it
	Attacker    = "attacker"    // has the disk, or the wrong token
)

// Step is one thing that was done, with what each of the three saw.
type Step struct {
	Title string `json:"title"`
	Seen  []Seen `json:"seen"`
}

// Seen is what one of the three saw.
type Seen struct {
	Who  string `json:"who"`
	What string `json:"what"`
}

// Report is the outcome.
type Report struct {
	Steps []Step `json:"steps"`
	Theft Theft  `json:"theft"`
}

// ErrLeak comes when something that must be sealed was found on the disk, or
// was shown to somebody who may not see it.
var ErrLeak = errors.New("something was seen that must not be")

// demo is a run under way.
type demo struct {
	o       Options
	server  Server
	owner   *client.Client
	report  Report
	step    *Step
	clients map[string]*client.Client
	needles needles
	records map[string]string // of the events, by their external id
	stripe  string            // record id of the event that others ask for
}

// Run runs the demo in o.Home, which it leaves as it is when it ends.
func Run(ctx context.Context, o Options) (*Report, error) {
	server, err := o.Start(ctx, o.Home)
	if err != nil {
		return nil, err
	}
	d := &demo{o: o, server: server, clients: map[string]*client.Client{}, records: map[string]string{}}
	err = d.run(ctx)
	if stopped := server.Stop(); err == nil {
		err = stopped
	}
	if err != nil {
		return &d.report, err
	}
	return &d.report, d.steal()
}

// run does everything that needs the server.
func (d *demo) run(ctx context.Context) (err error) {
	if d.owner, err = client.New(d.server.Client()); err != nil {
		return err
	}
	d.needles.add("a client secret", d.server.Client().ClientSecret.Reveal())
	for _, step := range []func(context.Context) error{
		d.furnish, d.admit, d.receive, d.receiveAgain, d.keepCredential,
		d.support, d.verify, d.strangers, d.forgetting,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("%s: %w", d.title(), err)
		}
		d.finish()
	}
	return d.rememberTokens(ctx)
}

// begin starts a step; saw adds what somebody saw; finish prints it.
func (d *demo) begin(title string) { d.step = &Step{Title: title} }

func (d *demo) saw(who, format string, args ...any) {
	d.step.Seen = append(d.step.Seen, Seen{who, fmt.Sprintf(format, args...)})
}

func (d *demo) finish() {
	if d.step == nil {
		return
	}
	d.report.Steps = append(d.report.Steps, *d.step)
	if d.o.Print != nil {
		d.o.Print(*d.step)
	}
	d.step = nil
}

func (d *demo) title() string {
	if d.step == nil {
		return "the demo"
	}
	return d.step.Title
}

// rememberTokens adds every access token to what the disk is searched for: a
// whole one, and its signature, which alone could be stored.
func (d *demo) rememberTokens(ctx context.Context) error {
	for _, c := range append(values(d.clients), d.owner) {
		token, err := c.Token(ctx)
		if err != nil {
			return err
		}
		d.needles.add("an access token", token.Reveal())
		d.needles.add("an access token", token.Reveal()[strings.LastIndexByte(token.Reveal(), '.')+1:])
	}
	return nil
}

func values[K comparable, V any](m map[K]V) []V {
	all := make([]V, 0, len(m))
	for _, v := range m {
		all = append(all, v)
	}
	return all
}
