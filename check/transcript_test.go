package check

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/risk"
)

var rewrite = flag.Bool("rewrite", false, "write what the checker says into the transcripts")

// The rule sets of the transcripts by name.
var ruleTexts = map[string]string{
	"none": "",
	"bad":  "name: bad\nrules: nonsense\n",
	"cautious": `name: cautious
on_error: {pre: step_up, in: hold_funds, post: observe}
rules:
  - {id: large-to-listed, phase: [in], when: "payee.listed && payment.amount >= 1000", advice: deny, code: 7, reason: {en: Large amount to a listed payee., zh: 大额}}
  - {id: two-voices, phase: [in], when: "domain.reporters >= 2 && email.black", advice: hold_funds, reason: {en: Two institutions list the domain of an e-mail., zh: 两家}}
  - {id: division, phase: [post], when: "1000 / payment.amount > 2", advice: limit, reason: {en: Small., zh: 小额}}
  - {id: any-listed, phase: [in], when: any.listed, advice: observe, mode: shadow, reason: {en: Listed., zh: 名单}}
`,
}

// Each block of a transcript is commands, a line of dashes and what comes of
// them. Run with -rewrite to accept a change, and read the difference.
func TestTranscripts(t *testing.T) {
	for _, name := range []string{"matching", "advice", "rules", "trouble", "overrides", "weigh"} {
		t.Run(name, func(t *testing.T) {
			path := "testdata/" + name + ".txt"
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := newScene(t).play(string(text))
			if *rewrite {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("got:\n%s", got)
			}
		})
	}
}

// scene is a checker and its surroundings, driven by words.
type scene struct {
	t         *testing.T
	now       time.Time
	book      *book
	checker   *Checker
	overrides []Override
	out       strings.Builder
}

func newScene(t *testing.T) *scene {
	s := &scene{t: t, now: time.UnixMilli(1000), book: newBook()}
	s.checker = newChecker(t, s.book, 0, Config{
		MaxAge: 500 * time.Millisecond,
		Now:    func() time.Time { return s.now },
		Alarm:  func(err error) { fmt.Fprintf(&s.out, "alarm: %s\n", strings.ReplaceAll(err.Error(), "\n", "; ")) },
	})
	return s
}

func (s *scene) play(text string) string {
	var played []string
	for block := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		s.out.Reset()
		for line := range strings.SplitSeq(commands, "\n") {
			if !strings.HasPrefix(line, "#") {
				s.do(strings.Fields(line))
			}
		}
		played = append(played, strings.TrimRight(commands+"\n----\n"+s.out.String(), "\n"))
	}
	return strings.Join(played, "\n\n") + "\n"
}

func (s *scene) do(words []string) {
	options := map[string]string{}
	for _, word := range words[1:] {
		if name, value, ok := strings.Cut(word, "="); ok {
			options[name] = value
		}
	}
	switch words[0] {
	case "clock":
		s.now = time.UnixMilli(s.number(words[1]))
	case "fresh":
		s.checker.SetFresh(s.now)
	case "list":
		s.list(words[1], s.key(words[2]), options)
	case "state":
		s.state(words[1], words[2])
	case "purge":
		s.absorb(s.book.purge(s.key(words[1])))
	case "network-time":
		b := s.book.list()
		b.Time = s.number(words[1])
		s.checker.Absorb(b)
	case "rules":
		s.rules(words[1:])
	case "lose":
		lost := s.key(words[1])
		page := (*s.book.pages.Load())[s.book.last]
		delete(page, lost)
	case "protect":
		b := s.book.list()
		k := s.key(words[1])
		b.Protected = []*risk.Protected{{Protection: risk.Protection{Kind: k.Kind, Since: 0, Expiry: s.number(options["expires"])},
			Body: risk.ProtectionBody{Token: k.Token, Covers: "clinics", Comment: "approved"}}}
		s.absorb(b)
	case "override":
		s.override(s.key(words[1]), options)
	case "check":
		s.check(words[1:], options)
	default:
		s.t.Fatalf("no such command: %q", words)
	}
}

