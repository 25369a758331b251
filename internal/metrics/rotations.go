package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"strongroom/rotate"
)

var (
	rotationsDesc = prometheus.NewDesc("strongroom_rotations", "Rotations that are kept, by state.", []string{"state"}, nil)
	progressDesc  = prometheus.NewDesc("strongroom_rotation_values", "Values that the rotations under way have moved (done), have to move (total) and have under old keys yet (left).", []string{"depth", "what"}, nil)
	rateDesc      = prometheus.NewDesc("strongroom_rotation_values_per_second", "Values that the rotations under way move in a second.", []string{"depth"}, nil)
	movedDesc     = prometheus.NewDesc("strongroom_rotation_values_moved_total", "Values moved since the start.", nil, nil)
	pausesDesc    = prometheus.NewDesc("strongroom_rotation_pauses_total", "Pauses of sweeps for the sake of requests.", nil, nil)
	schedAgeDesc  = prometheus.NewDesc("strongroom_schedule_age_seconds", "Since when no rotation of a schedule has ended well.", []string{"schedule"}, nil)
	overdueDesc   = prometheus.NewDesc("strongroom_schedule_overdue", "1 when the maximum age of a schedule has passed.", []string{"schedule"}, nil)
)

// maxSchedules bounds the schedules that have figures of their own.
const maxSchedules = 100

// rotationStates and rotationDepths have a figure even when there is nothing to
// count, so that an alert on them can be tried.
var (
	rotationStates = []rotate.State{rotate.StatePending, rotate.StateRunning, rotate.StatePaused, rotate.StateWaiting, rotate.StateFailed,
		rotate.StateDone, rotate.StateCancelled, rotate.StateRolledBack}
	rotationDepths = []rotate.Depth{rotate.DepthKEK, rotate.DepthKeyset, rotate.DepthData}
)

// WatchRotations tells of rotations and schedules at each scrape. The ids of
// rotations are no labels: those under way are added up by depth.
func (m *Metrics) WatchRotations(stats func() rotate.Stats) error {
	return m.Register(&rotations{stats})
}

type rotations struct{ stats func() rotate.Stats }

// Describe implements prometheus.Collector.
func (r *rotations) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{rotationsDesc, progressDesc, rateDesc, movedDesc, pausesDesc, schedAgeDesc, overdueDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (r *rotations) Collect(out chan<- prometheus.Metric) {
	stats := r.stats()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	out <- prometheus.MustNewConstMetric(movedDesc, prometheus.CounterValue, float64(stats.Moved))
	out <- prometheus.MustNewConstMetric(pausesDesc, prometheus.CounterValue, float64(stats.Pauses))
	for _, state := range rotationStates {
		gauge(rotationsDesc, float64(stats.Rotations[state]), string(state))
	}
	under := addUp(stats.Active)
	for _, depth := range rotationDepths {
		p := under[depth]
		gauge(progressDesc, float64(p.Done), string(depth), "done")
		gauge(progressDesc, float64(p.Total), string(depth), "total")
		gauge(progressDesc, float64(p.Left), string(depth), "left")
		gauge(rateDesc, p.Rate, string(depth))
	}
	for _, s := range stats.Schedules[:min(len(stats.Schedules), maxSchedules)] {
		gauge(schedAgeDesc, s.Age.Seconds(), s.Name)
		overdue := 0.0
		if s.Overdue {
			overdue = 1
		}
		gauge(overdueDesc, overdue, s.Name)
	}
}

func addUp(active []rotate.Active) map[rotate.Depth]rotate.Progress {
	sums := map[rotate.Depth]rotate.Progress{}
	for _, a := range active {
		p := sums[a.Depth]
		p.Done, p.Total, p.Left, p.Rate = p.Done+a.Progress.Done, p.Total+a.Progress.Total, p.Left+a.Progress.Left, p.Rate+a.Progress.Rate
		sums[a.Depth] = p
	}
	return sums
}
