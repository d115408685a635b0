package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// pageHead is what the page says before its figures.
const pageHead = `# Reliability, as measured

This page is written by one command, which torments networks of real processes and judges them all the time:

    go test -tags chaos -timeout 6h ./testnet/chaos -run TestMatrix

In every run writers on several nodes publish and lift listings, a reader on each node asks checks (with and without a size that the answer must have reached), the fault is made and ended, the network must be healthy within 30 s, and then every node is compared with every acknowledgement and with every other node. [DESIGN.md](../DESIGN.md) says why it should hold.

The aim is 20 runs of each fault, 50 hits of each crash point, 10 simulated cluster-days and 1,000 damaged files, without a violation. Results are gathered over several goes; a fault that is not in the table, or has fewer, is not measured out yet.

| | promise |
|---|---|
| I1 | an acknowledged command is never lost, reordered or applied twice |
| I2 | the applied index never goes back within one life of the state |
| I3 | the same size means the same root and digest |
| I4 | data and applied index agree after every crash: what catches up has the others' root, digest and listings |
| I5 | an answer is never older than the size it was asked for |
| I6 | each answer has a head and an age that is true; past the limit it is called stale and carries the stale policy |
| I7 | what is listed at size N is never answered clear at N or later until it is lifted; what is lifted never returns |
| I8 | memory, disk, goroutines and descriptors are bounded |
| I9 | healthy within 30 s after the fault ends |
| I10 | heads only grow, and there are never two roots at one size |
| LIN | per subject, writes and reads at the newest size are linearizable (porcupine) |
| AVA | a node that was not struck answers every check |
| UP | no process ends by itself |
`

// Page renders the results.
func Page(all []Result, points []string) string {
	var rows, other []Result
	for _, r := range Merge(all) {
		if r.elsewhere() {
			other = append(other, r)
		} else {
			rows = append(rows, r)
		}
	}
	var page strings.Builder
	page.WriteString(pageHead)
	page.WriteString("\n## Fault × invariant × runs × violations\n\n")
	faultTable(&page, rows)
	evidence(&page, rows)
	leaderKills(&page, rows)
	pointTable(&page, rows, points)
	simulatedTable(&page, other)
	damageTable(&page, other)
	notes(&page, rows)
	return page.String()
}

func faultTable(page *strings.Builder, rows []Result) {
	page.WriteString("| fault | nodes | runs |")
	for _, i := range Invariants {
		fmt.Fprintf(page, " %s |", i)
	}
	page.WriteString("\n|---|---|---|" + strings.Repeat("---|", len(Invariants)) + "\n")
	total, runs := 0, 0
	for i := range rows {
		r := &rows[i]
		if r.Skipped != "" {
			fmt.Fprintf(page, "| %s | %d | not run |%s\n", r.What, r.Nodes, strings.Repeat(" – |", len(Invariants)))
			continue
		}
		fmt.Fprintf(page, "| %s | %d | %d |", r.What, r.Nodes, r.Runs)
		for _, i := range Invariants {
			fmt.Fprintf(page, " %d |", r.Broken[i])
			total += r.Broken[i]
		}
		page.WriteString("\n")
		runs += r.Runs
	}
	fmt.Fprintf(page, "\n%d runs, %d violations.\n", runs, total)
}

func evidence(page *strings.Builder, rows []Result) {
	page.WriteString("\n## What was seen on the way\n\n| fault | acknowledged changes | answers judged | porcupine | healthy after p50 / max | resident MiB | goroutines | descriptors | disk MiB |\n|---|---|---|---|---|---|---|---|---|\n")
	for i := range rows {
		r := &rows[i]
		if r.Skipped != "" {
			continue
		}
		fmt.Fprintf(page, "| %s | %d | %d | %d | %s / %s | %d | %d | %d | %d |\n", r.What, r.Acked, r.Answers, r.Operations,
			span(Percentile(r.HealMillis, 0.5)), span(Percentile(r.HealMillis, 1)), r.Peaks.ResidentMiB, r.Peaks.Goroutines, r.Peaks.Descriptors, r.Peaks.DiskMiB)
	}
	page.WriteString("\nMemory, goroutines, descriptors and disk are the largest of any process at any time.\n")
}

func span(millis int64) string {
	return (time.Duration(millis) * time.Millisecond).Round(10 * time.Millisecond).String()
}

func leaderKills(page *strings.Builder, rows []Result) {
	var list []int64
	for i := range rows {
		list = append(list, rows[i].Failover...)
	}
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(page, "\n## A leader is killed under load\n\nFrom the kill to the next acknowledged write that was begun after it, over %d kills: p50 %s, p99 %s, longest %s (the aim is p99 ≤ 3 s). Checks on the other nodes went on meanwhile (AVA).\n",
		len(list), span(Percentile(list, 0.5)), span(Percentile(list, 0.99)), span(Percentile(list, 1)))
}

func pointTable(page *strings.Builder, rows []Result, points []string) {
	hits, why := map[string]int{}, map[string]string{}
	for i := range rows {
		hits = addCounts(hits, rows[i].Hits)
		maps.Copy(why, rows[i].Unreached)
	}
	page.WriteString("\n## Crash points\n\nEach name stands once in the source, at one side of a durable step. A hit is a process that ended itself there with SIGKILL; the run around it is judged like every other.\n\n| crash point | hits | |\n|---|---|---|\n")
	for _, point := range points {
		note := why[point]
		if hits[point] > 0 {
			note = ""
		}
		fmt.Fprintf(page, "| %s | %d | %s |\n", point, hits[point], note)
	}
	if len(points) == 0 {
		page.WriteString("| none in this source | | |\n")
	}
}

func notes(page *strings.Builder, rows []Result) {
	page.WriteString("\n## Notes\n\n")
	for i := range rows {
		r := &rows[i]
		if r.Skipped != "" {
			fmt.Fprintf(page, "- **%s** was not run here: %s.\n", r.What, r.Skipped)
		}
		for _, note := range r.Notes[:min(1, len(r.Notes))] {
			fmt.Fprintf(page, "- **%s**: %s.\n", r.What, note)
		}
		for _, v := range firstOfEach(r.Violations) {
			fmt.Fprintf(page, "- **%s**: violation of %s on %s: %s.\n", r.What, v.Invariant, v.Node, v.Text)
		}
	}
	page.WriteString("- Linux, all processes on one machine; the seeds stand in the results file.\n")
}

// firstOfEach gives one violation of each invariant: enough for the page, the
// rest stands in the results file.
func firstOfEach(list []Violation) []Violation {
	var first []Violation
	for _, v := range list {
		if !slices.ContainsFunc(first, func(o Violation) bool { return o.Invariant == v.Invariant }) {
			first = append(first, v)
		}
	}
	return first
}
