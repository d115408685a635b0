package replay

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// Plot draws what each policy catches against what it stops, as SVG or PNG by the
// file's name.
func (r *Result) Plot(path string) error {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%d payments, %d frauds", r.Payments, r.Total())
	p.X.Label.Text, p.Y.Label.Text = "good payments stopped", "frauds caught"
	p.X.Min, p.Y.Min = 1, 0
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Y.Max = float64(r.Total())
	p.Add(plotter.NewGrid())
	var points plotter.XYLabels
	for _, name := range Policies() {
		t := r.Policies[name]
		points.XYs = append(points.XYs, plotter.XY{X: float64(max(1, t.Stopped)), Y: float64(t.Caught())})
		points.Labels = append(points.Labels, "  "+name)
	}
	dots, err := plotter.NewScatter(points.XYs)
	if err != nil {
		return err
	}
	dots.Color, dots.Radius = color.RGBA{R: 0x1f, G: 0x6f, B: 0xb4, A: 0xff}, vg.Points(4)
	labels, err := plotter.NewLabels(points)
	if err != nil {
		return err
	}
	p.Add(dots, labels)
	most := 10.0
	for _, at := range points.XYs {
		most = max(most, at.X)
	}
	p.X.Max = most * 8 // room for the labels
	return p.Save(18*vg.Centimeter, 12*vg.Centimeter, path)
}
