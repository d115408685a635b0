package enrol

import (
	"strings"
	"testing"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// What a joiner gives as an address becomes a host of its certificate and a line
// on the operator's screen.
func TestAnAddressIsAHostAndAPort(t *testing.T) {
	name := strings.Repeat("a23456789.", 25) + "abc" // 253 bytes
	for _, address := range []string{"127.0.0.1:7001", "[2001:db8::1]:1", "localhost:7001", "N6-a.hub.example:65535", name + ":1"} {
		if err := checkAddress("raft", address); err != nil {
			t.Error(err)
		}
	}
	const host, port, form = "its host is neither", "its port is not", "not a host and a port"
	for address, want := range map[string]string{
		"*.hub.example:7001": host, "hub.*:7001": host, "hub.example.:7001": host, "-hub.example:7001": host,
		"hub_1.example:7001": host, ":7001": host, "0.0.0.0:7001": host, "[::]:7001": host, "[::ffff:0.0.0.0]:7001": host,
		"[fe80::1%eth0]:7001": host, name + "d:1": host, strings.Repeat("a", 64) + ".example:1": host,
		"n6.example\x1bM\r:7001": host, "n6.example\n:7001": host, "hüb.example:7001": host,
		"n6.example:0": port, "n6.example:": port, "n6.example:65536": port, "n6.example:+80": port, "n6.example:https": port,
		"n6.example:07001": port, "n6.example:7003\x1bM\r  raft n1.example": port,
		"n6.example": form, "n6.example\x1b[2A\r:7001": form, "[n6.example]:7001": form,
	} {
		err := checkAddress("raft", address)
		if err == nil || !strings.HasPrefix(err.Error(), "raft: ") || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "give host:port") {
			t.Errorf("%q: %v", address, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\r\n") {
			t.Errorf("%q goes to the terminal as it is", address)
		}
	}
}

func TestAWildCardIsRefusedOnBothSides(t *testing.T) {
	d := invites(t, nil)
	o := d.options()
	o.API = "*.hub.example:7002"
	if _, err := Join(t.Context(), o); err == nil || !strings.HasPrefix(err.Error(), "api: ") {
		t.Errorf("the joiner: %v", err)
	}
	s := d.knows() // and one that is not asked by its own program
	s.asks(named("n6"), func(r *request) { r.API = o.API })
	if got := s.hears(); !strings.HasPrefix(got, "api: ") || d.registry.count() != 0 {
		t.Errorf("the inviter: %q, %d registered", got, d.registry.count())
	}
}

// The words of the other side are one line, whatever it says.
func TestWhatTheOtherSideSaysIsQuoted(t *testing.T) {
	d := invites(t, nil)
	s := d.knows()
	s.asks(named("n6"), nil)
	if err := expectWord(s.conn, wordApproved); err != nil {
		t.Fatal(err)
	}
	s.says(&word{Error: "\x1b[2A\r  raft n1.example:7001"})
	if err := <-d.notices; !strings.Contains(err.Error(), "n1.example:7001") || strings.ContainsAny(err.Error(), "\x1b\r") {
		t.Errorf("noticed %q", err)
	}
}

func TestAHostOfAnotherInstitutionIsNotGiven(t *testing.T) {
	network := &apiv1.NetworkResponse{Nodes: []*apiv1.Node{
		{Name: "n1", Institution: "hub", Raft: "Hub.example:7001", Api: "10.0.0.1:7002", Http: "127.0.0.1:7003"},
		{Name: "n2", Institution: "member-5", Raft: "member-5.example:7001", Api: "localhost:7002", Http: "[::1]:7003"},
	}}
	terms := Terms{Name: "n6", Institution: "member-5"}
	mine := Request{Raft: "n6.example:1", API: "n6.example:2", HTTP: "n6.example:3"}
	for raft, want := range map[string]string{
		"hub.example:9999":          "raft: hub.example is the host of node n1 of hub; give a host of member-5 alone",
		"[::ffff:10.0.0.1]:9999":    "raft: 10.0.0.1 is the host of node n1 of hub; give a host of member-5 alone",
		"MEMBER-5.example:7001":     "raft: MEMBER-5.example:7001 is an address of node n2; give the new node its own",
		"[::ffff:127.0.0.1]:7003":   "raft: [::ffff:127.0.0.1]:7003 is an address of node n1; give the new node its own",
		"member-5.example:9999":     "", // its own institution's
		"127.0.0.1:9999":            "", // every machine's own
		"localhost:9999":            "",
		"[::1]:9999":                "",
		"hub.example.member-5:9999": "",
	} {
		r := mine
		r.Raft = raft
		if err := free(network, terms, r); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %q", raft, err, want)
		}
	}
}
