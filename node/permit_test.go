package node

import (
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/risk"
)

func TestAStepFollowsFromTheRecords(t *testing.T) {
	a, b, c := risk.ID{1}, risk.ID{2}, risk.ID{3}
	nodes := []*risk.PutNode{
		{Node: a, Name: "a", Raft: "a:1", Suffrage: risk.Voter},
		{Node: b, Name: "b", Raft: "b:2", Suffrage: risk.NonVoter},
	}
	server := func(node risk.ID, number uint64, address string, voter bool) consensus.Server {
		return consensus.Server{ID: serverID(node, number), Address: address, Voter: voter}
	}
	list := func(s ...consensus.Server) []consensus.Server { return s }
	first := server(a, 1, "a:1", true)
	for _, test := range []struct {
		name          string
		before, after []consensus.Server
		says          string // empty: it follows
	}{
		{"a node comes", list(first), list(first, server(b, 1, "b:2", false)), ""},
		{"in a later life", list(first), list(first, server(b, 9, "b:2", false)), ""},
		{"that is nobody's", list(first), list(first, server(c, 1, "c:1", false)), "no record"},
		{"that is no server", list(first), list(first, consensus.Server{ID: "evil", Address: "c:1"}), "evil"},
		{"at another's address", list(first), list(first, server(b, 1, "evil:1", false)), "is at b:2, not at evil:1"},
		{"and has no vote", list(first, server(b, 1, "b:2", false)), list(first, server(b, 1, "b:2", true)), "suffrage is nonvoter"},
		{"it gets its vote", list(first, server(a, 2, "a:0", false)), list(first, server(a, 2, "a:0", true)), ""},
		{"a voter loses its vote", list(first), list(server(a, 1, "a:1", false)), "suffrage is voter"},
		{"a voter of old loses its vote", list(first, server(b, 1, "b:2", true)), list(first, server(b, 1, "b:2", false)), ""},
		{"who has left loses its vote", list(first, server(c, 1, "c:1", true)), list(first, server(c, 1, "c:1", false)), ""},
		{"it moves", list(first, server(b, 1, "b:1", false)), list(first, server(b, 1, "b:2", false)), ""},
		{"it moves elsewhere", list(first, server(b, 1, "b:2", false)), list(first, server(b, 1, "evil:1", false)), "is at b:2"},
		{"a new life where the old one is", list(first, server(b, 1, "b:1", false)), list(first, server(b, 1, "b:1", false), server(b, 2, "b:1", false)), ""},
		{"it goes", list(first, server(b, 1, "b:2", false)), list(first), ""},
	} {
		err := stepFollows(nodes, test.before, test.after)
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q in it", test.name, err, test.says)
		}
	}
	if err := stepFollows(nil, list(first), list(first, server(c, 1, "c:1", false))); err != nil {
		t.Errorf("while the network is founded: %v", err)
	}
}

func TestTheServersOfAnImageFollowFromItsRecords(t *testing.T) {
	var nodes []*risk.PutNode
	var all []consensus.Server
	for i := range 5 {
		record := &risk.PutNode{Node: risk.ID{byte(i + 1)}, Raft: string(rune('a'+i)) + ":1", Suffrage: risk.Voter}
		nodes = append(nodes, record)
		all = append(all, consensus.Server{ID: serverID(record.Node, 1), Address: record.Raft, Voter: true})
	}
	with := func(list []consensus.Server, s ...consensus.Server) []consensus.Server {
		return append(list[:len(list):len(list)], s...)
	}
	evil := consensus.Server{ID: serverID(risk.ID{66}, 1), Address: "evil:1", Voter: true}
	watcher := evil
	watcher.Voter = false
	renewed := consensus.Server{ID: serverID(nodes[4].Node, 7), Address: nodes[4].Raft, Voter: true}
	moved := consensus.Server{ID: all[4].ID, Address: "evil:1", Voter: true}
	for _, test := range []struct {
		name           string
		known, servers []consensus.Server
		says           string
	}{
		{"as before", all, all, ""},
		{"as before, in a small network that was recovered", all[:2], all[:2], ""},
		{"more than before", all[:2], all, ""},
		{"one is not there for now", all, all[:4], ""},
		{"one has a new life", all, with(all[:4], renewed), ""},
		{"one left while its record is gone", with(all, evil), with(all, evil), ""},
		{"one whose record is gone is still there, another is not", with(all, evil), with(all[:4], evil), ""},
		{"a watcher of nobody", all, with(all, watcher), ""},
		{"the leader alone", all, all[:1], "only 1 of the 5 voters"},
		{"fewer than half", all, all[:2], "only 2 of the 5 voters"},
		{"a voter of nobody", all, with(all, evil), "no record says so"},
		{"a voter elsewhere", all, with(all[:4], moved), "no record says so"},
	} {
		err := serversFollow(nodes, test.known, test.servers)
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q in it", test.name, err, test.says)
		}
	}
}

