package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/risknet/risknet/node"
)

// Kinds are the faults that a seed may be about; mixed takes any of the others,
// several at a time.
var Kinds = []string{"mixed", "crash", "unsynced", "all-unsynced", "rolling", "pause", "cut", "one-way", "partition", "slow", "delay",
	"lose", "break", "repeat", "skew"}

// Short and Long are how much time a seed takes: seeds below FirstLong are short.
const (
	Short     = 3 * time.Minute
	Long      = time.Hour
	FirstLong = 100
)

// Generate makes a seed's scenario: one kind of fault, again and again, each time
// for a while, and after each time the network must be well.
func Generate(seed uint64) *Scenario {
	g := &generator{rand.New(rand.NewPCG(seed, 6)), &strings.Builder{}, 3, 3, 0}
	kind, length, load := "mixed", Short, 2.0
	if seed >= FirstLong {
		kind, length, load = Kinds[seed%uint64(len(Kinds))], Long, []float64{0.05, 0.2, 0.5}[g.IntN(3)]
	}
	if g.IntN(3) == 0 {
		g.nodes, g.voters = 5, 3+2*g.IntN(2)
	}
	fmt.Fprintf(g.text, "nodes %d voters %d\nload %g/s\nfor %s\n", g.nodes, g.voters, load, length)
	for g.at = g.between(3, 20); g.at < length-2*time.Minute; {
		g.episode(kind)
		if seed >= FirstLong {
			g.at += g.between(10, 180)
		}
	}
	s, err := Parse(fmt.Sprintf("seed-%d-%s", seed, kind), g.text.String())
	if err != nil {
		panic(err) // we have just written it
	}
	return s
}

type generator struct {
	*rand.Rand
	text          *strings.Builder
	nodes, voters int
	at            time.Duration
}

func (g *generator) between(low, high int) time.Duration {
	return time.Duration(low)*time.Second + time.Duration(g.Int64N(int64(high-low)*int64(time.Second))).Truncate(time.Millisecond)
}

func (g *generator) say(format string, args ...any) {
	fmt.Fprintf(g.text, "at %s %s\n", g.at, fmt.Sprintf(format, args...))
}

// node names one, often by its part, because leaders have most to lose.
func (g *generator) node() string {
	switch g.IntN(4) {
	case 0:
		return "leader"
	case 1:
		return "follower"
	default:
		return fmt.Sprintf("n%d", 1+g.IntN(g.nodes))
	}
}

func (g *generator) two() (a, b string) {
	i := g.IntN(g.nodes)
	j := (i + 1 + g.IntN(g.nodes-1)) % g.nodes
	return fmt.Sprintf("n%d", i+1), fmt.Sprintf("n%d", j+1)
}

// episode is some faults, a heal and the promise after it.
func (g *generator) episode(kind string) {
	faults := 1
	if kind == "mixed" {
		faults = 1 + g.IntN(3)
	}
	for range faults {
		one := kind
		if kind == "mixed" {
			one = Kinds[1+g.IntN(len(Kinds)-1)]
		}
		g.fault(one)
		g.at += g.between(0, 10)
	}
	g.at += g.between(2, 60)
	g.say("heal")
	g.say("expect healthy")
	g.at += 5 * time.Second
}

func (g *generator) fault(kind string) {
	a, b := g.two()
	link := []string{a + " " + b, "all", a + ">" + b}[g.IntN(3)]
	switch kind {
	case "crash":
		g.crash("")
	case "unsynced":
		g.crash(" unsynced")
	case "all-unsynced":
		for i := range g.nodes {
			g.say("crash n%d unsynced", i+1)
		}
	case "rolling":
		for i := range g.nodes {
			g.say("stop n%d", i+1)
			g.at += g.between(1, 10)
			g.say("restart n%d", i+1)
			g.at += g.between(1, 10)
		}
	case "pause":
		g.say("pause %s", g.node())
	case "cut":
		g.say("cut %s %s", a, b)
	case "one-way":
		g.say("cut %s>%s", a, b)
	case "partition":
		g.partition()
	case "slow":
		g.say("slow %s %d", link, 2000+g.IntN(50_000))
	case "delay":
		g.say("delay %s %dms %dms", link, g.IntN(200), g.IntN(800))
	case "skew":
		g.say("skew %s %s", g.node(), []string{"20s", "-20s", "5m", "-5m", "-24h", "24h"}[g.IntN(6)])
	default: // lose, break, repeat
		g.say("%s %s %d%%", kind, link, 1+g.IntN(10))
	}
}

// crash may come back before the heal.
func (g *generator) crash(how string) {
	g.say("crash %s%s", g.node(), how)
	if g.IntN(2) == 0 {
		g.at += g.between(1, 30)
		g.say("restart it")
	}
}

func (g *generator) partition() {
	if g.IntN(3) == 0 {
		g.say("isolate %s", g.node())
		return
	}
	order, sides := g.Perm(g.nodes), [2][]string{}
	cut := 1 + g.IntN(g.nodes-1)
	for i, n := range order {
		side := 0
		if i >= cut {
			side = 1
		}
		sides[side] = append(sides[side], fmt.Sprintf("n%d", n+1))
	}
	g.say("partition %s | %s", strings.Join(sides[0], " "), strings.Join(sides[1], " "))
}

// Unhurried has a node beat its heart and ask its leader more seldom than it is shipped to do, so that
// an hour of a long seed costs less. Everything else stays as it is.
func Unhurried(c *node.Config) {
	c.Raft.Heartbeat, c.Raft.Election, c.Raft.Lease = 4*time.Second, 4*time.Second, 2*time.Second
	c.Raft.CommitTimeout = time.Second
	c.Stale.AskEvery = 2 * time.Second
}
