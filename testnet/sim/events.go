package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// happen makes an event happen.
func (w *World) happen(e Event) error {
	w.story.tell(w.now(), strings.Join(e.Words, " "))
	w.still()
	verb, rest := e.Words[0], e.Words[1:]
	switch verb {
	case "heal":
		w.heal()
		return nil
	case "cut", "slow", "delay", "lose", "break", "repeat":
		return w.fault(verb, rest)
	case "isolate":
		m, err := w.find(rest[0])
		if err == nil {
			w.it = m
			err = w.part([]string{m.Name}, w.others(m.Name))
		}
		return err
	case "partition":
		i := slices.Index(rest, "|")
		if i < 0 {
			return errors.New("partition: put | between the sides")
		}
		return w.part(rest[:i], rest[i+1:])
	case "publish", "lift":
		return w.command(verb, rest[0])
	case "expect":
		return w.expect(rest)
	default:
		return w.machineEvent(verb, rest)
	}
}

// machineEvent is one that a machine suffers. What is so already stays so.
func (w *World) machineEvent(verb string, rest []string) error {
	m, err := w.find(rest[0])
	if err != nil {
		return err
	}
	w.it = m
	switch {
	case verb == "crash" && m.life != nil:
		return m.crash(len(rest) > 1 && rest[1] == "unsynced")
	case verb == "stop" && m.life != nil:
		return m.halt()
	case verb == "restart" && m.life == nil:
		w.restart(m)
	case verb == "pause" || verb == "resume":
		if m.life != nil {
			m.clock.freeze(verb == "pause")
			w.Switch.Dark(m.Name, verb == "pause")
		}
	case verb == "skew":
		offset, err := time.ParseDuration(rest[1])
		if err != nil {
			return err
		}
		w.watch.skewed(m.clock.set(offset))
	}
	return nil
}

// heal ends every fault.
func (w *World) heal() {
	w.Switch.Heal()
	for _, m := range w.machines {
		w.watch.skewed(m.clock.set(0))
		if m.life == nil {
			w.restart(m)
			continue
		}
		m.clock.freeze(false)
		w.Switch.Dark(m.Name, false)
	}
}

// restart starts a node that is down. What its crash left must be enough.
func (w *World) restart(m *machine) {
	if err := m.restart(); err != nil {
		w.watch.report("I4", "%s does not come back: %v", m.Name, err)
	}
}

func (w *World) others(name string) []string {
	var list []string
	for _, m := range w.machines {
		if m.Name != name {
			list = append(list, m.Name)
		}
	}
	return list
}

// part cuts between two sides, both ways.
func (w *World) part(left, right []string) error {
	for _, a := range left {
		for _, b := range right {
			if err := w.fault("cut", []string{a, b}); err != nil {
				return err
			}
		}
	}
	return nil
}

// fault changes links: "n1 n2" both ways, "n1>n2" one way, "all" every one.
func (w *World) fault(verb string, words []string) error {
	links, rest, err := w.between(words)
	if err != nil {
		return err
	}
	change, err := faultOf(verb, rest)
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	for _, l := range links {
		w.Switch.Set(l[0], l[1], change)
	}
	return nil
}

func (w *World) between(words []string) (links [][2]string, rest []string, err error) {
	if words[0] == "all" {
		for _, a := range w.machines {
			for _, b := range w.others(a.Name) {
				links = append(links, [2]string{a.Name, b})
			}
		}
		return links, words[1:], nil
	}
	if from, to, oneWay := strings.Cut(words[0], ">"); oneWay {
		a, err := w.find(from)
		if err != nil {
			return nil, nil, err
		}
		b, err := w.find(to)
		if err != nil {
			return nil, nil, err
		}
		return [][2]string{{a.Name, b.Name}}, words[1:], nil
	}
	if len(words) < 2 {
		return nil, nil, errors.New("name two nodes")
	}
	a, err := w.find(words[0])
	if err != nil {
		return nil, nil, err
	}
	b, err := w.find(words[1])
	if err != nil {
		return nil, nil, err
	}
	return [][2]string{{a.Name, b.Name}, {b.Name, a.Name}}, words[2:], nil
}

// faultOf reads what happens to a link.
func faultOf(verb string, rest []string) (func(*Faults), error) {
	if verb == "cut" {
		return func(f *Faults) { f.Cut = true }, nil
	}
	if len(rest) == 0 {
		return nil, errors.New("say how much")
	}
	switch verb {
	case "slow":
		n, err := strconv.Atoi(rest[0])
		return func(f *Faults) { f.BytesPerSecond = n }, err
	case "delay":
		delay, err := time.ParseDuration(rest[0])
		jitter := time.Duration(0)
		if err == nil && len(rest) > 1 {
			jitter, err = time.ParseDuration(rest[1])
		}
		return func(f *Faults) { f.Delay, f.Jitter = delay, jitter }, err
	}
	percent, err := strconv.ParseFloat(strings.TrimSuffix(rest[0], "%"), 64)
	p := percent / 100
	switch verb {
	case "lose":
		return func(f *Faults) { f.Loss = p }, err
	case "break":
		return func(f *Faults) { f.Break = p }, err
	default:
		return func(f *Faults) { f.Unanswered = p }, err
	}
}
