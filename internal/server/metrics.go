package server

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"evident/api"
)

// Metrics counts what the server does, for Prometheus. All labels are of few values: routes, not paths.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	stages   *prometheus.HistogramVec
	answers  *prometheus.CounterVec
	queue    prometheus.Gauge
	running  prometheus.Gauge
	jobs     prometheus.Gauge
	holds    *prometheus.GaugeVec
}

// NewMetrics returns metrics that are all zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "evident_http_request_duration_seconds", Help: "Time from the request to the end of its answer.",
			Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10, 30, 60},
		}, []string{"method", "route", "status"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "evident_stage_duration_seconds", Help: "Time of a stage of a computation.",
			Buckets: []float64{.0003, .001, .003, .01, .03, .1, .3, 1, 3, 10, 30},
		}, []string{"stage"}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "evident_answers_total", Help: "Questions answered, by outcome.",
		}, []string{"outcome"}),
		queue:   gauge("evident_queue_depth", "Computations that wait."),
		running: gauge("evident_computations", "Computations that run."),
		jobs:    gauge("evident_jobs", "Jobs that wait or run."),
		holds: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "evident_index_documents", Help: "Documents and pictures in all indexes.",
		}, []string{"kind"}),
	}
	m.registry.MustRegister(m.requests, m.stages, m.answers, m.queue, m.running, m.jobs, m.holds,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

// Stage notes a stage of a computation.
func (m *Metrics) Stage(name string, took time.Duration) {
	m.stages.WithLabelValues(name).Observe(took.Seconds())
}

// Answered counts an answer.
func (m *Metrics) Answered(outcome string) { m.answers.WithLabelValues(outcome).Inc() }

// methods are those that routes take; others count as one, for a caller may invent any number.
var methods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPost: true, http.MethodDelete: true,
}

func (m *Metrics) request(method, route string, status int, took time.Duration) {
	if m == nil {
		return
	}
	if !methods[method] {
		method = "other"
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

// write returns all figures as text.
func (m *Metrics) write(load api.Load, documents, images int) ([]byte, error) {
	if m == nil {
		return []byte("# nothing is measured\n"), nil
	}
	m.queue.Set(float64(load.Waiting))
	m.running.Set(float64(load.Computing))
	m.jobs.Set(float64(load.Jobs))
	m.holds.WithLabelValues("text").Set(float64(documents))
	m.holds.WithLabelValues("image").Set(float64(images))
	families, err := m.registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather figures: %w", err)
	}
	var text bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			return nil, fmt.Errorf("write figures: %w", err)
		}
	}
	return text.Bytes(), nil
}
