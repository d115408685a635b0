package node

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/risk"
)

// redisDoor answers who has kept a blacklist in a Redis set until now, and changes
// nothing but an address. It speaks RESP 2: SISMEMBER and SMISMEMBER on the keys
// risk:<kind>, RISK.CHECK, PING and INFO.
type redisDoor struct {
	node   *Node
	checks *checkService
	plain  bool
	kinds  map[string]risk.Kind // by key
}

const (
	redisKey = "risk:"
	// redisMembers is how many values one SMISMEMBER may name.
	redisMembers = 1024
	// redisCommand is how many bytes one command may have, with what is behind it in
	// the same pipeline.
	redisCommand = 1 << 20
	redisIdle    = 10 * time.Minute
)

// serveRedis answers at the Redis door, if it is open, until the context ends.
func (n *Node) serveRedis(ctx context.Context) error {
	if n.listeners.redis == nil {
		return nil
	}
	door := newRedisDoor(n)
	open := n.listeners.redis
	if !door.plain {
		open = tls.NewListener(open, n.creds.ServerTLS(atRedis))
	}
	if err := door.serve(ctx, open); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// remembered is of how many tokens a node with a Redis door knows by heart that they
// are listed: 20 bytes each.
const remembered = 2 << 20

func (n *Node) redisMembers() int {
	if n.cfg.Listen.Redis == "" {
		return 0
	}
	return remembered
}

func newRedisDoor(n *Node) *redisDoor {
	d := &redisDoor{node: n, checks: newCheckService(n), plain: n.cfg.Redis.Plain, kinds: map[string]risk.Kind{}}
	for kind := risk.Kind(1); kind < risk.Kinds; kind++ {
		if kind.Valid() {
			d.kinds[redisKey+kind.String()] = kind
		}
	}
	return d
}

// redisNames are commands as clients write them.
var redisNames = map[string]string{"SISMEMBER": "SISMEMBER", "sismember": "SISMEMBER", "SMISMEMBER": "SMISMEMBER", "smismember": "SMISMEMBER",
	"RISK.CHECK": "RISK.CHECK", "risk.check": "RISK.CHECK"}

func redisName(word []byte) string {
	if name, ok := redisNames[string(word)]; ok { // without a copy
		return name
	}
	return strings.ToUpper(string(word))
}

// answer runs one command.
func (d *redisDoor) answer(c *respConn, args [][]byte) {
	name, args := redisName(args[0]), args[1:]
	switch name {
	case "PING":
		if len(args) > 0 {
			c.bulk(args[0])
			return
		}
		c.string("PONG")
	case "QUIT":
		c.string("OK")
		c.closing = true
	case "SELECT", "CLIENT":
		c.string("OK") // there is one set of keys, and nothing to set
	case "INFO":
		c.bulk([]byte(d.info()))
	case "SISMEMBER", "SMISMEMBER", "RISK.CHECK":
		if err := d.mayAsk(c); err != nil {
			c.error("NOPERM " + respLine(err))
			return
		}
		d.ask(c, name, args)
	default:
		c.error(fmt.Sprintf("ERR unknown command %q; this door knows SISMEMBER, SMISMEMBER, RISK.CHECK, PING and INFO", name))
	}
}

// mayAsk holds the caller to the table of doors.
func (d *redisDoor) mayAsk(c *respConn) error {
	if d.plain {
		return nil // whoever is on this machine: see RedisConfig
	}
	return d.node.mayUse(d.caller(c), doorRedis)
}

func (d *redisDoor) caller(c *respConn) Identity {
	if d.plain {
		return d.node.creds.Identity
	}
	if conn, ok := c.Conn.(*tls.Conn); ok && len(conn.ConnectionState().PeerCertificates) > 0 {
		id, _ := IdentityOf(conn.ConnectionState().PeerCertificates[0]) // nobody's, if there is none
		return id
	}
	return Identity{}
}

func (d *redisDoor) ask(c *respConn, name string, args [][]byte) {
	switch {
	case name == "SISMEMBER" && len(args) == 2, name == "SMISMEMBER" && len(args) >= 2 && len(args) <= 1+redisMembers:
		kind, ok := d.kinds[string(args[0])]
		if !ok {
			c.error(fmt.Sprintf("ERR key: %q is not risk:KIND with a kind such as ip, phone or account", args[0]))
			return
		}
		for _, value := range args[1:] {
			c.asked = append(c.asked, memberAsked{kind: kind, value: value})
		}
		if name == "SISMEMBER" {
			d.answerMembers(c)
		} else {
			d.answerArray(c)
		}
	case name == "RISK.CHECK" && len(args) > 0:
		d.check(c, args)
	default:
		c.error("ERR wrong number of arguments; it is SISMEMBER risk:KIND VALUE, SMISMEMBER risk:KIND VALUE … (up to " +
			strconv.Itoa(redisMembers) + "), RISK.CHECK [ROLE.]KIND=VALUE … [FIELD=VALUE …]")
	}
}

// memberAsked is whether a listing in force speaks about a value.
type memberAsked struct {
	kind   risk.Kind
	value  []byte
	end    int // of its tokens among those of all
	listed bool
	err    error
}

// membersAtOnce is how many single questions of a pipeline are looked up together.
const membersAtOnce = 128

// answerMembers answers what was gathered, each by itself.
func (d *redisDoor) answerMembers(c *respConn) {
	if len(c.asked) == 0 {
		return
	}
	refused := d.mayAsk(c)
	if refused == nil {
		d.lookUp(c.asked)
	}
	for i := range c.asked {
		switch one := &c.asked[i]; {
		case refused != nil:
			c.error("NOPERM " + respLine(refused))
		case one.err != nil:
			c.error("ERR " + respLine(one.err))
		default:
			c.member(one.listed)
		}
	}
	c.asked = c.asked[:0]
}

// answerArray answers all or nothing: a client takes an array for whole.
func (d *redisDoor) answerArray(c *respConn) {
	d.lookUp(c.asked)
	list := c.asked
	c.asked = c.asked[:0]
	for i := range list {
		if list[i].err != nil {
			c.error(fmt.Sprintf("ERR value %d: %s", i+1, respLine(list[i].err)))
			return
		}
	}
	c.array(len(list))
	for i := range list {
		c.member(list[i].listed)
	}
}

var errOutOfTouch = errors.New("this node has lost touch with the others; ask another one")

// lookUp answers from what the node knows by heart, and asks [redisDoor.member] about
// the rest.
func (d *redisDoor) lookUp(list []memberAsked) {
	scratch := d.checks.scratch.Get().(*checkScratch)
	defer d.checks.scratch.Put(scratch)
	keys, from := d.node.keys.Load(), 0
	scratch.asked = scratch.asked[:0]
	for i := range list {
		one := &list[i]
		scratch.asked, one.err = keys.ring.Ask(scratch.asked, one.kind, textOf(one.value), keys.scopes)
		one.end = len(scratch.asked)
	}
	scratch.known = slices.Grow(scratch.known[:0], len(scratch.asked))[:len(scratch.asked)]
	stale, err := d.node.checker.Recall(scratch.asked, scratch.known)
	sure := err == nil && d.node.lacksKey() == nil && d.node.keys.Load().scopesVersion == keys.scopesVersion // see checkService.answer
	for i := range list {
		one := &list[i]
		known := check.Unlisted
		for _, k := range scratch.known[from:one.end] {
			known = max(known, k)
		}
		from = one.end
		switch {
		case one.err != nil:
		case !sure || known == check.Unread:
			one.listed, one.err = d.member(scratch, one.kind, one.value)
		case known == check.Listed:
			one.listed = true
		case stale:
			one.err = errOutOfTouch
		}
	}
}

// member reports whether a listing in force speaks about a value. There is no place in
// the answer to say that something is wrong, so what is not listed in a view that is
// too old, or cannot be read, is an error and never a no.
func (d *redisDoor) member(scratch *checkScratch, kind risk.Kind, value []byte) (bool, error) {
	if err := d.node.lacksKey(); err != nil {
		return false, err
	}
	for {
		keys := d.node.keys.Load()
		q := &scratch.query
		asked, err := keys.ring.Ask(nil, kind, textOf(value), keys.scopes)
		if err != nil {
			return false, err
		}
		q.Payment, q.MaxAge = risk.Payment{}, 0
		q.Subjects = append(q.Subjects[:0], check.Subject{Kind: kind, Role: risk.RoleOther, Asked: asked})
		listed, stale, err := d.node.checker.Member(q, &scratch.verdict)
		if err == nil {
			err = d.node.lacksKey() // see checkService.answer
		}
		switch {
		case err != nil:
			return false, err
		case d.node.keys.Load().scopesVersion != keys.scopesVersion:
			continue // likewise
		case stale && !listed:
			return false, errOutOfTouch
		}
		return listed, nil
	}
}

// check answers a whole check as JSON. Arguments are those of risknet check: subjects
// as payee.account=…, and the payment's fields as amount=….
func (d *redisDoor) check(c *respConn, args [][]byte) {
	req, err := redisRequest(args)
	if err == nil {
		var resp *apiv1.CheckResponse
		if resp, err = d.checks.answerMessage(context.Background(), req, d.caller(c)); err == nil {
			var text []byte
			if text, err = json.Marshal(apiv1.AnswerOf(resp)); err == nil {
				c.bulk(text)
				return
			}
		}
	}
	c.error("ERR " + respLine(errors.New(status.Convert(err).Message())))
}

func redisRequest(args [][]byte) (*apiv1.CheckRequest, error) {
	req := &apiv1.CheckRequest{Payment: &apiv1.Payment{}}
	fields := map[string]*string{"transaction_id": &req.Payment.TransactionId, "currency": &req.Payment.Currency, "mcc": &req.Payment.Mcc,
		"channel": &req.Payment.Channel, "scene": &req.Payment.Scene, "country": &req.Payment.Country,
		"payer_country": &req.Payment.PayerCountry, "phase": &req.Payment.Phase, "purpose": &req.Payment.Purpose}
	for _, arg := range args {
		name, value, ok := strings.Cut(string(arg), "=")
		if !ok {
			return nil, fmt.Errorf("argument %q: is not NAME=VALUE", name)
		}
		name = strings.ReplaceAll(name, "-", "_") // as flags are written
		if into := fields[name]; into != nil {
			*into = value
			continue
		}
		switch name {
		case "amount":
			amount, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("amount: %q is not a whole number of minor units", value)
			}
			req.Payment.Amount = amount
			continue
		case "time":
			at, err := time.Parse(time.RFC3339, value)
			if err != nil {
				return nil, fmt.Errorf("time: %q is not a time; write 2026-01-31T12:00:00+08:00", value)
			}
			req.Payment.TimeMs = at.UnixMilli()
			continue
		}
		role, kind, both := strings.Cut(name, ".")
		if !both {
			role, kind = "", name
		}
		req.Subjects = append(req.Subjects, &apiv1.Subject{Kind: kind, Role: role, Value: value})
	}
	return req, nil
}

// info is what monitoring tools read.
func (d *redisDoor) info() string {
	n := d.node
	ready := 1
	if n.ready() != nil {
		ready = 0
	}
	return fmt.Sprintf("# Server\r\nredis_mode:standalone\r\nrisknet_node:%s\r\nrisknet_ready:%d\r\nrisknet_size:%d\r\nrisknet_age_ms:%d\r\nrisknet_listings:%d\r\n",
		n.cfg.Name, ready, n.Head().Size, min(n.checker.Age(), neverFresh).Milliseconds(), n.store.Count())
}

// respLine keeps an error within its line: RESP ends one at a line break.
func respLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\r' || r == '\n' }), " ")
}
