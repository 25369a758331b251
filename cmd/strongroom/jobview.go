package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// jobNews is what is shown of a job under way.
type jobNews struct {
	name, state, detail string
	steps               []string // what it is at
	done, total         uint64
	rate                float64
	eta                 *float64 // seconds
	unit                string
}

// jobView shows how far a job is: as a bar on a terminal, else a line whenever
// it came to something else; with --output json each document is a line.
type jobView interface {
	show(n jobNews, document any) error
	close()
}

func (c *cli) newJobView() jobView {
	if c.output == "json" {
		return jsonView{c}
	}
	if f, ok := c.err.(*os.File); ok && isTerminal(f) {
		return newBarView(f)
	}
	return &lineView{c: c}
}

// jsonView writes every document on a line of its own.
type jsonView struct{ c *cli }

func (v jsonView) show(_ jobNews, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(v.c.out, "%s\n", printableJSON(text))
	return err
}

func (v jsonView) close() {}

// lineEvery is how often a line says how far a job is that stays at the same
// step.
const lineEvery = 10 * time.Second

// lineView writes for a file, or whoever reads a pipe.
type lineView struct {
	c    *cli
	last string
	at   time.Time
}

func (v *lineView) show(n jobNews, _ any) error {
	where := n.state + n.detail + strings.Join(n.steps, ",")
	if where == v.last && time.Since(v.at) < lineEvery {
		return nil
	}
	v.last, v.at = where, time.Now()
	_, err := fmt.Fprintln(v.c.out, printable(n.line()))
	return err
}

func (v *lineView) close() {}

// line is all of it in one line.
func (n *jobNews) line() string {
	parts := []string{n.name + " " + n.state}
	if n.detail != "" {
		parts[0] += " (" + n.detail + ")"
	}
	if at := n.at(); at != "" {
		parts = append(parts, at)
	}
	if n.total > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d %s", n.done, n.total, n.unit))
	}
	return strings.Join(append(parts, n.pace()...), ", ")
}

// at says what a job is at; of many parts how many.
func (n *jobNews) at() string {
	const most = 3
	if len(n.steps) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(n.steps[:most], ", "), len(n.steps)-most)
	}
	return strings.Join(n.steps, ", ")
}

// pace says how fast it goes, and how long it will.
func (n *jobNews) pace() (parts []string) {
	if n.done >= n.total {
		return nil // what is left is not a matter of values
	}
	if n.rate > 0 {
		parts = append(parts, fmt.Sprintf("%.0f/s", n.rate))
	}
	if n.eta != nil && *n.eta > 0 {
		left := time.Duration(math.Ceil(*n.eta)) * time.Second
		parts = append(parts, left.String()+" left")
	}
	return parts
}

// barView is a bar that is drawn over itself. What it says of the pace comes
// from the server, which sees the job's true one.
type barView struct {
	bars *mpb.Progress
	bar  *mpb.Bar
	news atomic.Pointer[jobNews]
}

func newBarView(f *os.File) *barView {
	v := &barView{bars: mpb.New(mpb.WithOutput(f), mpb.WithWidth(64), mpb.WithRefreshRate(120*time.Millisecond))}
	v.news.Store(&jobNews{})
	said := func(say func(*jobNews) string) decor.Decorator {
		return decor.Any(func(decor.Statistics) string { return printable(say(v.news.Load())) })
	}
	v.bar = v.bars.AddBar(0,
		mpb.PrependDecorators(said(func(n *jobNews) string { return n.title() })),
		mpb.AppendDecorators(decor.Percentage(decor.WCSyncSpace), said(func(n *jobNews) string { return n.tail() })))
	return v
}

// title stands before the bar.
func (n *jobNews) title() string { return strings.TrimSpace(n.state+" "+n.at()) + " " }

// tail stands behind it.
func (n *jobNews) tail() string {
	parts := n.pace()
	if n.total > 0 {
		parts = append([]string{fmt.Sprintf("%d/%d", n.done, n.total)}, parts...)
	}
	if n.detail != "" {
		parts = append(parts, n.detail)
	}
	return " " + strings.Join(parts, ", ")
}

func (v *barView) show(n jobNews, _ any) error {
	v.news.Store(&n)
	v.bar.SetTotal(bounded(max(n.total, 1)), false)
	v.bar.SetCurrent(bounded(n.done))
	return nil
}

// bounded fits a count into the bar's.
func bounded(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// close draws the bar a last time and leaves it where it is.
func (v *barView) close() {
	v.bar.Abort(false)
	v.bars.Wait()
}
