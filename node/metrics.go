package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/risknet/risknet/risk"
)

// metrics are what the node tells Prometheus. What other rooms count is read
// when it is asked for, never copied on the way.
type metrics struct {
	registry *prometheus.Registry
	checks   [risk.Deny + 1]prometheus.Counter
	failed   prometheus.Counter
	refused  *prometheus.CounterVec // see admission
	latency  prometheus.Histogram
	submits  *prometheus.CounterVec
}

func newMetrics(n *Node) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	checks := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "risknet_checks_total", Help: "Checks answered, by final advice.",
	}, []string{"advice"})
	for a := risk.Allow; a <= risk.Deny; a++ {
		m.checks[a] = checks.WithLabelValues(a.String())
	}
	m.failed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "risknet_checks_failed_total", Help: "Checks that could not be asked: bad input, or a state that was not reached in time.",
	})
	m.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "risknet_checks_refused_total", Help: "Calls and messages of streams that were not looked at, by why: too many wait (door), it has waited for too long (late), its caller has stopped waiting (expired).",
	}, []string{"why"})
	m.latency = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "risknet_check_seconds", Help: "Time inside the node for one check; for a batch, its time divided by its checks.",
		Buckets: []float64{1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2e-2, 1e-1, 1},
	})
	m.submits = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "risknet_commands_total", Help: "Commands submitted to this node, by result.",
	}, []string{"result"})
	m.registry.MustRegister(checks, m.failed, m.refused, m.latency, m.submits,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.gauges(n)
	return m
}

// gauges reads the state of the other rooms.
func (m *metrics) gauges(n *Node) {
	gauge := func(name, help string, read func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
	}
	gauge("risknet_view_age_seconds", "How long ago this node last knew that its view was complete.",
		func() float64 { return n.checker.Age().Seconds() })
	gauge("risknet_applied_index", "Index of the last raft entry in the state.",
		func() float64 { return float64(n.store.Position().Index) })
	gauge("risknet_size", "Leaves in the ledger of this node's view.",
		func() float64 { return float64(n.checker.Load().Head.Size) })
	gauge("risknet_rules_version", "Version of the rule set that this node runs.",
		func() float64 { return float64(n.checker.Load().ProgramVersion) })
	gauge("risknet_unenforced", "1 while this node's institution is not live, so that no answer is to be enforced.",
		func() float64 { return truth(n.unenforced.Load()) })
	gauge("risknet_raft_leader", "1 if this node leads.",
		func() float64 { return truth(n.order.Stats().Role == "leader") })
	gauge("risknet_raft_voter", "1 if this node votes.",
		func() float64 { stats := n.order.Stats(); return truth(votes(&stats)) })
	gauge("risknet_raft_images_sent_total", "Images of the state sent to other nodes (InstallSnapshot).",
		func() float64 { return float64(n.order.Stats().ImagesSent) })
	gauge("risknet_raft_images_received_total", "Images of the state received and installed (InstallSnapshot).",
		func() float64 { return float64(n.order.Stats().ImagesReceived) })
	gauge("risknet_ledger_from", "First leaf that this node holds itself.",
		func() float64 { return float64(n.store.LedgerFrom()) })
	gauge("risknet_certificate_expires_timestamp_seconds", "When this node's certificate ends, in seconds since 1970.",
		func() float64 { return float64(n.creds.Expires().Unix()) })
	gauge("risknet_disk_free_bytes", "Bytes free on the disk of the data directory.",
		func() float64 { return float64(n.disk.left.Load()) })
	gauge("risknet_disk_held", "1 while the disk is too full for anything new.",
		func() float64 { return truth(n.disk.hold() != nil) })
	gauge("risknet_filter_listings", "Tokens in the filter.",
		func() float64 { return float64(n.checker.Stats().Tokens) })
	gauge("risknet_filter_bytes", "Memory of filter and fingerprints.",
		func() float64 { return float64(n.checker.Stats().Bytes) })
	gauge("risknet_filter_false_positive_ratio", "Filter hits that the fingerprints did not confirm, over look-ups that were not listed, as measured.",
		func() float64 { return n.checker.Stats().FalsePositiveRate })
	gauge("risknet_filter_builds_total", "Times that the base of the filter was built anew.",
		func() float64 { return float64(n.checker.Stats().Builds) })
	gauge("risknet_dynamics_subjects", "Subjects of which this node remembers what it has seen itself.",
		func() float64 { return float64(n.checker.Stats().Seen) })
	gauge("risknet_dynamics_lost_total", "Payments that were not learned, because another of the same subject was just being learned.",
		func() float64 { return float64(n.checker.Stats().Unlearnt) })
	gauge("risknet_journal_notes", "Answered checks in the journal.",
		func() float64 { return float64(n.look.stats().Notes) })
	gauge("risknet_journal_bytes", "What these notes are counted for; see journal.bytes.",
		func() float64 { return float64(n.look.stats().Bytes) })
	gauge("risknet_journal_reach_seconds", "How old the oldest note is: how far an alert can look back.",
		func() float64 { return n.journalReach().Seconds() })
	gauge("risknet_journal_dropped_total", "Answered checks that left no note, because the journal could not keep up or the disk is too full.",
		func() float64 { return float64(n.look.lost()) })
	gauge("risknet_journal_behind", "Leaves of the ledger that the journal was not searched for yet.",
		func() float64 { return n.journalBehind() })
	gauge("risknet_alerts", "Alerts that are kept for those who read them.",
		func() float64 { return float64(n.look.stats().Alerts) })
	gauge("risknet_damage_total", "Look-ups that found the store damaged; each was answered closed.",
		func() float64 { return float64(n.checker.Stats().Damage) })
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// answered notes checks that were answered together.
func (m *metrics) answered(v *risk.Verdict) {
	if v.Advice.Valid() {
		m.checks[v.Advice].Inc()
	}
}

func (m *metrics) took(since time.Time, checks int) {
	if checks > 0 {
		m.latency.Observe(time.Since(since).Seconds() / float64(checks))
	}
}
