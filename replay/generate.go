package replay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// World says what the generator makes. Customers and terminals lie on a square of side
// 100; a customer pays at the terminals near it. The shape and its usual numbers are
// those of the Fraud Detection Handbook's simulator.
type World struct {
	Seed      uint64
	Customers int
	Terminals int
	Days      int
	Start     time.Time
	Radius    float64 // of the terminals that a customer uses; 5 usually

	LargeAmount       float64 // scenario 1: every payment above it is fraud; 220 usually
	TerminalsPerDay   int     // scenario 2: so many are taken over each day,
	TerminalDays      int     // and all they take is fraud for so many days
	CustomersPerDay   int     // scenario 3: so many cards leak each day,
	CustomerDays      int     // and a third of what they pay is fraud for so many days,
	CustomerFraudTime float64 // of so many times the amount
}

// DefaultWorld is a small one.
func DefaultWorld() World {
	return World{Seed: 1, Customers: 500, Terminals: 1000, Days: 90, Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Radius: 15,
		LargeAmount: 220, TerminalsPerDay: 1, TerminalDays: 28, CustomersPerDay: 1, CustomerDays: 14, CustomerFraudTime: 5}
}

const side = 100

type customer struct {
	mean, spread, perDay float64
	near                 []uint32
}

// Generate makes the payments of a world, in the order of their times. The same world
// gives the same payments.
func (w World) Generate() []Payment {
	r := rand.New(rand.NewPCG(w.Seed, 0x7269736b6e6574))
	customers := w.settle(r)
	var all []Payment
	for d := range w.Days {
		for i, c := range customers {
			for range poisson(r, c.perDay) {
				seconds := r.NormFloat64()*20_000 + 43_200
				amount := c.amount(r)
				if seconds <= 0 || seconds >= 86_400 || len(c.near) == 0 {
					continue
				}
				all = append(all, Payment{At: w.Start.AddDate(0, 0, d).UnixMilli() + int64(seconds)*1000, Customer: uint32(i),
					Terminal: c.near[r.IntN(len(c.near))], Amount: int64(math.Round(amount * 100))})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Payment) int { return int(a.At - b.At) })
	w.defraud(r, all)
	return all
}

// Check says what is wrong with a world.
func (w World) Check() error {
	switch {
	case w.Days < 1 || w.Customers < 1 || w.Terminals < 1:
		return errors.New("days, customers and terminals: give 1 or more of each")
	case w.Days > 3650 || w.Customers > 1_000_000 || w.Terminals > 1_000_000:
		return errors.New("days, customers and terminals: give at most 3,650 days and a million of the others")
	case !(w.Radius > 0):
		return errors.New("radius: give more than 0; nobody pays at a terminal otherwise")
	case w.TerminalsPerDay < 0 || w.TerminalDays < 0 || w.CustomersPerDay < 0 || w.CustomerDays < 0:
		return errors.New("frauds a day, and their days: give 0 or more")
	}
	return nil
}

// settle puts customers and terminals in their places.
func (w World) settle(r *rand.Rand) []customer {
	type place struct{ x, y float64 }
	terminals := make([]place, w.Terminals)
	for i := range terminals {
		terminals[i] = place{r.Float64() * side, r.Float64() * side}
	}
	customers := make([]customer, w.Customers)
	for i := range customers {
		at := place{r.Float64() * side, r.Float64() * side}
		c := customer{mean: 5 + 95*r.Float64(), perDay: 4 * r.Float64()}
		c.spread = c.mean / 2
		for j, t := range terminals {
			if math.Hypot(at.x-t.x, at.y-t.y) < w.Radius {
				c.near = append(c.near, uint32(j))
			}
		}
		customers[i] = c
	}
	return customers
}

func (c *customer) amount(r *rand.Rand) float64 {
	amount := r.NormFloat64()*c.spread + c.mean
	if amount < 0 {
		amount = r.Float64() * 2 * c.mean
	}
	return amount
}

// defraud labels the payments, the three scenarios one after the other.
func (w World) defraud(r *rand.Rand, all []Payment) {
	mark := func(p *Payment, scenario uint8) { p.Fraud, p.Scenario = true, scenario }
	for i := range all {
		if float64(all[i].Amount) > w.LargeAmount*100 {
			mark(&all[i], 1)
		}
	}
	terminals := w.spells(r, w.Terminals, w.TerminalsPerDay)
	customers := w.spells(r, w.Customers, w.CustomersPerDay)
	for i := range all {
		p := &all[i]
		d := int((p.At - w.Start.UnixMilli()) / day)
		if within(terminals[p.Terminal], d, w.TerminalDays) {
			mark(p, 2)
		}
		if within(customers[p.Customer], d, w.CustomerDays) && r.IntN(3) == 0 {
			p.Amount = int64(float64(p.Amount) * w.CustomerFraudTime)
			mark(p, 3)
		}
	}
}

// spells draws who is struck on which days.
func (w World) spells(r *rand.Rand, of, perDay int) map[uint32][]int {
	struck := map[uint32][]int{}
	for d := range w.Days {
		for range perDay {
			who := uint32(r.IntN(of))
			struck[who] = append(struck[who], d)
		}
	}
	return struck
}

func within(spells []int, d, days int) bool {
	return slices.ContainsFunc(spells, func(from int) bool { return d >= from && d < from+days })
}

// poisson draws by Knuth's method, which is quick for few a day.
func poisson(r *rand.Rand, mean float64) int {
	limit, n := math.Exp(-mean), 0
	for p := r.Float64(); p > limit; p *= r.Float64() {
		n++
	}
	return n
}

// Write writes payments as a file that [ReadFiles] reads.
func Write(out io.Writer, payments []Payment) error {
	w := bufio.NewWriter(out)
	fmt.Fprintln(w, "transaction_id,tx_datetime,customer_id,terminal_id,tx_amount,tx_fraud,tx_fraud_scenario")
	for i := range payments {
		p := &payments[i]
		fraud := 0
		if p.Fraud {
			fraud = 1
		}
		fmt.Fprintf(w, "%d,%s,%d,%d,%d.%02d,%d,%d\n", i, time.UnixMilli(p.At).UTC().Format(layouts[0]), p.Customer, p.Terminal,
			p.Amount/100, p.Amount%100, fraud, p.Scenario)
	}
	return w.Flush()
}
