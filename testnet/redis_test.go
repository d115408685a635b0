package testnet

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// Whoever asks a Redis set today changes an address: go-redis is the client.
func TestTheRedisDoorAnswersAsASet(t *testing.T) {
	n := start(t, 2, 1)
	r := n.reports("member-1", "n2", risk.KindIP, "203.0.113.0/28", "198.51.100.7")
	n.reports("hub", "n1", risk.KindEmail, "mallory@example.com")
	planned, err := n.planned("n2")
	n.must(err)
	n.check("n2", "ip", "198.51.100.7", r.Size+1)
	c := redis.NewClient(&redis.Options{Addr: planned.Redis})
	defer c.Close()
	if pong, err := c.Ping(n.ctx).Result(); err != nil || pong != "PONG" {
		t.Fatalf("%q, %v", pong, err)
	}
	for value, want := range map[string]bool{"198.51.100.7": true, "203.0.113.9": true, "203.0.113.16": false, " 198.51.100.7 ": true} {
		if got, err := c.SIsMember(n.ctx, "risk:ip", value).Result(); err != nil || got != want {
			t.Errorf("%q: %v, %v", value, got, err)
		}
	}
	many, err := c.SMIsMember(n.ctx, "risk:email", "a@example.com", "Mallory@example.com", "mallory@EXAMPLE.com").Result()
	if err != nil || len(many) != 3 || many[0] || many[1] || !many[2] {
		t.Errorf("%v, %v", many, err)
	}
	pipe := c.Pipeline()
	for range 200 {
		pipe.SIsMember(n.ctx, "risk:ip", "198.51.100.7")
	}
	answers, err := pipe.Exec(n.ctx)
	if err != nil || len(answers) != 200 || !answers[199].(*redis.BoolCmd).Val() {
		t.Errorf("%d answers, %v", len(answers), err)
	}
	whole, err := c.Do(n.ctx, "RISK.CHECK", "payee.ip=198.51.100.7", "amount=1000", "currency=CNY", "transaction-id=T-9", "time=2026-01-31T12:00:00+08:00").Text()
	n.must(err)
	var answer apiv1.Answer // as risknet check -o json has it
	if err := json.Unmarshal([]byte(whole), &answer); err != nil || answer.Advice != "step_up" || !answer.Listed ||
		answer.Size == 0 || len(answer.Root) != 64 || len(answer.Reasons) == 0 {
		t.Errorf("%s, %v", whole, err)
	}
	if info, err := c.Info(n.ctx).Result(); err != nil || !strings.Contains(info, "risknet_ready:1") {
		t.Errorf("%s, %v", info, err)
	}
	for _, wrong := range [][]any{{"SISMEMBER", "ip", "1.2.3.4"}, {"SISMEMBER", "risk:nothing", "x"}, {"SISMEMBER", "risk:ip", "x"}, {"SISMEMBER", "risk:ip"},
		{"SMISMEMBER", "risk:ip", "1.2.3.4", "x"}, {"RISK.CHECK"}, {"RISK.CHECK", "ip"}, {"RISK.CHECK", "ip=1.2.3.4", "amount=much"}, {"RISK.CHECK", "ip=1.2.3.4", "time=noon"}, {"SADD", "risk:ip", "1.2.3.4"}, {"KEYS", "*"}} {
		if err := c.Do(n.ctx, wrong...).Err(); err == nil || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}

// What a caller sends ends somewhere, whatever length it announces, and others are
// answered meanwhile.
func TestTheRedisDoorTakesNoEndlessCommand(t *testing.T) {
	n := start(t, 1, 1)
	planned, err := n.planned("n1")
	n.must(err)
	conn, err := net.Dial("tcp", planned.Redis)
	n.must(err)
	defer conn.Close()
	n.must(conn.SetDeadline(time.Now().Add(20 * time.Second)))
	_, err = fmt.Fprintf(conn, "*3\r\n$9\r\nSISMEMBER\r\n$7\r\nrisk:ip\r\n$536870912\r\n")
	n.must(err)
	sent, chunk := 0, []byte(strings.Repeat("x", 64<<10))
	for err == nil && sent < 64<<20 {
		var some int
		some, err = conn.Write(chunk)
		sent += some
	}
	if err == nil {
		t.Errorf("%d bytes of one command were taken", sent)
	}
	other, err := net.Dial("tcp", planned.Redis)
	n.must(err)
	defer other.Close()
	n.must(other.SetDeadline(time.Now().Add(20 * time.Second)))
	_, err = fmt.Fprint(other, "PING\r\n")
	n.must(err)
	if line, err := bufio.NewReader(other).ReadString('\n'); err != nil || line != "+PONG\r\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// A view that has lost touch must not say that somebody is clear.
func TestTheRedisDoorOfACutNodeClearsNobody(t *testing.T) {
	t.Parallel()
	n := startTuned(t, Options{Nodes: 3, Voters: 3, Tune: func(c *node.Config) {
		quick(c)
		c.Stale.MaxAge = 2 * time.Second // the door has no max_age of a question
	}})
	n.reports("member-1", "n2", risk.KindIP, "198.51.100.7")
	planned, err := n.planned("n3")
	n.must(err)
	c := redis.NewClient(&redis.Options{Addr: planned.Redis, MaxRetries: -1})
	defer c.Close()
	n.until("a listed and a clean address", func() bool {
		listed, err := c.SIsMember(n.ctx, "risk:ip", "198.51.100.7").Result()
		clean, err2 := c.SIsMember(n.ctx, "risk:ip", "192.0.2.1").Result()
		return err == nil && err2 == nil && listed && !clean
	})
	n.fault("n3", "cut")
	n.until("an error in place of a no", func() bool { return c.SIsMember(n.ctx, "risk:ip", "192.0.2.1").Err() != nil })
	if listed, err := c.SIsMember(n.ctx, "risk:ip", "198.51.100.7").Result(); err != nil || !listed {
		t.Errorf("a listed address: %v, %v", listed, err)
	}
}
