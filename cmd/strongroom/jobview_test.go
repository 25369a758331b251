package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestALineSaysHowFarAJobIs(t *testing.T) {
	eta := 89.2
	for want, n := range map[string]jobNews{
		"rotation r pending": {name: "rotation r", state: "pending", unit: "values"},
		"rotation r waiting (the key service is away), billing kek_rotate": {name: "rotation r", state: "waiting", detail: "the key service is away", steps: []string{"billing kek_rotate"}},
		"rotation r running, a sweep, 250 of 1000 values, 8/s, 1m30s left": {name: "rotation r", state: "running", steps: []string{"a sweep"}, done: 250, total: 1000, rate: 8.4, eta: &eta, unit: "values"},
		"rotation r running, a sweep, b sweep, c sweep and 2 more":         {name: "rotation r", state: "running", steps: []string{"a sweep", "b sweep", "c sweep", "d sweep", "e sweep"}},
		"rotation r running, a sweep, 1000 of 1000 values":                 {name: "rotation r", state: "running", steps: []string{"a sweep"}, done: 1000, total: 1000, eta: new(float64), unit: "values"},
	} {
		if got := n.line(); got != want {
			t.Errorf("it says %q, not %q", got, want)
		}
	}
}

// Where there is no terminal a line comes when something else is done, and not
// for every document.
func TestLinesComeWhenSomethingIsNew(t *testing.T) {
	var out bytes.Buffer
	c := &cli{out: &out, err: &out, output: "text"}
	view := c.newJobView()
	for _, n := range []jobNews{
		{name: "r", state: "running", steps: []string{"a sweep"}, done: 1, total: 9},
		{name: "r", state: "running", steps: []string{"a sweep"}, done: 2, total: 9},
		{name: "r", state: "running", steps: []string{"a verify"}, done: 9, total: 9},
		{name: "r", state: "waiting", detail: "x\x1b[2J\u202ey", steps: []string{"a verify"}},
	} {
		if err := view.show(n, nil); err != nil {
			t.Fatal(err)
		}
	}
	view.close()
	if want := "r running, a sweep, 1 of 9 \nr running, a verify, 9 of 9 \nr waiting (x\\x1b[2J\\u202ey), a verify\n"; out.String() != want {
		t.Errorf("it says %q", out.String())
	}
}

func TestMachinesGetEachDocumentAsALine(t *testing.T) {
	var out bytes.Buffer
	c := &cli{out: &out, err: &out, output: "json"}
	view := c.newJobView()
	for range 2 {
		if err := view.show(jobNews{}, map[string]string{"detail": "x\u009b\ny"}); err != nil {
			t.Fatal(err)
		}
	}
	if want := strings.Repeat(`{"detail":"x\u009b\ny"}`+"\n", 2); out.String() != want {
		t.Errorf("it says %q", out.String())
	}
}

// What stands around the bar comes from the server, and acts on nothing.
func TestTheBarSaysThePace(t *testing.T) {
	eta := 3599.5
	n := jobNews{state: "running", detail: "slowly", steps: []string{"billing sweep"}, done: 3, total: 7, rate: 1200, eta: &eta}
	if got := n.title() + "|" + n.tail(); got != "running billing sweep | 3/7, 1200/s, 1h0m0s left, slowly" {
		t.Errorf("it says %q", got)
	}
	if n := (jobNews{state: "pending"}); n.title()+"|"+n.tail() != "pending | " {
		t.Errorf("it says %q", n.title()+"|"+n.tail())
	}
	if bounded(1<<63) != 1<<63-1 || bounded(7) != 7 {
		t.Error("a count is not bounded")
	}
}