func (s *scene) absorb(b Batch) {
	b.Time = s.checker.Load().Time
	s.checker.Absorb(b)
}

func (s *scene) list(id string, k Key, options map[string]string) {
	st := standingFor(k, 0)
	st.Listing.ID, _ = risk.ParseItemID(id)
	st.Body.Note, st.Body.NoteZH = strings.ReplaceAll(options["note"], "_", " "), "中文"
	for name, value := range options {
		it, body := &st.Listing.Item, &st.Body
		switch name {
		case "note":
		case "scope":
			it.Scope = s.scope(value)
		case "reporter":
			st.Listing.Reporter = risk.ID{byte(s.number(value))}
		case "level":
			it.Level = risk.Level(s.number(value))
		case "code":
			it.Code = uint16(s.number(value))
		case "tier": // of the reporter's own case
			st.ByHub, it.Origin = false, risk.Origin{Kind: risk.OriginOwn}
			body.Tier = risk.Tier(s.number(value))
		case "copied":
			st.ByHub, it.Origin = false, risk.OriginNamed(risk.OriginCopy, value)
			body.Tier = 2
		case "purpose":
			body.Purposes, _ = risk.ParsePurpose(value)
		case "category":
			body.Category = value
		case "occurred":
			body.OccurredFrom = s.number(value)
		case "expiry":
			it.Expiry = s.number(value)
		case "effective":
			body.Effective = s.number(value)
		case "list":
			it.List, _ = risk.ParseList(value)
		case "part":
			body.Part, _ = risk.ParsePart(value)
		case "action":
			body.Action, _ = risk.ParseAdvice(value)
		case "phase":
			phase, _ := risk.ParsePhase(value)
			body.Phases = 1 << phase
		case "exit":
			body.Exit = risk.Exit{How: value, Days: 15}
		default:
			s.t.Fatalf("list: no such option: %s", name)
		}
	}
	s.absorb(s.book.write(func(page map[Key][]risk.Standing) {
		page[k] = append(slices.Clone(page[k]), st)
	}, []Key{k}, nil))
}

func (s *scene) state(id, name string) {
	want := map[string]risk.ListingState{"pending": risk.PendingSecond, "suspended": risk.Suspended, "withdrawn": risk.Withdrawn, "disputed": risk.Disputed}[name]
	s.absorb(s.book.write(func(page map[Key][]risk.Standing) {
		for k, list := range page {
			list = slices.Clone(list)
			for i := range list {
				if list[i].Listing.ID.String() == id {
					list[i].Listing.State = want
				}
			}
			page[k] = list
		}
	}, nil, nil))
}

func (s *scene) rules(versions []string) {
	b := s.book.list()
	for _, word := range versions {
		number, name, _ := strings.Cut(word, "=")
		b.Rules = append(b.Rules, RuleSet{Version: uint32(s.number(number)), Text: []byte(ruleTexts[name])})
	}
	s.absorb(b)
}

func (s *scene) override(k Key, options map[string]string) {
	advice, _ := risk.ParseAdvice(options["advice"])
	s.overrides = append(s.overrides, Override{Kind: k.Kind, Token: k.Token, Advice: advice,
		Expires: s.number(options["expires"]), Comment: options["comment"]})
	if err := s.checker.SetOverrides(s.overrides); err != nil {
		s.t.Fatal(err)
	}
}

