package main

import (
	"image/color"
	"math"
	"path/filepath"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// namedLatency is a line of a plot of latencies, in microseconds.
type namedLatency struct {
	name    string
	latency *hdrhistogram.Histogram
}

// plottable says what keeps a file from being a plot; an empty name is none.
func plottable(path string) error {
	switch filepath.Ext(path) {
	case "", ".svg", ".png":
		if path == "" || filepath.Ext(path) != "" {
			return nil
		}
	}
	return usagef("plot: %q; name a file that ends in .svg or .png", path)
}

// plotLatency draws latencies over their percentiles, as HdrHistogram does: each decade
// to the right is one more nine.
func plotLatency(path, title string, lines []namedLatency) error {
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text, p.Y.Label.Text = "percentile", "latency, ms"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.Y.Tick.Marker = plot.LogTicks{Prec: -1}
	p.Add(plotter.NewGrid())
	p.Legend.Top, p.Legend.Left = true, true
	colors := []color.Color{color.RGBA{R: 0x1f, G: 0x6f, B: 0xb4, A: 0xff}, color.RGBA{R: 0x99, G: 0x99, B: 0x99, A: 0xff}}
	nines := 1
	for i, one := range lines {
		line, err := plotter.NewLine(percentiles(one.latency))
		if err != nil {
			return err
		}
		line.Color, line.Width = colors[i%len(colors)], vg.Points(1.5)
		p.Add(line)
		p.Legend.Add(one.name, line)
		nines = max(nines, int(math.Ceil(math.Log10(float64(one.latency.TotalCount()+1)))))
	}
	p.X.Min, p.X.Max = 1, math.Pow10(nines)
	p.X.Tick.Marker = plot.ConstantTicks(ninesTicks(nines))
	return p.Save(18*vg.Centimeter, 12*vg.Centimeter, path)
}

// percentiles gives points at 1/(1-p), ten for each nine.
func percentiles(h *hdrhistogram.Histogram) (points plotter.XYs) {
	total := float64(h.TotalCount())
	for i := 0; ; i++ {
		x := math.Pow(10, float64(i)/10)
		points = append(points, plotter.XY{X: x, Y: float64(max(1, h.ValueAtPercentile(100*(1-1/x)))) / 1000})
		if x > total {
			return points
		}
	}
}

func ninesTicks(nines int) (ticks []plot.Tick) {
	labels := []string{"0", "90%", "99%", "99.9%", "99.99%", "99.999%", "99.9999%", "99.99999%"}
	for i := 0; i <= nines && i < len(labels); i++ {
		ticks = append(ticks, plot.Tick{Value: math.Pow10(i), Label: labels[i]})
	}
	return ticks
}
