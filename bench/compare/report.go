package main

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// report writes the table of all rows that were ever measured, in the order of the
// suites, and a plot of the ratios beside it.
func report(o options) error {
	latest, err := kept(o)
	if err != nil {
		return err
	}
	var list []dated
	for _, s := range suitesOf(o) {
		for _, t := range s.trials {
			for _, r := range t.rows {
				list = append(list, lookUp(latest, r))
			}
		}
	}
	if err := draw(list, o.beside(".svg")); err != nil {
		return err
	}
	return os.WriteFile(o.out, []byte(table(o, list)), 0o644)
}

// dated is a row with its latest figures.
type dated struct {
	measured
	on, machine string
}

// lookUp takes no figures of a smaller trial for those of this one.
func lookUp(latest []result, r row) dated {
	for _, l := range latest {
		if l.Row == r.name && (l.What == r.what || l.What == "") {
			return dated{measured{row: r, theirsAll: l.Theirs, oursAll: l.Ours, missing: l.Missing}, l.On, l.Machine}
		}
	}
	return dated{measured: measured{row: r, missing: "not measured yet"}}
}

func table(o options, list []dated) string {
	var b strings.Builder
	var machines []string
	for i := range list {
		if m := list[i].machine; m != "" && !slices.Contains(machines, m) {
			machines = append(machines, m)
		}
	}
	fmt.Fprintf(&b, "# Side by side\n\nWritten by `go run ./bench/compare`, on %s that carried clients and servers; each figure is the median of its goes, the two sides of a go measured in turn, and the ratio is the median of the goes' own. Ratios say something; absolute figures are this machine's of that hour.\n\n",
		strings.Join(machines, " and "))
	b.WriteString("| row | what | peer | peer's | ours | unit | ratio | to reach | reached | goes, day |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range list {
		m := &list[i]
		theirs, ours, ratio, reached := "", figure(median(m.oursAll)), "", ""
		if len(m.theirsAll) > 0 {
			theirs, ratio = figure(median(m.theirsAll)), fmt.Sprintf("%.2f", m.ratio())
		}
		switch {
		case m.missing != "":
			ours, theirs, reached = "", "", m.missing
		case m.target() != "":
			reached = map[bool]string{true: "yes", false: "**no**"}[m.reached()]
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %d, %s |\n",
			m.name, m.what, m.peer, theirs, ours, m.unit, ratio, m.target(), reached, len(m.oursAll), m.on)
	}
	fmt.Fprintf(&b, "\n![ratio of ours to the peer's, by row](%s)\n", filepath.Base(o.beside(".svg")))
	if remarks, err := os.ReadFile(filepath.Join(filepath.Dir(o.out), "REMARKS.md")); err == nil {
		b.WriteString("\n" + string(remarks))
	}
	return b.String()
}

func machine() string { return fmt.Sprintf("%d cores (%s)", runtime.NumCPU(), cpuName()) }

func cpuName() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, found := strings.CutPrefix(line, "model name"); found {
			return strings.Trim(name, ":\t \n")
		}
	}
	return runtime.GOARCH
}

// draw shows the rows that ask for a ratio.
func draw(list []dated, path string) error {
	p := plot.New()
	p.Title.Text, p.Y.Label.Text, p.Y.Min = "ours by the peer's", "ratio", 0
	var ratios plotter.Values
	var names []string
	for i := range list {
		if m := &list[i]; m.missing == "" && len(m.theirsAll) > 0 && m.most == 0 {
			ratios, names = append(ratios, m.ratio()), append(names, m.name)
		}
	}
	if len(ratios) == 0 {
		return nil
	}
	bars, err := plotter.NewBarChart(ratios, vg.Points(20))
	if err != nil {
		return err
	}
	bars.Color = color.RGBA{R: 0x1f, G: 0x6f, B: 0xb4, A: 0xff}
	line, err := plotter.NewLine(plotter.XYs{{X: -0.5, Y: 1}, {X: float64(len(ratios)) - 0.5, Y: 1}})
	if err != nil {
		return err
	}
	p.Add(bars, line)
	p.NominalX(names...)
	return p.Save(22*vg.Centimeter, 9*vg.Centimeter, path)
}
