package main

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// draw plots the leader's share of a core over the servers without a vote, a line for
// each load.
func draw(path string, rows []row) error {
	p := plot.New()
	p.Title.Text = "CPU of the leader, three voters, followers discard"
	p.X.Label.Text, p.Y.Label.Text = "servers without a vote", "% of one core"
	p.Y.Min = 0
	var lines []any
	for _, l := range loads {
		var points plotter.XYs
		name := l.Name
		for _, r := range rows {
			if r.Load == l.Name {
				points = append(points, plotter.XY{X: float64(r.NonVoters), Y: 100 * r.Share})
			}
		}
		lines = append(lines, name, points)
	}
	if err := plotutil.AddLinePoints(p, lines...); err != nil {
		return err
	}
	p.Legend.Top, p.Legend.Left = true, true
	return p.Save(16*vg.Centimeter, 10*vg.Centimeter, path)
}
