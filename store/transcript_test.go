package store

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/risknet/risknet/risk"
)

var rewrite = flag.Bool("rewrite", false, "write the transcripts anew from what the store does")

// A transcript is a list of blocks: a line with a command, a line ----, what the
// store answers, an empty line. It also freezes the state digest at each step.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			play := newTranscript(t)
			var out strings.Builder
			for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
				command, _, _ := strings.Cut(block, "\n----")
				fmt.Fprintf(&out, "%s\n----\n%s\n\n", command, play.run(command))
			}
			got := strings.TrimSpace(out.String()) + "\n"
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("the store answers otherwise; -rewrite writes it down:\n%s", firstDifference(got, string(text)))
			}
			mustClose(t, play.s)
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n\n"), strings.Split(want, "\n\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return fmt.Sprintf("got\n%s\nwant\n%s", g[i], strings.Join(w[min(i, len(w)):min(i+1, len(w))], ""))
		}
	}
	return "blocks are missing at the end"
}

// transcript plays commands on one store. Its salts are numbered, so that its
// digests are always the same.
type transcript struct {
	t     *testing.T
	dir   string
	s     *Store
	w     *world
	salts uint64
	last  *risk.Signed
	cut   Cut
}

func newTranscript(t *testing.T) *transcript {
	p := &transcript{t: t, dir: t.TempDir(), w: &world{hub: newAuthor('h', 2), acq: newAuthor('a', 1), bank: newAuthor('b', 1), now: worldStart}}
	p.reopen()
	return p
}

func (p *transcript) reopen() {
	if p.s != nil {
		mustClose(p.t, p.s)
	}
	p.s = open(p.t, p.dir, Options{Network: p.w.network, OnCut: func(c Cut) { p.cut = c }})
}

// replace goes on with a fresh store that got an image of this one.
func (p *transcript) replace() {
	image, at := imageOf(p.t, p.s), p.s.Position()
	mustClose(p.t, p.s)
	p.dir, p.s = p.t.TempDir(), nil
	p.reopen()
	if err := install(p.s, image, at); err != nil {
		p.t.Fatalf("install: %v", err)
	}
}

func (p *transcript) salted(data string) risk.Body {
	p.salts++
	body := risk.Body{Data: []byte(data)}
	binary.BigEndian.PutUint64(body.Salt[:], p.salts)
	return body
}

func (p *transcript) run(command string) string {
	words := strings.Fields(command)
	switch words[0] {
	case "reopen":
		p.reopen()
		return p.state()
	case "image":
		p.replace()
		return p.state()
	case "wait":
		days, err := strconv.ParseInt(words[1], 10, 64)
		p.check(err)
		p.w.now += days * day
		return "days pass"
	case "standing":
		return p.standing(p.number(words[1]))
	case "rubbish":
		p.w.put(Command, []byte("not an entry"))
		return p.deliver()
	case "again":
		p.w.order(p.last)
		return p.deliver()
	case "redeliver":
		return p.deliver()
	case "unsigned":
		p.last = p.signed(words[1:])
		p.last.Signatures[0][0] ^= 1
	default:
		p.last = p.signed(words)
	}
	p.w.order(p.last)
	return p.deliver()
}

// signed makes a command from its words, WHO VERB ...
func (p *transcript) signed(words []string) *risk.Signed {
	who := map[string]author{"hub": p.w.hub, "acq": p.w.acq, "bank": p.w.bank}
	a, verb, rest := who[words[0]], words[1], words[2:]
	one := func(i int) author { return who[rest[i]] }
	params := map[string]func() risk.Params{
		"admit": func() risk.Params {
			return &risk.Admit{Reporter: one(0).id, Role: risk.RoleMember, Keys: []risk.PublicKey{publicOf(one(0).keys[0])}}
		},
		"add-key":    func() risk.Params { return &risk.AddKey{Reporter: one(0).id, Key: spare()} },
		"retire-key": func() risk.Params { return &risk.RetireKey{Reporter: one(0).id, Key: spare().ID()} },
		"put-node": func() risk.Params {
			return &risk.PutNode{Node: risk.ID{byte(p.number(rest[0]))}, Name: "n" + rest[0], Institution: "Bank", Raft: "a:1", API: "a:2", HTTP: "a:3",
				Suffrage: risk.Voter, LogKey: spare()}
		},
		"remove-node": func() risk.Params { return &risk.RemoveNode{Node: risk.ID{byte(p.number(rest[0]))}} },
		"activate":    func() risk.Params { return &risk.ActivateRules{Version: uint32(p.number(rest[0]))} },
		"rollback":    func() risk.Params { return &risk.RollbackRules{From: uint32(p.number(rest[0]))} },
		"open-epoch":  func() risk.Params { return &risk.OpenEpoch{Epoch: risk.Epoch(p.number(rest[0]))} },
		"close-epoch": func() risk.Params { return &risk.CloseEpoch{Epoch: risk.Epoch(p.number(rest[0]))} },
		"reset-time": func() risk.Params {
			p.w.now -= int64(p.number(rest[0])) * day
			return &risk.ResetTime{Time: p.w.now}
		},
	}
	switch make, simple := params[verb]; {
	case simple:
		return p.w.sign(a, make(), nil, nil)
	case verb == "found":
		return p.found(a)
	case verb == "rules":
		body := p.salted(rest[0])
		return p.w.sign(a, &risk.PublishRules{Hash: sha(body.Data)}, []risk.Item{{Op: risk.ItemDocument, Commitment: body.Commit()}}, []risk.Body{body})
	default:
		return p.items(a, verb, rest)
	}
}

