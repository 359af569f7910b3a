// Package metrics is what a hub counts, for Prometheus. No name or id of a device, document or token
// stands in it, so that whoever may look at a hub's load learns nothing about a house.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The doors of a hub.
const (
	MQTT = "mqtt"
	REST = "rest"
)

// What became of a request.
const (
	OK      = "ok"
	Refused = "refused" // the client's fault, or just a version that was overtaken
	Failed  = "failed"  // the hub's trouble; nothing was written
	Unknown = "unknown" // the hub's trouble; it can't know whether it wrote
)

// Metrics are those of one hub. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	connects  *prometheus.CounterVec
	answers   *prometheus.CounterVec
	logins    *prometheus.CounterVec
	notices   prometheus.Counter
}

// New returns metrics with those of the process and of Go among them.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: counters("requests_total", "Requests for documents, by door, method and what became of them.", "door", "method", "outcome"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    name("request_duration_seconds"),
			Help:    "Time from a request for a document to its answer; for a write, until it is on disk.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"door", "method"}),
		connects: counters("connects_total", "MQTT connections by what became of them: accepted, or why not.", "outcome"),
		answers:  counters("http_responses_total", "Answers of the REST API, by status.", "code"),
		logins:   counters("failed_logins_total", "Credentials that open nothing, by door, and those that were not even looked at.", "door", "outcome"),
		notices:  prometheus.NewCounter(prometheus.CounterOpts{Name: name("change_notices_total"), Help: "Change notices sent to devices."}),
	}
	m.registry.MustRegister(m.requests, m.durations, m.connects, m.answers, m.logins, m.notices,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	for _, door := range []string{MQTT, REST} { // so that a rate is known from the first one on
		for _, outcome := range []string{OK, Refused, Failed, Unknown} {
			for _, method := range []string{"get", "put", "patch"} {
				m.requests.WithLabelValues(door, method, outcome)
			}
		}
		m.logins.WithLabelValues(door, "wrong")
		m.logins.WithLabelValues(door, "not looked at")
	}
	return m
}

// name is a metric's whole name.
func name(s string) string { return "twinpanel_hub_" + s }

func counters(s, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name(s), Help: help}, labels)
}

// Request counts a request for a document that began then.
func (m *Metrics) Request(door, method, outcome string, began time.Time) {
	m.requests.WithLabelValues(door, method, outcome).Inc()
	m.durations.WithLabelValues(door, method).Observe(time.Since(began).Seconds())
}

// Connect counts a connection: accepted, or in a word or two why not.
func (m *Metrics) Connect(outcome string) { m.connects.WithLabelValues(outcome).Inc() }

// FailedLogin counts a credential that opens nothing, or that was not looked at.
func (m *Metrics) FailedLogin(door string, looked bool) {
	outcome := "wrong"
	if !looked {
		outcome = "not looked at"
	}
	m.logins.WithLabelValues(door, outcome).Inc()
}

// Notice counts a change notice.
func (m *Metrics) Notice() { m.notices.Inc() }

// Answer counts an answer of the REST API.
func (m *Metrics) Answer(status int) { m.answers.WithLabelValues(strconv.Itoa(status)).Inc() }

// Gauge adds a number that is read whenever somebody asks.
func (m *Metrics) Gauge(s, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name(s), Help: help}, read))
}

// Counter adds a number that only rises, read whenever somebody asks.
func (m *Metrics) Counter(s, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name(s), Help: help}, read))
}

// Gauges adds numbers, by the value of a label, that are read whenever somebody asks.
func (m *Metrics) Gauges(s, help, label string, read func() map[string]float64) {
	m.registry.MustRegister(&gauges{prometheus.NewDesc(name(s), help, []string{label}, nil), read})
}

type gauges struct {
	desc *prometheus.Desc
	read func() map[string]float64
}

func (g *gauges) Describe(to chan<- *prometheus.Desc) { to <- g.desc }

func (g *gauges) Collect(to chan<- prometheus.Metric) {
	for value, n := range g.read() {
		to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, n, value)
	}
}

// Handler answers in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 3, Timeout: 10 * time.Second})
}
