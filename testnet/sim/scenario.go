package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Scenario is what happens to a network, and what must hold. It is written one
// sentence a line; # begins a comment. The whole language:
//
//	nodes 5 voters 3              first; without it 3 nodes, all voters
//	load 2/s                      commands and checks of the clients; 0 is quiet
//	for 3m                        how long it takes; without it to the last event
//
//	at 10s cut n1 n2              nothing passes, both ways
//	at 10s cut n1>n2              nothing passes from n1 to n2
//	at 10s isolate n3             cut from every other node
//	at 10s partition n1 n2 | n3   cut between the sides
//	at 10s slow n1>n2 64000       bytes a second
//	at 10s delay n1 n2 50ms 20ms  each segment, and up to so much more
//	at 10s lose n1 n2 5%          of segments, which TCP sends again
//	at 10s break n1 n2 1%         of segments, at which the connection breaks
//	at 10s repeat n1 n2 1%        of segments, whose answers are lost with the connection: it is asked again
//	at 10s crash n3               the process dies
//	at 10s crash n3 unsynced      the power fails: what was not synced is lost
//	at 20s restart n3
//	at 20s stop n3                as an operator stops it; restart starts it
//	at 10s pause n3               clock and network stand still
//	at 20s resume n3
//	at 10s skew n2 +20s           its clock is off by so much from now on
//	at 30s heal                   links are perfect, nodes go on and run, clocks are right
//	at 40s publish A              by the hub; lift A lifts it
//	at 50s expect healthy         within 30 s: all run and are ready, one leads, none is behind
//	at 50s expect leader          within 30 s, some node leads; expect no leader
//	at 50s expect n2 stale        at once; or ready
//	at 50s expect n2 listed A     at once, from its own state; or clear
//
// "all" in the place of two nodes is every link. A node may be named by its part: leader,
// follower, down; "it" is the one that crashed, stopped, was paused, skewed or isolated last.
type Scenario struct {
	Name   string
	Nodes  int
	Voters int
	Load   float64 // operations a second
	For    time.Duration
	Events []Event
}

// Event is one sentence and its time.
type Event struct {
	At    time.Duration
	Words []string
	Line  int
}

func (e Event) String() string { return fmt.Sprintf("at %s %s", e.At, strings.Join(e.Words, " ")) }

// verbs are what a sentence may begin with, and how many words it has at least.
var verbs = map[string]int{"cut": 2, "isolate": 2, "partition": 4, "slow": 3, "delay": 3, "lose": 3, "break": 3, "repeat": 3,
	"crash": 2, "restart": 2, "stop": 2, "pause": 2, "resume": 2, "skew": 3, "heal": 1, "publish": 2, "lift": 2, "expect": 2}

// Parse reads a scenario.
func Parse(name, text string) (*Scenario, error) {
	s := &Scenario{Name: name, Nodes: 3, Load: 2}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := s.sentence(words, i+1); err != nil {
			return nil, fmt.Errorf("%s:%d: %q: %w", name, i+1, strings.TrimSpace(line), err)
		}
	}
	s.Voters = cmp.Or(s.Voters, s.Nodes)
	slices.SortStableFunc(s.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	if n := len(s.Events); n > 0 {
		s.For = max(s.For, s.Events[n-1].At)
	}
	return s, nil
}

func (s *Scenario) sentence(words []string, line int) (err error) {
	if words[0] != "at" && len(words) < 2 {
		return fmt.Errorf("say how much")
	}
	switch words[0] {
	case "nodes":
		if s.Nodes, err = strconv.Atoi(words[1]); err == nil && len(words) == 4 && words[2] == "voters" {
			s.Voters, err = strconv.Atoi(words[3])
		}
	case "load":
		s.Load, err = strconv.ParseFloat(strings.TrimSuffix(words[1], "/s"), 64)
	case "for":
		s.For, err = time.ParseDuration(words[1])
	case "at":
		return s.event(words, line)
	default:
		err = fmt.Errorf("begin with nodes, load, for or at")
	}
	return err
}

func (s *Scenario) event(words []string, line int) error {
	if len(words) < 3 {
		return fmt.Errorf("write at TIME EVENT")
	}
	at, err := time.ParseDuration(words[1])
	if err != nil {
		return err
	}
	words = words[2:]
	least, known := verbs[words[0]]
	if !known {
		return fmt.Errorf("%s is not an event", words[0])
	}
	if len(words) < least {
		return fmt.Errorf("%s needs %d words more", words[0], least-len(words))
	}
	s.Events = append(s.Events, Event{At: at, Words: words, Line: line})
	return nil
}

// String writes the scenario, so that it can be read again.
func (s *Scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "nodes %d voters %d\nload %g/s\nfor %s\n", s.Nodes, s.Voters, s.Load, s.For)
	for _, e := range s.Events {
		fmt.Fprintln(&b, e)
	}
	return b.String()
}
