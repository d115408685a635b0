package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// crowd is a source of so many listed tokens, by number.
type crowd int

func (crowd) Standing(uint64, risk.Kind, risk.Token) ([]risk.Standing, check.Sum, error) {
	return nil, 0, errors.New("no benchmark asks for somebody who is listed")
}

func (n crowd) Tokens(_ uint64, yield func(kind risk.Kind, token risk.Token, sum check.Sum) error) error {
	for i := range int(n) {
		if err := yield(kinds[i%len(kinds)], tokenOf(uint64(i)), 0); err != nil {
			return err
		}
	}
	return nil
}

var kinds = [...]risk.Kind{risk.KindAccount, risk.KindMerchant, risk.KindIP, risk.KindDevice, risk.KindTerminal, risk.KindMiniProgram}

var roles = [...]risk.Role{risk.RolePayer, risk.RolePayee, risk.RoleOther}

// tokenOf spreads a number over all bits, as a keyed hash does (splitmix64).
func tokenOf(n uint64) (t risk.Token) {
	for half := range 2 {
		z := (2*n + uint64(half) + 1) * 0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(t[8*half:], z^z>>31)
	}
	return t
}

// newChecker is what a node answers with, over so many listings.
func newChecker(ctx context.Context, listings int) (*check.Checker, error) {
	c, err := check.New(check.Config{MaxAge: time.Hour})
	if err != nil {
		return nil, err
	}
	if err := c.Reset(ctx, crowd(listings), check.Batch{Head: risk.Head{Size: 1}}); err != nil {
		return nil, err
	}
	c.SetFresh(time.Now())
	return c, nil
}

// ruleSet is one rule set for all sides.
type ruleSet struct {
	name        string
	version     uint32 // differs from that of every other one
	text        []byte
	expressions []string
}

// bench are the rules of `risknet bench check --rules N`.
func bench(n int) ruleSet {
	return ruleSet{fmt.Sprintf("%d rules of bench check", n), uint32(2 * n), client.BenchRules(n), expressions(client.BenchRules(n))}
}

// expressions reads them back, so that every side has the same.
func expressions(text []byte) (list []string) {
	for line := range strings.Lines(string(text)) {
		if _, rest, found := strings.Cut(line, "when: '"); found {
			when, _, _ := strings.Cut(rest, "'")
			list = append(list, when)
		}
	}
	return list
}

// asked are rules of which none can be ruled out by a value that others share: each
// side has to look at each of them.
func asked(n int) ruleSet {
	var text strings.Builder
	fmt.Fprintf(&text, "name: asked-%d\non_error: {pre: step_up, in: step_up, post: observe}\nrules:\n", n)
	for i := range n {
		fmt.Fprintf(&text, "- {id: a-%d, phase: in, when: 'payment.amount > %d && payment.amount %% %d == 1', advice: observe, reason: {en: a, zh: a}}\n", i, 100+i, 1000+i)
	}
	return ruleSet{fmt.Sprintf("%d rules, each of which must be asked", n), uint32(2*n + 1), []byte(text.String()), expressions([]byte(text.String()))}
}

// payment is what all sides are asked about.
func payment() risk.Payment {
	return risk.Payment{Time: 1_700_000_000_000, Amount: 431_500, Currency: "CNY", MCC: "5411", Channel: "netsunion",
		Country: "CN", PayerCountry: "CN", Phase: risk.PhaseIn}
}

// sixSubjects are as those of a payment: none of them is listed.
func sixSubjects() *check.Query {
	q := &check.Query{Payment: payment()}
	for i, kind := range kinds {
		q.Subjects = append(q.Subjects, check.Subject{Kind: kind, Role: roles[i%len(roles)], Asked: []risk.Asked{{Kind: kind}}})
	}
	return q
}

// subjectPool are tokens that nobody lists, more than fit into the caches near the
// processor would be those of the filter.
var subjectPool = func() []risk.Token {
	pool := make([]risk.Token, 1<<16)
	for i := range pool {
		pool[i] = tokenOf(1<<50 + uint64(i))
	}
	return pool
}()

// checkSide measures a whole check. The rules are put in force at each go: one checker
// serves several sides.
func checkSide(each time.Duration, c *check.Checker, r ruleSet) func() (float64, error) {
	at := 0
	return func() (float64, error) {
		c.Absorb(check.Batch{Head: risk.Head{Size: 1}, Rules: []check.RuleSet{{Version: r.version, Text: r.text}}})
		if c.Load().ProgramVersion != r.version {
			return 0, fmt.Errorf("%s do not compile", r.name)
		}
		q, v := sixSubjects(), &risk.Verdict{}
		return nanos(each, func(int) error {
			for s := range q.Subjects {
				q.Subjects[s].Asked[0].Token = subjectPool[at%len(subjectPool)]
				at++
			}
			if err := c.Check(q, v); err != nil || v.Listed || v.Advice != risk.Allow {
				return fmt.Errorf("the check is not clean: advice %s, listed %v (%v)", v.Advice, v.Listed, err)
			}
			return nil
		})
	}
}

// allocations counts those of one call.
func allocations(do func() error) (float64, error) {
	const runs = 2000
	var before, after runtime.MemStats
	if err := do(); err != nil {
		return 0, err
	}
	runtime.ReadMemStats(&before)
	for range runs {
		if err := do(); err != nil {
			return 0, err
		}
	}
	runtime.ReadMemStats(&after)
	return float64((after.Mallocs - before.Mallocs) / runs), nil
}
