package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gojq "github.com/itchyny/gojq/cli"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/risknet/risknet/testnet"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"risknet": main,
		"jq":      func() { os.Exit(gojq.Run()) }, // for the operations guide; nobody has to install it
	})
}

// TestScripts holds conversations: most need no network, one starts its own in
// "net" and this ends what it may have left.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"usage": exits(2),
			"fails": exits(1),
		},
		Setup: func(env *testscript.Env) error {
			env.Defer(func() {
				if p, err := testnet.Load(filepath.Join(env.WorkDir, "net")); err == nil {
					_ = p.Down()
				}
			})
			return nil
		},
	})
}

// exits runs a command that has to end with that code and one line of error at
// the end, beginning with the program's name.
func exits(code int) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		err := ts.Exec(args[0], args[1:]...)
		exit, ok := errors.AsType[*exec.ExitError](err)
		if neg || !ok || exit.ExitCode() != code {
			ts.Fatalf("%v: %v, want exit code %d", args, err, code)
		}
	}
}

func TestEveryVerbHasHelpAndAnExample(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" && !cmd.HasSubCommands() {
			t.Errorf("%s: short %q, example %q", cmd.CommandPath(), cmd.Short, cmd.Example)
		}
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(newRootCommand())
}

func TestNumbersHaveSeparators(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 120430: "120,430", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := many(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

func TestAListIsNeverNull(t *testing.T) {
	for format, want := range map[string]string{"json": "[]\n", "ndjson": ""} {
		cmd, out := newRootCommand(), &bytes.Buffer{}
		cmd.SetOut(out)
		if err := cmd.ParseFlags([]string{"-o", format}); err != nil {
			t.Fatal(err)
		}
		if err := emit(cmd, []historyJSON{}, nil); err != nil || out.String() != want {
			t.Errorf("%s: %q (%v)", format, out, err)
		}
	}
}

func TestTheFormatOfAFileOfChecks(t *testing.T) {
	for _, c := range []struct {
		text string
		o    checkOptions
		want string
	}{
		{"a,b\n", checkOptions{}, "csv"},
		{" \n\t{\"a\":1}", checkOptions{}, "ndjson"},
		{"\xef\xbb\xbf{}", checkOptions{kind: "ip"}, "ndjson"},
		{"1.2.3.4\n", checkOptions{kind: "ip"}, "values"},
		{"ip,x\n", checkOptions{kind: "ip", columns: []string{"ip=ip"}}, "csv"},
		{"{}", checkOptions{format: "csv"}, "csv"},
		{"", checkOptions{}, "csv"},
	} {
		if got := guessFormat(c.o, bufio.NewReader(strings.NewReader(c.text))); got != c.want {
			t.Errorf("%q %+v: %s, want %s", c.text, c.o, got, c.want)
		}
	}
}

func TestManyRowsAreOneArrayOrOneObjectALine(t *testing.T) {
	for format, want := range map[string]string{
		"json":   "[{\"line\":1,\"error\":\"a<b\"}\n,{\"line\":2,\"error\":\"\"}\n]\n",
		"ndjson": "{\"line\":1,\"error\":\"a<b\"}\n{\"line\":2,\"error\":\"\"}\n",
	} {
		cmd, out := newRootCommand(), &bytes.Buffer{}
		cmd.SetOut(out)
		if err := cmd.ParseFlags([]string{"-o", format}); err != nil {
			t.Fatal(err)
		}
		w := newRowWriter(cmd)
		err := errors.Join(w.row(faultJSON{1, "a<b"}), w.row(faultJSON{2, ""}))
		if err = w.end(err); err != nil || out.String() != want {
			t.Errorf("%s: %q (%v)", format, out, err)
		}
	}
}
