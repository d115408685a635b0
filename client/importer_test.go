package client_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

type imported struct {
	client.ImportResult
	rejects []client.Reject
	err     error
}

// importText imports a text into a network; a nil network is a dry run.
func importText(t testing.TB, n *network, kind risk.Kind, text string, o client.RowOptions, set ...string) imported {
	t.Helper()
	report := client.NewReport(kind, time.Now())
	for i := 0; i < len(set); i += 2 {
		if err := report.Set(set[i], set[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := report.OpenRows(strings.NewReader(text), time.UnixMilli(1000), o)
	if err != nil {
		return imported{err: err}
	}
	var got imported
	im := &client.Importer{Template: report, Reject: func(r client.Reject) error {
		got.rejects = append(got.rejects, r)
		return nil
	}}
	if n != nil {
		im.To, im.Keys = n.author(), testKeyring(t, 1)
	}
	got.ImportResult, got.err = im.Run(t.Context(), rows)
	slices.SortFunc(got.rejects, func(a, b client.Reject) int { return a.Line - b.Line })
	return got
}

func (i imported) counts() string {
	return fmt.Sprintf("read %d accepted %d unchanged %d revised %d extended %d rejected %d",
		i.Read, i.Accepted, i.Unchanged, i.Revised, i.Extended, i.Rejected)
}

func TestImportCounts(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    risk.Kind
		text    string
		options client.RowOptions
		want    string
		rejects []int
	}{
		{"values, comments and blanks are not counted", risk.KindIP, "# list\n\n1.2.3.4\n  5.6.7.8\r\n1.2.3.4\n",
			client.RowOptions{Format: client.FormatValues}, "read 3 accepted 2 unchanged 1 revised 0 extended 0 rejected 0", nil},
		{"two spellings of one subject", risk.KindDomain, "Example.COM\nexample.com\nbücher.example\nxn--bcher-kva.example",
			client.RowOptions{Format: client.FormatValues}, "read 4 accepted 2 unchanged 2 revised 0 extended 0 rejected 0", nil},
		{"a bad line is rejected and the rest goes on", risk.KindIP, "1.2.3.4\n1.2.3.400\n\xff\n5.6.7.8",
			client.RowOptions{Format: client.FormatValues}, "read 4 accepted 2 unchanged 0 revised 0 extended 0 rejected 2", []int{2, 3}},
		{"ipsum's count is not used", risk.KindIP, "# feed\n1.2.3.4\t9\n1.2.3.4\t3\n5.6.7.8\tmany\n",
			client.RowOptions{Format: client.FormatIPsum}, "read 3 accepted 1 unchanged 1 revised 0 extended 0 rejected 1", []int{4}},
		{"csv over several lines", risk.KindIP, "addr,why\n1.2.3.4,\"two\nlines\"\n9.9.9,\n5.6.7.8,x\n",
			client.RowOptions{Format: client.FormatCSV, Columns: columns("addr=value", "why=note")},
			"read 3 accepted 2 unchanged 0 revised 0 extended 0 rejected 1", []int{4}},
		{"csv: one subject says something else later", risk.KindIP, "ip,code,note\n1.2.3.4,1,a\n1.2.3.4,1,b\n1.2.3.4,2,a\n1.2.3.4,1,b\n",
			client.RowOptions{Format: client.FormatCSV}, "read 4 accepted 2 unchanged 1 revised 1 extended 0 rejected 0", nil},
		{"csv: a bad field", risk.KindIP, "ip,level\n1.2.3.4,4\n5.6.7.8,3\n",
			client.RowOptions{Format: client.FormatCSV}, "read 2 accepted 1 unchanged 0 revised 0 extended 0 rejected 1", []int{2}},
		{"ndjson with kinds as keys", 0, `{"ip":"1.2.3.4","level":1}` + "\n" + `{"card":4111111111111112}` + "\n{\n" + `{"ip":"::1","card":"4111111111111111"}`,
			client.RowOptions{Format: client.FormatNDJSON}, "read 4 accepted 1 unchanged 0 revised 0 extended 0 rejected 3", []int{2, 3, 4}},
		{"a broad prefix needs two keys", risk.KindIP, "10.0.0.0/8\n10.1.0.0/16",
			client.RowOptions{Format: client.FormatValues}, "read 2 accepted 1 unchanged 0 revised 0 extended 0 rejected 1", []int{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := importText(t, newNetwork(t), c.kind, c.text, c.options)
			if got.err != nil || got.counts() != c.want {
				t.Errorf("got  %s (%v)\nwant %s", got.counts(), got.err, c.want)
			}
			var lines []int
			for _, r := range got.rejects {
				lines = append(lines, r.Line)
				if r.Reason == "" || r.Input == "" {
					t.Errorf("line %d: reason %q, input %q", r.Line, r.Reason, r.Input)
				}
			}
			if !slices.Equal(lines, c.rejects) {
				t.Errorf("rejected lines %v, want %v: %v", lines, c.rejects, got.rejects)
			}
		})
	}
}

// repetitive is a long file whose subjects come again, near and far.
func repetitive(lines int) (text string, distinct int) {
	var b strings.Builder
	seen := map[int]bool{}
	for i := range lines {
		n := i
		switch {
		case i%7 == 3:
			n = i / 2
		case i%11 == 5:
			n = i - 1
		}
		seen[n] = true
		fmt.Fprintf(&b, "device-%d\n", n)
	}
	return b.String(), len(seen)
}

func TestRepeatsAreUnchangedWhicheverCommandComesFirst(t *testing.T) {
	text, distinct := repetitive(6000)
	n := newNetwork(t)
	o := client.RowOptions{Format: client.FormatValues}
	first := importText(t, n, risk.KindDevice, text, o)
	if first.err != nil || first.Accepted != distinct || first.Unchanged != 6000-distinct {
		t.Fatalf("got %s (%v), want %d distinct", first.counts(), first.err, distinct)
	}
	if n.listings() != distinct || first.Size != n.leaves {
		t.Errorf("%d listings stand; size %d of %d leaves", n.listings(), first.Size, n.leaves)
	}
	again := importText(t, n, risk.KindDevice, text, o)
	if again.Accepted != 0 || again.Unchanged != 6000 {
		t.Errorf("a second run: %s", again.counts())
	}
}

func TestARevisionStandsBetweenItsNeighboursInTheFile(t *testing.T) {
	// The three records about one subject fall into different commands.
	var b strings.Builder
	b.WriteString("device,note\n")
	for i := range 1600 {
		fmt.Fprintf(&b, "d-%d,\n", i)
		if i%600 == 10 {
			fmt.Fprintf(&b, "the-one,say %d\n", i)
		}
	}
	got := importText(t, newNetwork(t), risk.KindDevice, b.String(), client.RowOptions{Format: client.FormatCSV})
	if want := "read 1603 accepted 1601 unchanged 0 revised 2 extended 0 rejected 0"; got.counts() != want {
		t.Errorf("got  %s (%v)\nwant %s", got.counts(), got.err, want)
	}
}

func TestAnInterruptedImportGoesOn(t *testing.T) {
	n := newNetwork(t)
	killed := errors.New("killed")
	n.fail = func(attempt int) error {
		if attempt > 3 {
			return killed
		}
		return nil
	}
	text, distinct := repetitive(5000)
	o := client.RowOptions{Format: client.FormatValues}
	if broken := importText(t, n, risk.KindDevice, text, o); !errors.Is(broken.err, killed) || broken.Accepted == 0 {
		t.Fatalf("got %s (%v)", broken.counts(), broken.err)
	}
	n.fail = nil
	stood := n.listings()
	got := importText(t, n, risk.KindDevice, text, o)
	if got.err != nil || got.Accepted != distinct-stood || n.listings() != distinct {
		t.Errorf("got %s (%v); %d stood, %d of %d stand", got.counts(), got.err, stood, n.listings(), distinct)
	}
}

func TestADryRunCountsAndSendsNothing(t *testing.T) {
	text, distinct := repetitive(3000)
	got := importText(t, nil, risk.KindDevice, text+"\x01\n", client.RowOptions{Format: client.FormatValues})
	if got.err != nil || got.Accepted != distinct || got.Unchanged != 3000-distinct || got.Rejected != 1 || got.Size != 0 {
		t.Errorf("got %s, size %d (%v)", got.counts(), got.Size, got.err)
	}
}

func TestAdviceFollowsListAndLevel(t *testing.T) {
	for _, c := range []struct {
		set  []string
		want risk.Advice
	}{
		{nil, risk.Deny},
		{[]string{"level", "3"}, risk.StepUp},
		{[]string{"level", "1", "list", "hint"}, risk.StepUp},
		{[]string{"list", "watch", "level", "1"}, risk.Observe},
		{[]string{"list", "watch", "advice", "limit"}, risk.Limit},
	} {
		n := newNetwork(t)
		if got := importText(t, n, risk.KindDevice, "d", client.RowOptions{Format: client.FormatValues}, c.set...); got.Accepted != 1 {
			t.Fatalf("%v: %s %v", c.set, got.counts(), got.rejects)
		}
		for _, body := range n.bodies {
			content, err := risk.DecodeListingBody(body.Data)
			if err != nil || content.Action != c.want {
				t.Errorf("%v: advice %v (%v), want %v", c.set, content.Action, err, c.want)
			}
		}
	}
}

func TestWhatAReportRefuses(t *testing.T) {
	for _, c := range []struct{ field, value, says string }{
		{"code", "x", "code: "}, {"code", "70000", "999"}, {"level", "0", "level: "}, {"list", "grey", "black, hint, watch"},
		{"expires", "soon", "expires: "}, {"expires", "30", "past"}, {"origin", "copy", "copy:NAME"}, {"origin", "own:me", "own"}, {"origin", "hearsay:x", "authority:NAME"},
		{"advice", "forbid", "deny"}, {"tier", "4", "tier: "}, {"purposes", "fun", "purpose"}, {"phases", "never", "phase"},
		{"found", "yesterday", "found: "}, {"note", strings.Repeat("x", 513), "512"}, {"colour", "red", "not a field"},
	} {
		report := client.NewReport(risk.KindIP, time.Now())
		if err := report.Set(c.field, c.value); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s=%s: %v, want %q", c.field, c.value, err, c.says)
		}
	}
}

func columns(texts ...string) []client.Column {
	var list []client.Column
	for _, text := range texts {
		c, err := client.ParseColumn(text)
		if err != nil {
			panic(err)
		}
		list = append(list, c)
	}
	return list
}
