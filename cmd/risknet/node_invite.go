package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/enrol"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

type inviteOptions struct {
	ca, caKey         string
	terms             enrol.Terms
	voter             bool
	listen, advertise string
	ttl               time.Duration
	yes, replace      bool
}

func newNodeInviteCommand() *cobra.Command {
	var o inviteOptions
	cmd := &cobra.Command{
		Use:   "invite --ca-key FILE --name NAME --institution NAME",
		Short: "Let one node in: print a token and wait for who joins with it",
		Long: "Runs on the hub operator's machine, beside the CA key and the hub's profile, and\n" +
			"never on a node that serves. Prints a token for `risknet node join`, shows who\n" +
			"comes and asks, lets that one node in, and ends. The token works once and only\n" +
			"while this command runs; hand it over as you would a password.",
		Example: "  risknet --profile hub.yaml node invite --ca ca.pem --ca-key ca.key --name n6 --institution member-5 --listen 0.0.0.0:7000 --advertise hub.example:7000",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return invite(cmd, o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.ca, "ca", "", "the network's CA certificate `file` (default: the profile's)")
	flags.StringVar(&o.caKey, "ca-key", "", "the CA's key `file` (required)")
	flags.StringVar(&o.terms.Name, "name", "", "name of the new node, such as n6 (required)")
	flags.StringVar(&o.terms.Institution, "institution", "", "whose node it is (required)")
	flags.BoolVar(&o.voter, "voter", false, "give the node a vote once it has caught up")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "listen at `host:port`")
	flags.StringVar(&o.advertise, "advertise", "", "`host:port` at which the joiner reaches this (default: --listen)")
	flags.DurationVar(&o.ttl, "ttl", 10*time.Minute, "how long the token works")
	flags.BoolVar(&o.yes, "yes", false, "let in whoever has the token, without asking")
	flags.BoolVar(&o.replace, "replace", false, "a node of this name is lost, or its join broke off: it leaves, the new one comes")
	for _, name := range []string{"ca-key", "name", "institution"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

type invitedJSON struct {
	Token     string `json:"token"`
	ExpiresAt string `json:"expires_at"`
}

type joinedJSON struct {
	Name      string `json:"name"`
	Node      string `json:"node"`
	Confirmed bool   `json:"confirmed"`
}

func invite(cmd *cobra.Command, o inviteOptions) error {
	if !o.yes && !isTerminal(os.Stdin) {
		return usagef("yes: is missing; add --yes where nobody can be asked")
	}
	c, err := dial(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	invitation, err := openInvitation(cmd, c, o)
	if err != nil {
		return err
	}
	t := invitation.Token()
	err = emit(cmd, invitedJSON{t.String(), moment(t.Expires.UnixMilli())}, func(w io.Writer) { fmt.Fprintln(w, t) })
	if err != nil {
		return err
	}
	note(cmd, "waiting at %s for %s of %s, until %s; on its machine:\n  risknet node join --token TOKEN --dir DIR --raft HOST:PORT --api HOST:PORT --http HOST:PORT",
		t.Address, o.terms.Name, o.terms.Institution, moment(t.Expires.UnixMilli()))
	joined, err := invitation.Wait(cmd.Context())
	if err != nil && cmd.Context().Err() != nil {
		return errors.New("given up: nobody was told that they are let in; if a join was under way, invite again with --replace")
	}
	if err != nil {
		return err
	}
	if !joined.Confirmed {
		note(cmd, "%s is in the network's records, but did not confirm that it wrote its files; if its join failed, invite it again with --replace", o.terms.Name)
	}
	return emit(cmd, joinedJSON{o.terms.Name, joined.Node.String(), joined.Confirmed}, func(w io.Writer) {
		fmt.Fprintf(w, "%s has joined as node %s\n", o.terms.Name, joined.Node)
	})
}

// openInvitation finds out first all that can fail.
func openInvitation(cmd *cobra.Command, c *client.Client, o inviteOptions) (*enrol.Invitation, error) {
	authority, err := loadAuthority(o, c.Profile())
	if err != nil {
		return nil, err
	}
	hub, err := enrol.NewHub(cmd.Context(), c)
	if err != nil {
		return nil, err
	}
	hub.Replace = o.replace
	network, err := hub.Check(cmd.Context(), o.terms.Name)
	if err != nil {
		return nil, err
	}
	o.terms.Suffrage = risk.NonVoter
	if o.voter {
		o.terms.Suffrage = risk.Voter
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w; name an address of this machine that nobody listens on", err)
	}
	if o.advertise == "" {
		o.advertise = listener.Addr().String()
	}
	invitation, err := enrol.Open(enrol.Offer{Terms: o.terms, Network: network, Inviter: c.Profile().Institution,
		Authority: authority, Registrar: hub, Listener: listener, Advertise: o.advertise, TTL: o.ttl,
		Approve: func(ctx context.Context, r enrol.Request) error { return approve(ctx, cmd, o, r) },
		Notice:  func(err error) { note(cmd, "an attempt to join failed: %v", err) }})
	if err != nil {
		listener.Close()
		return nil, err
	}
	return invitation, nil
}

func loadAuthority(o inviteOptions, profile *client.Profile) (*node.Authority, error) {
	if o.ca == "" {
		o.ca = profile.CA
	}
	cert, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, fmt.Errorf("ca: %w; name the network's CA certificate", err)
	}
	key, err := os.ReadFile(o.caKey)
	if err != nil {
		return nil, fmt.Errorf("ca-key: %w; name the key of the CA certificate", err)
	}
	authority, err := node.LoadAuthority(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%w; name the network's CA certificate with --ca and its key with --ca-key", err)
	}
	return authority, nil
}

// approve shows who has come and asks. What the joiner wrote is quoted, so that
// it is one line and cannot write over another. The question does not outlast the
// invitation: then the answer that nobody gave is left unread, and the program
// ends.
func approve(ctx context.Context, cmd *cobra.Command, o inviteOptions, r enrol.Request) error {
	note(cmd, "%s asks to join as %s of %s:\n  raft %q\n  api  %q\n  http %q\n  log key %x",
		r.From, o.terms.Name, o.terms.Institution, r.Raft, r.API, r.HTTP, r.LogKey.Bytes)
	answer := make(chan error, 1)
	go func() {
		answer <- confirm(cmd, o.yes, "Is this log key the one that the joiner shows, and are these its addresses?")
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
