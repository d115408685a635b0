package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/audit"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

type alarmJSON struct {
	Alarm    string   `json:"alarm"`
	Accused  []string `json:"accused,omitempty"`
	Evidence string   `json:"evidence,omitempty"`
	Leaf     string   `json:"leaf_file,omitempty"`
	Time     string   `json:"time"`
}

type monitorOptions struct {
	once          bool
	every, length days
	dir, outbox   string
}

func newAuditMonitorCommand() *cobra.Command {
	o := monitorOptions{every: days(time.Second)}
	cmd := &cobra.Command{Use: "monitor [--once] [--evidence DIR]", Short: "Watch the network: promises, stamps, heads, and your own name",
		Long: `Keeps a replica of its own and looks every second: whether the ledger only grows and
is as the law gives it, whether all nodes show the same one, whether leaves are stamped
with their time, whether what the profile's outbox was promised has become a leaf, and
whether anybody else writes in the profile's name.

Each alarm is said once. Where a third party can check it offline, it comes with an
evidence file of at most 10 KiB; see "audit evidence". Ends with 1 if there was an
alarm, with 0 if there was none.`,
		Example: "  risknet --profile acme.yaml audit monitor --evidence evidence\n  risknet --profile acme.yaml audit monitor --once -o ndjson",
		Args:    cobra.NoArgs}
	flags := cmd.Flags()
	flags.BoolVar(&o.once, "once", false, "look once and end")
	flags.Var(&o.every, "every", "time between two looks")
	flags.Var(&o.length, "for", "end after this time (default: when interrupted)")
	flags.StringVar(&o.dir, "evidence", "evidence", "`directory` to write evidence in")
	flags.StringVar(&o.outbox, "outbox", "", "`file` of what was sent (default: the profile's outbox)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.every < days(10*time.Millisecond) {
			return usagef("every: %s is too short; use 10ms or more", &o.every)
		}
		a, err := openAudit(cmd)
		if err != nil {
			return err
		}
		defer a.log.Close()
		m, err := a.monitor(o.outbox)
		if err != nil {
			return err
		}
		if m.Outbox == nil {
			note(cmd, "profile: names no outbox or no reporter; promises and your own name are not watched")
		}
		return errors.Join(watch(cmd, m, o), m.Close())
	}
	return cmd
}

func (a *auditor) monitor(outbox string) (*audit.Monitor, error) {
	m := &audit.Monitor{Log: a.log, Network: a.network, Nodes: audit.Network{TLS: a.tls}}
	if outbox == "" {
		outbox = a.profile.Outbox
	} else if _, err := os.Stat(outbox); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	if outbox == "" || a.profile.Reporter == "" {
		return m, nil
	}
	reporter, err := risk.ParseID(a.profile.Reporter)
	if err != nil {
		return nil, err
	}
	m.Reporter = reporter
	m.Outbox = func() (map[risk.Hash]*client.Sent, error) {
		file, err := os.Open(outbox)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return client.ReadOutbox(file)
	}
	return m, nil
}

// watch looks until its time is over. A network that cannot be reached is said and
// asked again: silence is not an alarm, and does not end the watch.
func watch(cmd *cobra.Command, m *audit.Monitor, o monitorOptions) error {
	ctx := cmd.Context()
	var end <-chan time.Time
	if o.length > 0 {
		end = time.After(time.Duration(o.length))
	}
	out, format := newRowWriter(cmd), ""
	format, _ = formatOf(cmd)
	total, failed := 0, error(nil)
	tick := time.NewTicker(time.Duration(o.every))
	defer tick.Stop()
	for over := false; !over; {
		alarms, err := m.Poll(ctx)
		for _, alarm := range alarms {
			total++
			if err := sound(cmd, out, format, alarm, o.dir); err != nil {
				return err
			}
		}
		said := err != nil && slices.ContainsFunc(alarms, func(a audit.Alarm) bool { return strings.Contains(err.Error(), a.Text) })
		if err != nil && !said && !o.once && ctx.Err() == nil && (failed == nil || err.Error() != failed.Error()) {
			note(cmd, "could not look: %v", err)
		}
		if failed = err; o.once {
			break
		}
		select {
		case <-tick.C:
		case <-end:
			over = true
		case <-ctx.Done():
			over = true
		}
	}
	if format != "human" {
		if err := out.end(nil); err != nil {
			return err
		}
	}
	switch {
	case total > 0:
		return fmt.Errorf("audit: %s", counted(total, "alarm"))
	case o.once && failed != nil:
		return failed
	}
	note(cmd, "read %s leaves; nothing is wrong", many(int(m.Size())))
	return nil
}