// A leader names itself in what it stamps, or another would be accused of the stamp.
func TestALeaderStampsInItsOwnName(t *testing.T) {
	now := time.UnixMilli(1_750_000_000_000)
	n := &Node{now: func() time.Time { return now }}
	e := risk.Entry{At: now.UnixMilli(), Proposer: risk.ID{7}, Signed: &risk.Signed{Header: []byte("header")}}
	for proposer, wanted := range map[string]bool{"": true, risk.ID{7}.String(): true, risk.ID{7}.String() + "+2": true,
		risk.ID{8}.String(): false, "nobody": false} {
		if err := n.admitEntry(proposer, e.Encode()); (err == nil) != wanted {
			t.Errorf("by %q: %v", proposer, err)
		}
	}
}

// One voter at a time may begin a new life; who is left must be most of those that the
// records name.
func TestALeaderDoesNotRemoveTheVotersOneByOne(t *testing.T) {
	record := func(id byte, s risk.Suffrage) *risk.PutNode {
		return &risk.PutNode{Node: risk.ID{id}, Name: string('a' + id), Suffrage: s}
	}
	server := func(id byte, voter bool) consensus.Server {
		return consensus.Server{ID: risk.ID{id}.String(), Voter: voter}
	}
	three := []*risk.PutNode{record(1, risk.Voter), record(2, risk.Voter), record(3, risk.Voter)}
	all := []consensus.Server{server(1, true), server(2, true), server(3, true)}
	for name, c := range map[string]struct {
		nodes         []*risk.PutNode
		before, after []consensus.Server
		allowed       bool
	}{
		"one of three goes":          {three, all, all[:2], true},
		"then another":               {three, all[:2], all[:1], false},
		"then another loses a vote":  {three, all[:2], []consensus.Server{all[0], server(2, false)}, false},
		"one of two":                 {three[:2], all[:2], all[:1], false},
		"whom the records let go":    {[]*risk.PutNode{three[0], record(2, risk.NonVoter)}, all[:2], all[:1], true},
		"a network that is founded":  {three, all[:1], []consensus.Server{all[0], server(2, false)}, true},
		"a server without a vote":    {three, append(all[:2:2], server(4, false)), all[:2], true},
		"a new life takes its place": {three, all[:2], append(all[:2:2], consensus.Server{ID: risk.ID{3}.String() + "+1", Voter: true}), true},
	} {
		if err := keepsVoters(c.nodes, c.before, c.after); (err == nil) != c.allowed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsNoEntryIsNotAdmitted(t *testing.T) {
	now := time.UnixMilli(1_750_000_000_000)
	n := &Node{now: func() time.Time { return now }}
	entry := func(ahead time.Duration) []byte {
		e := risk.Entry{At: now.Add(ahead).UnixMilli(), Signed: &risk.Signed{Header: []byte("header")}}
		return e.Encode()
	}
	good := entry(0)
	for name, test := range map[string]struct {
		payload []byte
		says    string
	}{
		"an entry":               {good, ""},
		"of a moment ahead":      {entry(29 * time.Second), ""},
		"of tomorrow":            {entry(24 * time.Hour), "is 24h0m0s ahead"},
		"of yesterday":           {entry(-24 * time.Hour), ""}, // the state's time does not fall with it
		"nothing":                {nil, "entry"},
		"a stamp and no command": {good[:9], "entry"},
		"a byte too few":         {good[:len(good)-1], "entry"},
		"a byte too many":        {append(good[:len(good):len(good)], 0), "entry"},
		"another version":        {append([]byte{9}, good[1:]...), "entry"},
		"two megabytes":          {append(good[:len(good):len(good)], make([]byte, 2<<20)...), "entry"},
	} {
		err := n.admitEntry("", test.payload)
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q in it", name, err, test.says)
		}
	}
}
