package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/enrol"
)

// The operator decides by four lines; no joiner can write over one of them.
func TestWhatTheOperatorDecidesByIsQuoted(t *testing.T) {
	var shown bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetErr(&shown)
	r := enrol.Request{Raft: "a\x1b[2A\r:1", API: "b\x1b[2A\n:2", HTTP: "c\x1b[K\r:3"}
	if err := approve(t.Context(), cmd, inviteOptions{yes: true}, r); err != nil {
		t.Fatal(err)
	}
	if text := shown.String(); strings.ContainsAny(text, "\x1b\r") || strings.Count(text, "\n") != 5 {
		t.Errorf("the operator is shown %q", text)
	}
}