func spare() risk.PublicKey { return publicOf(newAuthor('s', 1).keys[0]) }

func (p *transcript) found(hub author) *risk.Signed {
	known := p.w.network
	p.w.network = risk.Hash{} // a founding names none
	signed := p.w.sign(hub, &risk.Found{Name: "net", Origin: "net.example/log", Protocol: 1, Threshold: 2,
		HubKeys: []risk.PublicKey{publicOf(hub.keys[0]), publicOf(hub.keys[1])}, EpochKey: risk.Hash{9}}, nil, nil)
	if p.w.network = known; known.IsZero() {
		p.w.network = signed.ID()
	}
	return signed
}

// items reads SUBJECT[=NOTE][+DAYS] of a list, and the ids of a lift.
func (p *transcript) items(a author, verb string, words []string) *risk.Signed {
	var items []risk.Item
	var bodies []risk.Body
	for _, word := range words {
		var item risk.Item
		var body risk.Body
		switch verb {
		case "list":
			word, more, _ := strings.Cut(word, "+")
			subject, note, _ := strings.Cut(word, "=")
			expires, source := day, int64(0)
			if more != "" {
				expires, source = int64(p.number(more))*day, p.w.now
			}
			item, body = p.w.listing(p.number(subject), note, expires, source)
			body = p.salted(string(body.Data))
			item.Commitment = body.Commit()
		case "lift":
			id, err := risk.ParseItemID(word)
			p.check(err)
			body = p.salted("")
			item = risk.Item{Op: risk.ItemLift, Target: id, Reason: risk.LiftWithdrawn, Commitment: body.Commit()}
		default:
			p.t.Fatalf("no command %q", verb)
		}
		items, bodies = append(items, item), append(bodies, body)
	}
	return p.w.sign(a, &risk.Listings{}, items, bodies)
}

func (p *transcript) number(word string) int {
	n, err := strconv.Atoi(word)
	p.check(err)
	return n
}

func (p *transcript) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// deliver applies the newest entry and writes the receipt, the cut and the state.
func (p *transcript) deliver() string {
	p.cut = Cut{}
	r := mustApply(p.t, p.s, p.w.entries[len(p.w.entries)-1:])[0]
	return strings.Join([]string{receiptLine(&r), p.cutLine(), p.state()}, "\n")
}

func receiptLine(r *Applied) string {
	outcomes, line := r.Result.Outcomes, ""
	switch {
	case r.Skipped:
		return "receipt skipped"
	case r.Result.First != nil:
		outcomes, line = r.Result.First.Outcomes, fmt.Sprintf("first at leaf %d", r.Leaf)
	case r.Result.Leaf:
		line = fmt.Sprintf("leaf %d", r.Leaf)
	default:
		line = "no leaf"
	}
	if r.Result.Refusal != nil {
		line += " refused " + r.Result.Refusal.Kind.String()
	}
	for _, o := range outcomes {
		switch o.Status {
		case risk.Created, risk.Kept:
			line += fmt.Sprintf(", %s", o.Status)
		case risk.Refused:
			line += fmt.Sprintf(", refused %s", o.Refusal)
		default:
			line += fmt.Sprintf(", %s %s", o.Status, o.Target)
		}
	}
	return "receipt " + line
}

func (p *transcript) cutLine() string {
	c, line := p.cut, "cut"
	if c.Version == 0 {
		return "no cut"
	}
	for _, is := range []struct {
		changed bool
		what    string
	}{{c.ScopesChanged, "scopes"}, {c.EpochsChanged, "epochs"}, {c.RulesChanged, "rules"}, {c.NodesChanged, "nodes"}} {
		if is.changed {
			line += " " + is.what
		}
	}
	return fmt.Sprintf("%s linked %d unlinked %d", line, len(c.Linked), len(c.Unlinked))
}

func (p *transcript) state() string {
	m := p.s.now.Load()
	scanned, err := p.s.Rescan()
	p.check(err)
	if scanned != p.s.Digest() {
		p.t.Errorf("the records on disk give %s, the state says %s", scanned, p.s.Digest())
	}
	return fmt.Sprintf("state index %d size %d listings %d links %d small %d digest %.16s root %.16s",
		m.version(), m.head.Size, m.listings, m.links, m.smalls, p.s.Digest().String(), m.head.Root.String())
}

func (p *transcript) standing(subject int) string {
	list, _, err := p.s.Reader().Standing(p.s.Version(), risk.KindIP, tokenOf(subject))
	p.check(err)
	var lines []string
	for _, one := range list {
		l := &one.Listing
		lines = append(lines, fmt.Sprintf("listing %s by %.2s: %s, note %q, revisions %d, expires in %d days",
			l.ID, l.Reporter.String(), l.StateAt(p.w.now), one.Body.Note, l.Revisions, (l.Item.Expiry-p.w.now+day/2)/day))
	}
	if len(lines) == 0 {
		return "not listed"
	}
	return strings.Join(lines, "\n")
}
