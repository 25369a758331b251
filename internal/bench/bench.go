// Package bench measures a server through its public API, over TLS and
// persistent connections, and in the same run the two floors that its figures
// are held against: a bare HTTP server and raw bbolt.
package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"strongroom/client"
)

const (
	integration = "strongroom-bench"
	collection  = "customers"
	recordsPath = "/v1/integrations/" + integration + "/collections/" + collection + "/records"
)

var ref = client.CollectionRef{Integration: integration, Collection: collection}

// Options say what to measure.
type Options struct {
	Server      client.Config // the server and a client that may do everything there
	Process     int           // the server's process id; 0: not ours, nothing is told of it
	DataFile    string        // of the server, for its size; empty: not told
	Workloads   []string
	Connections []int
	Duration    time.Duration // of one measurement
	Rounds      int           // measurements of each; the median counts
	Records     int           // stored before reads are measured
	Floor       *Floor        // nil: floors are not measured
	Progress    func(text string)
}

// Floor is where the floors are.
type Floor struct {
	// Bare starts a process that serves b, and returns where and its id.
	Bare func(b Bare) (address string, process int, err error)
	Dir  string // of the raw bbolt file: on the disk that the server's data is on
}

// Report is everything that a run measured.
type Report struct {
	Records int      `json:"records"`
	Results []Result `json:"results"`
	Ratios  []Ratio  `json:"ratios,omitempty"`
	// PlainBytes is the size of one record's fields as JSON, AnswerBytes that of
	// the answer of a read, StoredBytes that of all keys and values that the
	// store has for a record; 0 when it was not asked.
	PlainBytes  int `json:"plain_bytes"`
	AnswerBytes int `json:"answer_bytes"`
	StoredBytes int `json:"stored_bytes,omitempty"`
}

// Ratio holds a workload against its floor.
type Ratio struct {
	Workload    string  `json:"workload"`
	Floor       string  `json:"floor"`
	Connections int     `json:"connections"`
	Ratio       float64 `json:"ratio"` // of the rates, the median of the rounds; 1 would be the floor itself
}

// Bench is a run.
type Bench struct {
	o      Options
	client *client.Client
	target *target
	bare   *target
	ids    []string // of the records that reads ask for
	floor  Bare     // what a real server answers and stores
	next   atomic.Uint64
	seed   atomic.Uint64

	liftedLimits bool
}

// Run measures. It makes an integration of its own on the server and deletes it
// when it ends.
func Run(ctx context.Context, o Options) (*Report, error) {
	b, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	report, err := b.run(ctx)
	return report, errors.Join(err, b.cleanUp())
}

func (b *Bench) run(ctx context.Context) (*Report, error) {
	if err := errors.Join(b.liftLimits(ctx), b.fillAndWeigh(ctx)); err != nil {
		return nil, err
	}
	if err := b.sample(); err != nil {
		return nil, err
	}
	if err := b.startBare(); err != nil {
		return nil, err
	}
	report := &Report{
		Records: b.o.Records, PlainBytes: len(newMaker(1).fields(nil, 1)),
		AnswerBytes: len(b.floor.Read), StoredBytes: b.floor.Stored,
	}
	return report, b.measureAll(ctx, report)
}

// prepare makes the collection that everything is measured on.
func prepare(ctx context.Context, o Options) (*Bench, error) {
	c, err := client.New(o.Server)
	if err != nil {
		return nil, err
	}
	b := &Bench{o: o, client: c}
	if b.target, err = targetOf(o.Server); err != nil {
		return nil, err
	}
	b.target.process = o.Process
	if _, err := c.PutIntegration(ctx, integration, client.IntegrationSpec{Description: "made by strongroom bench"}, client.WriteOptions{}); err != nil {
		return nil, err
	}
	spec := client.CollectionSpec{Schema: json.RawMessage(schema), Retention: &client.Retention{Revisions: 1}}
	if _, err := c.PutCollection(ctx, ref, spec, client.WriteOptions{}); err != nil {
		return nil, errors.Join(err, b.cleanUp())
	}
	return b, b.renew(ctx)
}

// renew gets a token that lasts for the next measurement.
func (b *Bench) renew(ctx context.Context) error {
	token, err := b.client.Token(ctx)
	b.target.token = token.Reveal()
	return err
}

func (b *Bench) cleanUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := b.client.DeleteIntegration(ctx, integration, true)
	return errors.Join(err, b.restoreLimits(ctx))
}

func targetOf(c client.Config) (*target, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("bench: the server's URL is not one")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}}
	if c.CACertFile != "" {
		pem, err := os.ReadFile(c.CACertFile)
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(pem)
	}
	return &target{address: u.Host, tls: config}, nil
}

func (b *Bench) startBare() error {
	if b.o.Floor == nil {
		return nil
	}
	address, process, err := b.o.Floor.Bare(b.floor)
	if err != nil {
		return fmt.Errorf("bench: the bare server: %w", err)
	}
	// The requests are as long as real ones: their token costs the bare server too.
	b.bare = &target{address: address, tls: b.target.tls, token: b.target.token, process: process}
	return nil
}

// fillAndWeigh imports the records that reads ask for. What a backup grows by
// is what the store stores for them: it holds every key and value, and nothing
// of the pages that they lie in.
func (b *Bench) fillAndWeigh(ctx context.Context) error {
	before, err := b.stored(ctx)
	if err != nil {
		return err
	}
	if err := b.fill(b.o.Records); err != nil {
		return err
	}
	after, err := b.stored(ctx)
	if len(b.ids) > 0 {
		b.floor.Stored = int(after-before) / len(b.ids)
	}
	return err
}

// stored returns the size of a backup; 0 when no floor needs it.
func (b *Bench) stored(ctx context.Context) (int64, error) {
	if b.o.Floor == nil {
		return 0, nil
	}
	info, err := b.client.Backup(ctx, "", io.Discard)
	if err != nil {
		return 0, err
	}
	return info.Bytes, nil
}

// fill imports records until n are there and remembers their ids.
func (b *Bench) fill(n int) error {
	workers, err := b.connect(b.target, 1)
	if err != nil {
		return err
	}
	defer closeAll(workers)
	w := workers[0]
	for len(b.ids) < n {
		if _, err := w.importBatch(min(importLines, n-len(b.ids))); err != nil {
			return err
		}
		w.importedIDs(func(id string) { b.ids = append(b.ids, id) })
	}
	return nil
}

// sample keeps the answer of one read and of one write.
func (b *Bench) sample() (err error) {
	if len(b.ids) == 0 {
		return errors.New("bench: reads need at least one record")
	}
	workers, err := b.connect(b.target, 1)
	if err != nil {
		return err
	}
	defer closeAll(workers)
	w := workers[0]
	if b.floor.Read, err = w.answer("GET", recordsPath+"/"+b.ids[0], "", nil, 200); err != nil {
		return err
	}
	b.floor.Write, err = w.answer("POST", recordsPath, "application/json", w.m.record(nil, b.next.Add(1)), 201)
	return err
}

func (b *Bench) say(format string, args ...any) {
	if b.o.Progress != nil {
		b.o.Progress(fmt.Sprintf(format, args...))
	}
}
