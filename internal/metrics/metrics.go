// Package metrics counts what the server does, for Prometheus. Label values
// come from small fixed sets: route templates, methods, status codes, problem
// codes. No name, id or value of a caller is ever one, but for the names of
// integrations and schedules in the figures of their keys, which are bounded.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"strongroom/store"
)

// Metrics is one registry. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	inFlight prometheus.Gauge
	duration *prometheus.HistogramVec
	problems *prometheus.CounterVec
	tokens   prometheus.Counter
	imported *prometheus.CounterVec
}

// buckets of request durations, in seconds: from a cached read to an export.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60}

// New returns an empty registry that also tells of the process and, through
// ready, of the store: why it is degraded, if it is.
func New(version string, ready func() []store.Reason) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "strongroom_http_requests_in_flight", Help: "Requests being answered."}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "strongroom_http_request_duration_seconds", Help: "Time from the request's header to the end of its answer.",
			Buckets: buckets}, []string{"route", "method", "status"}),
		problems: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongroom_http_problems_total", Help: "Problem documents sent, by code; integrity means that something stored did not authenticate."},
			[]string{"code"}),
		tokens: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "strongroom_tokens_issued_total", Help: "Access tokens issued."}),
		imported: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongroom_import_lines_total", Help: "Lines of imports, by what became of them."}, []string{"result"}),
	}
	m.registry.MustRegister(m.inFlight, m.duration, m.problems, m.tokens, m.imported,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(version))
	if ready != nil {
		m.registry.MustRegister(&health{ready: ready})
	}
	return m
}

func buildInfo(version string) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "strongroom_build_info", Help: "Always 1; its label tells the version.",
		ConstLabels: prometheus.Labels{"version": version}})
	g.Set(1)
	return g
}

// Register adds a collector of another package.
func (m *Metrics) Register(c prometheus.Collector) error { return m.registry.Register(c) }

// Figure adds one that is asked for at every scrape: a counter when it only
// rises, else a gauge. Labels come in pairs.
func (m *Metrics) Figure(name, help string, rises bool, value func() float64, labels ...string) {
	constant := prometheus.Labels{}
	for i := 0; i+1 < len(labels); i += 2 {
		constant[labels[i]] = labels[i+1]
	}
	if rises {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: constant}, value))
		return
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: constant}, value))
}

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Problem counts a problem document.
func (m *Metrics) Problem(code string) { m.problems.WithLabelValues(code).Inc() }

// TokenIssued counts an access token.
func (m *Metrics) TokenIssued() { m.tokens.Inc() }

// Imported counts the lines of an import that ended.
func (m *Metrics) Imported(stored, failed uint64) {
	m.imported.WithLabelValues("stored").Add(float64(stored))
	m.imported.WithLabelValues("failed").Add(float64(failed))
}

// Endpoint is the observer of one route and method.
type Endpoint struct {
	m             *Metrics
	route, method string
	ok            prometheus.Observer // status 200, the everyday one, looked up once
}

// Endpoint returns the observer of a route template and a method.
func (m *Metrics) Endpoint(route, method string) *Endpoint {
	return &Endpoint{m, route, method, m.duration.WithLabelValues(route, method, "200")}
}

// Begin counts a request in.
func (e *Endpoint) Begin() { e.m.inFlight.Inc() }

// End counts a request out.
func (e *Endpoint) End(status int, took time.Duration) {
	e.m.inFlight.Dec()
	if status == http.StatusOK {
		e.ok.Observe(took.Seconds())
		return
	}
	e.m.duration.WithLabelValues(e.route, e.method, strconv.Itoa(status)).Observe(took.Seconds())
}

// health turns the reasons of the store into gauges at each scrape.
type health struct{ ready func() []store.Reason }

var (
	upDesc       = prometheus.NewDesc("strongroom_ready", "1 when the store serves, also when it is degraded.", nil, nil)
	noticeDesc   = prometheus.NewDesc("strongroom_notice", "What is to be known of how the store is run, by code.", []string{"code"}, nil)
	degradedDesc = prometheus.NewDesc("strongroom_degraded", "Reasons why the store is not as well as it should be, by code.", []string{"code"}, nil)
)

// Describe implements prometheus.Collector.
func (h *health) Describe(out chan<- *prometheus.Desc) {
	out <- upDesc
	out <- degradedDesc
	out <- noticeDesc
}

// Collect implements prometheus.Collector.
func (h *health) Collect(out chan<- prometheus.Metric) {
	serves, count, notices := 1.0, map[string]float64{}, map[string]float64{}
	for _, r := range h.ready() {
		if r.Notice {
			notices[r.Code]++
			continue
		}
		count[r.Code]++
		if !r.Degraded {
			serves = 0
		}
	}
	out <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, serves)
	for code, n := range notices {
		out <- prometheus.MustNewConstMetric(noticeDesc, prometheus.GaugeValue, n, code)
	}
	for code, n := range count {
		out <- prometheus.MustNewConstMetric(degradedDesc, prometheus.GaugeValue, n, code)
	}
}
