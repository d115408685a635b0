package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/redcon"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

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
	open = &meteredListener{open}
	server := redcon.NewServer("", door.answer, nil, nil)
	server.SetIdleClose(redisIdle)
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(open); err != nil && ctx.Err() == nil {
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
func (d *redisDoor) answer(conn redcon.Conn, cmd redcon.Command) {
	if m, ok := conn.NetConn().(*metered); ok {
		m.read = 0
	}
	name, args := redisName(cmd.Args[0]), cmd.Args[1:]
	switch name {
	case "PING":
		if len(args) > 0 {
			conn.WriteBulk(args[0])
			return
		}
		conn.WriteString("PONG")
	case "QUIT":
		conn.WriteString("OK")
		_ = conn.Close()
	case "SELECT", "CLIENT":
		conn.WriteString("OK") // there is one set of keys, and nothing to set
	case "INFO":
		conn.WriteBulkString(d.info())
	case "SISMEMBER", "SMISMEMBER", "RISK.CHECK":
		if err := d.mayAsk(conn); err != nil {
			conn.WriteError("NOPERM " + respLine(err))
			return
		}
		d.ask(conn, name, args)
	default:
		conn.WriteError(fmt.Sprintf("ERR unknown command %q; this door knows SISMEMBER, SMISMEMBER, RISK.CHECK, PING and INFO", name))
	}
}

// mayAsk holds the caller to the table of doors.
func (d *redisDoor) mayAsk(conn redcon.Conn) error {
	if d.plain {
		return nil // whoever is on this machine: see RedisConfig
	}
	return d.node.mayUse(d.caller(conn), doorRedis)
}

func (d *redisDoor) caller(conn redcon.Conn) Identity {
	if d.plain {
		return d.node.creds.Identity
	}
	if m, ok := conn.NetConn().(*metered); ok {
		if c, ok := m.Conn.(*tls.Conn); ok && len(c.ConnectionState().PeerCertificates) > 0 {
			id, _ := IdentityOf(c.ConnectionState().PeerCertificates[0]) // nobody's, if there is none
			return id
		}
	}
	return Identity{}
}

func (d *redisDoor) ask(conn redcon.Conn, name string, args [][]byte) {
	switch {
	case name == "SISMEMBER" && len(args) == 2:
		listed, err := d.member(args[0], args[1])
		writeMember(conn, listed, err)
	case name == "SMISMEMBER" && len(args) >= 2 && len(args) <= 1+redisMembers:
		d.members(conn, args[0], args[1:])
	case name == "RISK.CHECK" && len(args) > 0:
		d.check(conn, args)
	default:
		conn.WriteError("ERR wrong number of arguments; it is SISMEMBER risk:KIND VALUE, SMISMEMBER risk:KIND VALUE … (up to " +
			strconv.Itoa(redisMembers) + "), RISK.CHECK [ROLE.]KIND=VALUE … [FIELD=VALUE …]")
	}
}

func writeMember(conn redcon.Conn, listed bool, err error) {
	switch {
	case err != nil:
		conn.WriteError("ERR " + respLine(err))
	case listed:
		conn.WriteInt(1)
	default:
		conn.WriteInt(0)
	}
}

// members answers all or nothing: a client takes an array for whole.
func (d *redisDoor) members(conn redcon.Conn, key []byte, values [][]byte) {
	found := make([]bool, len(values))
	for i, value := range values {
		listed, err := d.member(key, value)
		if err != nil {
			conn.WriteError(fmt.Sprintf("ERR value %d: %s", i+1, respLine(err)))
			return
		}
		found[i] = listed
	}
	conn.WriteArray(len(found))
	for _, listed := range found {
		writeMember(conn, listed, nil)
	}
}

// member reports whether a listing in force speaks about a value. There is no place in
// the answer to say that something is wrong, so what is not listed in a view that is
// too old, or cannot be read, is an error and never a no.
func (d *redisDoor) member(key, value []byte) (bool, error) {
	kind, ok := d.kinds[string(key)]
	if !ok {
		return false, fmt.Errorf("key: %q is not risk:KIND with a kind such as ip, phone or account", key)
	}
	if err := d.node.lacksKey(); err != nil {
		return false, err
	}
	scratch := d.checks.scratch.Get().(*checkScratch)
	defer d.checks.scratch.Put(scratch)
	for {
		keys := d.node.keys.Load()
		q, err := &scratch.query, error(nil)
		scratch.asked, err = keys.ring.Ask(scratch.asked[:0], kind, textOf(value), keys.scopes)
		if err != nil {
			return false, err
		}
		q.Payment, q.MaxAge = risk.Payment{}, 0
		q.Subjects = append(q.Subjects[:0], check.Subject{Kind: kind, Role: risk.RoleOther, Asked: scratch.asked})
		listed, stale, err := d.node.checker.Member(q, &scratch.verdict)
		switch {
		case err != nil:
			return false, err
		case d.node.keys.Load().scopesVersion != keys.scopesVersion:
			continue // see checkService.answer
		case stale && !listed:
			return false, errors.New("this node has lost touch with the others; ask another one")
		}
		return listed, nil
	}
}

// check answers a whole check as JSON. Arguments are those of risknet check: subjects
// as payee.account=…, and the payment's fields as amount=….
func (d *redisDoor) check(conn redcon.Conn, args [][]byte) {
	req, err := redisRequest(args)
	if err == nil {
		var resp *apiv1.CheckResponse
		if resp, err = d.checks.answerMessage(context.Background(), req, d.caller(conn)); err == nil {
			var text []byte
			if text, err = (protojson.MarshalOptions{UseProtoNames: true}).Marshal(resp); err == nil {
				conn.WriteBulk(text)
				return
			}
		}
	}
	conn.WriteError("ERR " + respLine(errors.New(status.Convert(err).Message())))
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
		if into := fields[name]; into != nil {
			*into = value
			continue
		}
		if name == "amount" {
			amount, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("amount: %q is not a whole number of minor units", value)
			}
			req.Payment.Amount = amount
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

// meteredListener bounds what a caller may send before it is a whole command: the
// protocol's own lengths go up to half a gigabyte.
type meteredListener struct{ net.Listener }

func (l *meteredListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &metered{Conn: conn}, nil
}

type metered struct {
	net.Conn
	read int // since the last whole command; of the one goroutine that reads
}

var errLongCommand = fmt.Errorf("more than %d bytes and no whole command", redisCommand)

func (m *metered) Read(p []byte) (int, error) {
	if m.read > redisCommand {
		return 0, errLongCommand
	}
	n, err := m.Conn.Read(p)
	m.read += n
	return n, err
}