// sound writes the evidence before the alarm is said.
func sound(cmd *cobra.Command, out *rowWriter, format string, alarm audit.Alarm, dir string) error {
	now := time.Now().UTC()
	row := alarmJSON{Alarm: alarm.Text, Accused: alarm.Accused, Time: now.Format(time.RFC3339)}
	if len(alarm.Evidence) > 0 {
		name := filepath.Join(dir, now.Format("20060102T150405.000000000Z"))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("evidence: %w", err)
		}
		row.Evidence = name + ".json"
		if err := os.WriteFile(row.Evidence, alarm.Evidence, 0o644); err != nil {
			return fmt.Errorf("evidence: %w", err)
		}
		if len(alarm.Leaf) > 0 {
			row.Leaf = name + ".leaf"
			if err := os.WriteFile(row.Leaf, alarm.Leaf, 0o644); err != nil {
				return fmt.Errorf("evidence: %w", err)
			}
		}
	}
	if format != "human" {
		return errors.Join(out.row(row), out.flush(true))
	}
	text := "ALARM: " + row.Alarm
	if row.Evidence != "" {
		text += "\n  evidence: " + row.Evidence
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

type findingJSON struct {
	Kind    string   `json:"kind"`
	Accused []string `json:"accused"`
	Text    string   `json:"text"`
	OK      bool     `json:"ok"`
}

func newAuditEvidenceCommand() *cobra.Command {
	var network, leafFile string
	cmd := &cobra.Command{Use: "evidence FILE [--network ID]", Short: "Verify evidence that a monitor has written, offline",
		Long: `Verifies an evidence file without asking anybody. All that is trusted is the network's
id: it is the hash of the founding command, which names the hub's keys, and these have
signed the records of the nodes that the evidence is about.`,
		Example: "  risknet audit evidence evidence/20260301T101500Z.json --network a9bf536a…\n  risknet --profile auditor.yaml audit evidence broken.json -o json",
		Args:    cobra.ExactArgs(1)}
	cmd.Flags().StringVar(&network, "network", "", "the network's `id` (default: the profile's)")
	cmd.Flags().StringVar(&leafFile, "leaf", "", "`file` of a leaf that did not fit into the evidence")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := networkID(cmd, network)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(args[0])
		if err != nil {
			return fmt.Errorf("evidence: %w", err)
		}
		var leaf []byte
		if leafFile != "" {
			if leaf, err = os.ReadFile(leafFile); err != nil {
				return fmt.Errorf("leaf: %w", err)
			}
		}
		finding, err := audit.VerifyEvidence(data, id, leaf)
		if err != nil {
			return err
		}
		out := findingJSON{string(finding.Kind), finding.Accused, finding.Text, true}
		return emit(cmd, out, func(w io.Writer) {
			fmt.Fprintf(w, "it holds: %s\naccused: %s\n", out.Text, strings.Join(out.Accused, ", "))
		})
	}
	return cmd
}

func networkID(cmd *cobra.Command, given string) (risk.Hash, error) {
	if given == "" {
		path, _ := cmd.Flags().GetString("profile")
		if path == "" {
			return risk.Hash{}, usagef("network: is missing; give it, or a profile that names it")
		}
		profile, err := client.LoadProfile(path)
		if err != nil {
			return risk.Hash{}, err
		}
		if given = profile.Network; given == "" {
			return risk.Hash{}, usagef("network: is missing; the profile does not name it, so give --network")
		}
	}
	id, err := risk.ParseHash(given)
	if err != nil {
		return risk.Hash{}, usagef("network: %v", err)
	}
	return id, nil
}
