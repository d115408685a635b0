package main

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// report writes the table, and a plot of the ratios beside it.
func report(o options, results []measured) error {
	picture := strings.TrimSuffix(o.out, filepath.Ext(o.out)) + ".svg"
	if err := draw(results, picture); err != nil {
		return err
	}
	return os.WriteFile(o.out, []byte(table(o, results, filepath.Base(picture), time.Now())), 0o644)
}

func table(o options, results []measured, picture string, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Side by side\n\nWritten by `go run ./bench/compare` on %s, on %d cores (%s) that carried client and server: medians of %d goes, each side in turn. Ratios say something; absolute figures are this machine's of that hour.\n\n",
		now.UTC().Format("2 January 2006"), runtime.NumCPU(), cpuName(), o.goes)
	b.WriteString("| row | what | peer | peer's | ours | unit | ratio | to reach | reached |\n|---|---|---|---|---|---|---|---|---|\n")
	for i := range results {
		m := &results[i]
		if m.missing != "" {
			fmt.Fprintf(&b, "| %s | %s | %s | | | | | %s | not measured: %s |\n", m.name, m.what, m.peer, m.target(), m.missing)
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %.0f | %.0f | %s | %.2f | %s | %s |\n", m.name, m.what, m.peer, median(m.theirsAll), median(m.oursAll), m.unit, m.ratio(), m.target(),
			map[bool]string{true: "yes", false: "no"}[m.reached()])
	}
	fmt.Fprintf(&b, "\n![ratio of ours to the peer's, by row](%s)\n", picture)
	if remarks, err := os.ReadFile(filepath.Join(filepath.Dir(o.out), "REMARKS.md")); err == nil {
		b.WriteString("\n" + string(remarks))
	}
	return b.String()
}

func (m *measured) target() string {
	var parts []string
	if m.reach > 0 {
		parts = append(parts, fmt.Sprintf("%.1f of the peer", m.reach))
	}
	if m.least > 0 {
		parts = append(parts, fmt.Sprintf("%.0f", m.least))
	}
	return strings.Join(parts, ", ")
}

func cpuName() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, found := strings.CutPrefix(line, "model name"); found {
			return strings.Trim(name, ":\t \n")
		}
	}
	return runtime.GOARCH
}

func draw(results []measured, path string) error {
	p := plot.New()
	p.Title.Text, p.Y.Label.Text, p.Y.Min = "ours by the peer's", "ratio", 0
	var ratios plotter.Values
	var names []string
	for i := range results {
		if results[i].missing == "" {
			ratios, names = append(ratios, results[i].ratio()), append(names, results[i].name)
		}
	}
	if len(ratios) == 0 {
		return nil
	}
	bars, err := plotter.NewBarChart(ratios, vg.Points(24))
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
	return p.Save(18*vg.Centimeter, 9*vg.Centimeter, path)
}
