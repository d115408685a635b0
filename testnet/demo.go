package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/replay"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules/industry"
)

// Demo is a whole network in one process that shows what it does.
type Demo struct {
	Nodes int
	Out   io.Writer
	Log   *slog.Logger
	// Stay keeps the network up after the story until the context ends.
	Stay bool

	net    *Local
	step   int
	begin  time.Time
	listed []string
}

// demoSeed makes the demo's list the same every time.
const demoSeed = 20250601

// Run tells the story. The network's files are in a temporary directory that is
// removed at the end.
func (d *Demo) Run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "risknet-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d.begin = time.Now()
	d.say("start %d nodes with their own keys, certificates and disks, and let them elect a leader", d.Nodes)
	startup, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	d.net, err = NewLocal(startup, Options{Dir: dir, Nodes: d.Nodes, Rules: industry.Source, Now: time.Now()}, d.Log)
	if d.net != nil {
		defer func() { err = errors.Join(err, d.net.Stop()) }()
	}
	if err != nil {
		return err
	}
	d.tell("%s leads; the founding commands and a starter set of industry rules are in", d.net.Leader())
	if err := d.story(ctx); err != nil {
		return err
	}
	if !d.Stay {
		return nil
	}
	d.say("the network stays up until Ctrl-C; profiles are in %s/profiles", dir)
	<-ctx.Done()
	return nil
}