// check reads subjects as role:kind:token+kind:token@scope, the first part
// being the subject's own kind.
func (s *scene) check(words []string, options map[string]string) {
	q := &Query{MaxAge: time.Duration(s.number(options["max_age"])) * time.Millisecond}
	q.Payment.Phase, _ = risk.ParsePhase(options["phase"])
	q.Payment.Purpose, _ = risk.ParsePurpose(options["purpose"])
	q.Payment.Amount, q.Payment.Time = s.number(options["amount"]), s.number(options["time"])
	for _, word := range words {
		name, rest, ok := strings.Cut(word, ":")
		role, err := risk.ParseRole(name)
		if !ok || err != nil {
			continue
		}
		one := Subject{Role: role}
		for part := range strings.SplitSeq(rest, "+") {
			key, scope, _ := strings.Cut(part, "@")
			k := s.key(key)
			if one.Kind == 0 {
				one.Kind = k.Kind
			}
			one.Asked = append(one.Asked, risk.Asked{Kind: k.Kind, Token: k.Token, Scope: s.scope(scope)})
		}
		q.Subjects = append(q.Subjects, one)
	}
	v := &risk.Verdict{}
	if err := s.checker.Check(q, v); err != nil {
		fmt.Fprintf(&s.out, "error: %v\n", err)
		return
	}
	s.print(v)
}

func (s *scene) print(v *risk.Verdict) {
	fmt.Fprintf(&s.out, "%s listed=%v reporters=%d rules=%d size=%d age=%d stale=%v", v.Advice, v.Listed, v.Reporters, v.RulesVersion, v.Head.Size, v.AgeMillis, v.Stale)
	if len(v.Shadow) > 0 {
		fmt.Fprintf(&s.out, " shadow=%s", strings.Join(v.Shadow, ","))
	}
	s.out.WriteByte('\n')
	for _, w := range v.Weights {
		fmt.Fprintf(&s.out, "  subject %d: %s\n", w.Subject, w.String())
	}
	for _, r := range v.Reasons {
		name := r.Rule
		if name == "" {
			name = "listing " + r.Listing.String()
		}
		fmt.Fprintf(&s.out, "  %s: %s subject=%d code=%d level=%d: %s | %s", name, r.Advice, r.Subject, r.Code, r.Level, r.Text, r.TextZH)
		if r.State != 0 && r.State != risk.Active {
			fmt.Fprintf(&s.out, " state=%s", r.State)
		}
		if r.Exit != nil {
			fmt.Fprintf(&s.out, " exit=%s/%dd", r.Exit.How, r.Exit.Days)
		}
		s.out.WriteByte('\n')
	}
}

func (s *scene) key(word string) Key {
	name, token, _ := strings.Cut(word, ":")
	kind, err := risk.ParseKind(name)
	if err != nil {
		s.t.Fatal(err)
	}
	k := Key{Kind: kind}
	copy(k.Token[:], token)
	return k
}

func (s *scene) scope(word string) risk.Scope {
	name, length, ok := strings.Cut(word, "/")
	if !ok {
		return risk.Scope{}
	}
	family := map[string]risk.Family{"ipv4": risk.FamilyIPv4, "ipv6": risk.FamilyIPv6, "domain": risk.FamilyDomain}[name]
	return risk.Scope{Family: family, Length: uint8(s.number(length))}
}

func (s *scene) number(word string) int64 {
	if word == "" {
		return 0
	}
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func TestAReasonSaysWhatAListingDoesNot(t *testing.T) {
	st := standingFor(keyNumber(0), 1)
	st.Body.Note, st.Body.NoteZH = "", ""
	b := newBook()
	c := newChecker(t, b, 0, Config{})
	k := keyNumber(0)
	c.Absorb(b.write(func(page map[Key][]risk.Standing) { page[k] = []risk.Standing{st} }, []Key{k}, nil))
	r := verdictOf(t, c, askFor(k)).Reasons[0]
	if want := "merchant is on the black list, level 1, code 02"; r.Text != want {
		t.Errorf("the text is %q, want %q", r.Text, want)
	}
	if want := "黑名单，风险等级1，类型02"; r.TextZH != want {
		t.Errorf("the Chinese text is %q, want %q", r.TextZH, want)
	}
	if r.List != risk.ListBlack || r.Part != risk.PartSuspect || r.Reporter != (risk.ID{1}) || r.Expires != never {
		t.Errorf("the reason is %+v", r)
	}
}