func (d *Demo) story(ctx context.Context) error {
	for _, chapter := range []func(context.Context) error{
		d.importList, d.checkEverywhere, d.confirm, d.publishRule, d.killLeader, d.equalRoots, d.worth,
	} {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := chapter(ctx)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *Demo) say(format string, args ...any) {
	d.step++
	fmt.Fprintf(d.Out, "\n%d. %s (%.1fs)\n", d.step, fmt.Sprintf(format, args...), time.Since(d.begin).Seconds())
}

func (d *Demo) tell(format string, args ...any) {
	fmt.Fprintf(d.Out, "   %s\n", fmt.Sprintf(format, args...))
}

// demoList is the demo's own small blacklist, from addresses and names that are
// kept for documentation and belong to nobody.
func demoList() []string {
	r := rand.New(rand.NewPCG(demoSeed, 1))
	var list []string
	for i := range 200 {
		list = append(list, fmt.Sprintf("shop-%03d-%04d.example", i, r.IntN(10_000)))
	}
	return list
}

func (d *Demo) importList(ctx context.Context) error {
	d.say("member-1 reports %d fake web shops to its own node", len(demoList()))
	d.listed = demoList()
	return d.report(ctx, d.member(1), d.listed)
}

// confirm is what a second, independent voice does.
func (d *Demo) confirm(ctx context.Context) error {
	d.say("one institution's word is a reason to verify; the hub has a case of its own about one of the shops")
	if err := d.report(ctx, hubName, d.listed[7:8]); err != nil {
		return err
	}
	for _, planned := range d.net.Plan.Nodes {
		c, err := d.net.Client(planned.Institution, planned.Name)
		if err != nil {
			return err
		}
		err = d.expect(ctx, c, planned.Name, d.listed[7], true)
		c.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// worth plays made-up payments through a simulated network.
func (d *Demo) worth(ctx context.Context) error {
	w := replay.DefaultWorld()
	w.Days, w.Customers, w.Terminals = 60, 200, 300
	payments := w.Generate()
	d.say("what sharing is worth: %d made-up payments through ten institutions, on fake time", len(payments))
	result, err := replay.Run(ctx, payments, replay.Options{Institutions: 10, Delay: 7 * 24 * time.Hour, Life: 28 * 24 * time.Hour})
	if err != nil {
		return err
	}
	for _, name := range replay.Policies() {
		t := result.Policies[name]
		d.tell("%-17s catches %4d of %d frauds and stops %5d good payments", name, t.Caught(), result.Total(), t.Stopped)
	}
	return nil
}

// report reports domains to an institution's own node, and waits until all know.
func (d *Demo) report(ctx context.Context, institution string, domains []string) error {
	c, err := d.net.Client(institution, "")
	if err != nil {
		return err
	}
	defer c.Close()
	author, err := client.NewAuthor(ctx, c)
	if err != nil {
		return err
	}
	keys, err := c.Keyring(ctx)
	if err != nil {
		return err
	}
	template := client.NewReport(risk.KindDomain, time.Now())
	if err := template.Set("code", "3"); err != nil {
		return err
	}
	rows, err := template.OpenRows(strings.NewReader(strings.Join(domains, "\n")), time.Time{}, client.RowOptions{Format: client.FormatValues, Identity: risk.KindDomain.String()})
	if err != nil {
		return err
	}
	importer := &client.Importer{Template: template, Keys: keys, To: author,
		Reject: func(r client.Reject) error { return fmt.Errorf("line %d: %s", r.Line, r.Reason) }}
	result, err := importer.Run(ctx, rows)
	if err != nil {
		return err
	}
	d.tell("read %d, accepted %d, unchanged %d, rejected %d; visible from size %d on",
		result.Read, result.Accepted, result.Unchanged, result.Rejected, result.Size)
	return d.awaitSize(ctx, result.Size)
}

// member gives a member that exists at every number of nodes.
func (d *Demo) member(i int) string { return institutionOf(min(i, max(1, d.Nodes-1))) }

// awaitSize waits until every running node shows a size.
func (d *Demo) awaitSize(ctx context.Context, size uint64) error {
	for name, r := range d.net.running {
		if err := r.life.Load().AwaitSize(ctx, size); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (d *Demo) checkEverywhere(ctx context.Context) error {
	d.say("every node answers from its own copy")
	return d.checkAll(ctx, "pay."+d.listed[7], "shop.example.org")
}

// checkAll asks each running node about a listed and a clean domain.
func (d *Demo) checkAll(ctx context.Context, bad, good string) error {
	for _, planned := range d.net.Plan.Nodes {
		if d.net.Node(planned.Name) == nil {
			continue
		}
		c, err := d.net.Client(planned.Institution, planned.Name)
		if err != nil {
			return err
		}
		err = errors.Join(d.expect(ctx, c, planned.Name, bad, true), d.expect(ctx, c, planned.Name, good, false))
		c.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *Demo) expect(ctx context.Context, c *client.Client, name, domain string, listed bool) error {
	var q client.Question
	if err := q.Set("payee.domain", domain); err != nil {
		return err
	}
	answer, err := c.Check(ctx, &q)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	why := "nothing is known against it"
	if len(answer.Reasons) > 0 {
		why = answer.Reasons[0].Text
	}
	d.tell("%s: %-34s %-8s %s [size %d, age %d ms]", name, domain, answer.Advice, why, answer.Size, answer.AgeMs)
	if answer.Listed != listed {
		return fmt.Errorf("%s: %s: listed is %v, expected %v", name, domain, answer.Listed, listed)
	}
	return nil
}

const demoRule = `
  - id: demo-night-large
    phase: pre
    when: payment.currency == "CNY" && payment.amount >= 5000000 && payment.hour < 6
    advice: step_up
    reason:
      en: A payment of 50,000 yuan or more between midnight and six
      zh: 夜间大额交易
    mode: on
`

func (d *Demo) publishRule(ctx context.Context) error {
	d.say("the hub publishes a rule and puts it in force")
	version, err := d.publish(ctx, append(slices.Clone(industry.Source), demoRule...))
	if err != nil {
		return err
	}
	d.tell("rule set %d is in force on every node", version)
	return nil
}

// anyNode names a node that runs.
func (d *Demo) anyNode() string {
	for _, planned := range d.net.Plan.Nodes {
		if d.net.Node(planned.Name) != nil {
			return planned.Name
		}
	}
	return ""
}

// publish brings a rule set in force and waits until every node has it.
func (d *Demo) publish(ctx context.Context, source []byte) (uint32, error) {
	c, err := d.net.Client(hubName, d.anyNode())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	author, err := client.NewAuthor(ctx, c)
	if err != nil {
		return 0, err
	}
	version, err := c.PublishRules(ctx, author, source)
	if err != nil {
		return 0, err
	}
	receipt, err := author.Do(ctx, &risk.ActivateRules{Version: version}, nil, nil)
	if err != nil {
		return 0, err
	}
	return version, d.awaitSize(ctx, receipt.Leaf+1)
}

func (d *Demo) killLeader(ctx context.Context) error {
	leader := d.net.Leader()
	if d.Nodes < 3 || leader == "" {
		d.say("with fewer than three nodes there is no majority without the leader, so none is killed")
		return nil
	}
	d.say("kill the leader %s; checks go on, and the others elect another", leader)
	if err := d.net.Kill(leader); err != nil {
		return err
	}
	if err := d.checkAll(ctx, d.listed[42], "shop.example.org"); err != nil {
		return err
	}
	version, err := d.publish(ctx, industry.Source)
	if err != nil {
		return err
	}
	d.tell("%s leads now and has taken rule set %d", d.net.Leader(), version)
	d.say("start %s again; it catches up", leader)
	if err := d.net.Start(leader); err != nil {
		return err
	}
	if err := d.net.AwaitReady(ctx, leader); err != nil {
		return err
	}
	return d.checkAll(ctx, d.listed[42], "shop.example.org")
}

func (d *Demo) equalRoots(ctx context.Context) error {
	d.say("all nodes have the same ledger and the same state")
	size, roots := uint64(0), map[string]bool{}
	for _, r := range d.net.running {
		size = max(size, r.life.Load().Head().Size)
	}
	if err := d.awaitSize(ctx, size); err != nil {
		return err
	}
	for _, planned := range d.net.Plan.Nodes {
		head := d.net.Node(planned.Name).Head()
		d.tell("%s: size %d root %s", planned.Name, head.Size, head.Root)
		roots[fmt.Sprint(head.Size, head.Root)] = true
	}
	if len(roots) != 1 {
		return errors.New("the roots differ: a replica has diverged")
	}
	return nil
}
