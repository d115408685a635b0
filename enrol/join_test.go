package enrol

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

func TestANodeJoins(t *testing.T) {
	d := invites(t, func(o *Offer) { o.Suffrage = risk.Voter })
	o := d.options()
	entered, err := Join(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	joined, err := d.ends()
	if err != nil || !joined.Confirmed || joined.Node != entered.Node {
		t.Fatalf("the inviter knows %+v (%v)", joined, err)
	}
	if want := (Terms{Name: "n6", Institution: "member-5", Suffrage: risk.Voter}); d.registry.terms[0] != want || entered.Terms != want {
		t.Errorf("registered as %+v, entered as %+v", d.registry.terms[0], entered.Terms)
	}
	cfg, err := node.LoadConfig(entered.Config)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Name != "n6" || cfg.ID != (risk.ID{9}).String() || cfg.Network != (risk.Hash{7}).String() || cfg.Listen.Raft != o.Raft {
		t.Errorf("configuration: %+v", cfg)
	}
	creds, err := node.LoadCredentials(cfg.TLS.CA, cfg.TLS.Certificate, cfg.TLS.Key)
	if want := (node.Identity{Network: "testnet", Institution: "member-5", Role: node.RoleNode, Name: "n6"}); err != nil || creds.Identity != want {
		t.Errorf("certificate: %+v (%v)", creds, err)
	}
	logKey, err := node.LoadSigningKey(cfg.LogKey)
	if err != nil || !slices.Equal(logKey.Public().(ed25519.PublicKey), d.registry.asked[0].LogKey.Bytes[:]) {
		t.Errorf("the registered log key is not the one on disk (%v)", err)
	}
	tokens, err := node.LoadTokenKeys(cfg.TokenKeys)
	if err != nil || len(tokens) != 1 || tokens[0].Secret != [32]byte{4} {
		t.Errorf("token keys: %v (%v)", tokens, err)
	}
}

func TestWhatAJoinWritesIsForItsOwnerAlone(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	d := invites(t, nil)
	o := d.options()
	if _, err := Join(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var names []string
	err := filepath.WalkDir(o.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		if err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		names = append(names, entry.Name())
		return err
	})
	if want := []string{"n6", "ca.pem", "log.key", "node.yaml", "tls.key", "tls.pem", "token.keys"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("wrote %v (%v), want %v", names, err, want)
	}
}

func TestAWrongSecretIsToldAndTheRightOneStillWorks(t *testing.T) {
	d := invites(t, nil)
	o := d.options()
	o.Token.Secret[0] ^= 1
	if _, err := Join(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is not this invitation's") {
		t.Errorf("the wrong secret: %v", err)
	}
	leavesNothing(t, o.Dir)
	o.Token = d.invitation.Token()
	if _, err := Join(t.Context(), o); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

func TestTheFifthWrongAttemptEndsTheInvitation(t *testing.T) {
	d := invites(t, nil)
	wrong := d.options()
	wrong.Token.Secret[31] ^= 1
	for range maxWrong {
		d.waits()
		if _, err := Join(t.Context(), wrong); err == nil {
			t.Fatal("a wrong secret got in")
		}
	}
	if _, err := d.ends(); !errors.Is(err, ErrAttempts) {
		t.Errorf("ended with %v", err)
	}
	if _, err := Join(t.Context(), d.options()); err == nil || d.registry.count() != 0 {
		t.Errorf("the right token afterwards: %v, %d registered", err, d.registry.count())
	}
}

func TestAPortScannerCostsNoAttempt(t *testing.T) {
	d := invites(t, nil)
	for range 2 * maxWrong {
		conn, err := tls.Dial("tcp", d.invitation.Token().Address, pinned(d.invitation.Token().CA))
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	if _, err := Join(t.Context(), d.options()); err != nil {
		t.Error(err)
	}
}

func TestATokenWorksOnce(t *testing.T) {
	d := invites(t, nil)
	first, second := d.options(), d.options()
	if _, err := Join(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ends(); err != nil {
		t.Fatal(err)
	}
	if _, err := Join(t.Context(), second); err == nil || !strings.Contains(err.Error(), "was used") || d.registry.count() != 1 {
		t.Errorf("the second: %v, %d registered", err, d.registry.count())
	}
	leavesNothing(t, second.Dir)
}

func TestAnInvitationEndsWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, line := time.Now(), newPipes()
		d := invites(t, func(o *Offer) { o.Listener, o.Advertise = line, "127.0.0.1:1" })
		<-d.done
		if open := time.Since(began); !errors.Is(d.err, ErrExpired) || open != 10*time.Minute {
			t.Errorf("ended after %s with %v", open, d.err)
		}
		o := d.options()
		o.Dial = line.dial
		if _, err := Join(t.Context(), o); err == nil || !strings.Contains(err.Error(), "expired") {
			// At the very moment the joiner's clock may still allow it: nobody listens.
			if err == nil || !strings.Contains(err.Error(), "nobody listens") {
				t.Errorf("joined afterwards: %v", err)
			}
		}
	})
}

func TestAYesThatComesTooLateLetsNobodyIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newPipes()
		d := invites(t, func(o *Offer) {
			o.Listener, o.Advertise = line, "127.0.0.1:1"
			o.Approve = func(ctx context.Context, _ Request) error {
				<-ctx.Done() // the operator has gone to lunch
				return nil
			}
		})
		o := d.options()
		o.Dial = line.dial
		if _, err := Join(t.Context(), o); err == nil {
			t.Error("joined")
		}
		<-d.done
		if !errors.Is(d.err, ErrExpired) || d.registry.count() != 0 {
			t.Errorf("ended with %v, %d registered", d.err, d.registry.count())
		}
	})
}

func TestAnExpiredTokenIsNotEvenTried(t *testing.T) {
	d := invites(t, nil)
	o := d.options()
	o.Token.Expires = time.Now().Add(-time.Minute)
	if _, err := Join(t.Context(), o); err == nil || !strings.Contains(err.Error(), "expired 1m0s ago") {
		t.Error(err)
	}
	d.waits()
}

func TestOnlyTheInviterUnderTheRightAuthorityIsTrusted(t *testing.T) {
	d := invites(t, nil)
	certificate := func(ca *node.Authority, role string) tls.Certificate {
		cert, key, err := ca.Issue(node.Identity{Network: "testnet", Institution: "hub", Role: role, Name: "n6"}, []string{"127.0.0.1"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(append(cert, ca.CertificatePEM()...), key)
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	borrowed := certificate(newAuthority(t), RoleInviter) // and the right CA behind it
	block, _ := pem.Decode(d.authority.CertificatePEM())
	borrowed.Certificate[1] = block.Bytes
	for name, c := range map[string]struct {
		cert tls.Certificate
		want string
	}{
		"another authority":                     {certificate(newAuthority(t), RoleInviter), "its CA is not the one"},
		"the right authority, but not its leaf": {borrowed, "does not prove to be the inviter"},
		"a node of the network":                 {certificate(d.authority, node.RoleNode), `of role "node"`},
		"an inviter without the secret":         {certificate(d.authority, RoleInviter), "does not know its secret"},
	} {
		t.Run(name, func(t *testing.T) {
			o := d.options()
			o.Token.Address = impostor(t, c.cert)
			if _, err := Join(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			leavesNothing(t, o.Dir)
		})
	}
}

func TestAnOversizedMessageIsNotRead(t *testing.T) {
	d := invites(t, nil)
	s := d.stranger(d.invitation.Token())
	if _, err := s.conn.Write([]byte{0xff, 0xff, 0xff, 0xff, '{'}); err != nil {
		t.Fatal(err)
	}
	if got := s.hears(); !strings.Contains(got, "at most 32768 are taken") {
		t.Errorf("heard %q", got)
	}
	if _, err := Join(t.Context(), d.options()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// asks makes a request that is right but for what change does to it.
func (s *stranger) asks(template *x509.CertificateRequest, change func(*request)) {
	s.t.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, template, s.keys.tls)
	if err != nil {
		s.t.Fatal(err)
	}
	r := &request{CSR: csr, LogKey: s.keys.logPublic(), LogSignature: ed25519.Sign(s.keys.log, signedByLog(csr)),
		Raft: s.options.Raft, API: s.options.API, HTTP: s.options.HTTP}
	if change != nil {
		change(r)
	}
	s.says(r)
}

func named(name string) *x509.CertificateRequest {
	return &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}
}

func TestARequestForMoreThanWasInvitedIsRefused(t *testing.T) {
	hub := (node.Identity{Network: "testnet", Institution: "hub", Role: node.RoleHub, Name: "n6"}).URI()
	withHost, withURI := named("n6"), named("n6")
	withHost.DNSNames, withURI.URIs = []string{"n1.example"}, append(withURI.URIs, hub)
	for name, c := range map[string]struct {
		csr    *x509.CertificateRequest
		change func(*request)
		want   string
	}{
		"another name":             {named("n1"), nil, "csr: asks for more"},
		"a host":                   {withHost, nil, "csr: asks for more"},
		"an identity":              {withURI, nil, "csr: asks for more"},
		"a spoiled request":        {named("n6"), func(r *request) { r.CSR[len(r.CSR)-1] ^= 1 }, "csr: is not"},
		"somebody else's log key":  {named("n6"), func(r *request) { r.LogKey = make([]byte, 32) }, "log_key: does not sign"},
		"an address of everywhere": {named("n6"), func(r *request) { r.Raft = "0.0.0.0:7001" }, "raft: "},
		"one address twice":        {named("n6"), func(r *request) { r.HTTP = r.API }, "three different addresses"},
	} {
		t.Run(name, func(t *testing.T) {
			d := invites(t, nil)
			s := d.knows()
			s.asks(c.csr, c.change)
			if got := s.hears(); !strings.Contains(got, c.want) {
				t.Errorf("heard %q, want %q", got, c.want)
			}
			if d.registry.count() != 0 {
				t.Error("and it was registered")
			}
		})
	}
}

func TestADirectoryThatExistsIsRefusedBeforeTheTokenIsUsed(t *testing.T) {
	d := invites(t, nil)
	o := d.options()
	if err := os.Mkdir(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Join(t.Context(), o); err == nil || !strings.Contains(err.Error(), o.Dir+" exists") {
		t.Error(err)
	}
	d.waits()
	if _, err := Join(t.Context(), d.options()); err != nil {
		t.Errorf("with another directory: %v", err)
	}
}

func TestTheOperatorsNoIsTheEnd(t *testing.T) {
	no := errors.New("given up")
	d := invites(t, func(o *Offer) { o.Approve = func(context.Context, Request) error { return no } })
	o := d.options()
	if _, err := Join(t.Context(), o); err == nil || !strings.Contains(err.Error(), "did not let this node in") {
		t.Errorf("the joiner: %v", err)
	}
	if _, err := d.ends(); !errors.Is(err, no) || d.registry.count() != 0 {
		t.Errorf("the inviter: %v, %d registered", err, d.registry.count())
	}
	leavesNothing(t, o.Dir)
}

func TestAJoinerThatLeftBeforeTheYesLeavesNoRecord(t *testing.T) {
	var left chan struct{}
	d := invites(t, func(o *Offer) {
		left = make(chan struct{})
		o.Approve = func(context.Context, Request) error { <-left; return nil }
	})
	s := d.knows()
	s.asks(named("n6"), nil)
	s.conn.Close()
	close(left)
	if err := <-d.notices; !strings.Contains(err.Error(), "the joiner has gone") || d.registry.count() != 0 {
		t.Errorf("noticed %v, %d registered", err, d.registry.count())
	}
	if _, err := Join(t.Context(), d.options()); err != nil {
		t.Errorf("joining again: %v", err)
	}
}

func TestALostAnswerIsReported(t *testing.T) {
	d := invites(t, nil)
	s := d.knows()
	s.asks(named("n6"), nil)
	if err := expectWord(s.conn, wordApproved); err != nil {
		t.Fatal(err)
	}
	s.says(&word{Word: wordReady})
	s.conn.Close()
	joined, err := d.ends()
	if err != nil || joined.Confirmed || d.registry.count() != 1 {
		t.Errorf("%+v (%v), %d registered; want one that is not confirmed", joined, err, d.registry.count())
	}
}

func TestARecordThatCannotBeWrittenIsToldToBothSides(t *testing.T) {
	d := invites(t, nil)
	d.registry.err = errors.New("no leader")
	o := d.options()
	if _, err := Join(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no leader") || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("the joiner: %v", err)
	}
	if _, err := d.ends(); err == nil || !strings.Contains(err.Error(), "register n6: no leader") {
		t.Errorf("the inviter: %v", err)
	}
	leavesNothing(t, o.Dir)
}

func TestAnAnswerThatIsNotForThisNodeIsRefused(t *testing.T) {
	d := invites(t, nil)
	s := d.knows()
	other := newAuthority(t)
	certify := func(ca *node.Authority, id node.Identity, hosts ...string) []byte {
		cert, err := ca.Certify(s.keys.tls.Public(), id, hosts, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	right := node.Identity{Network: "testnet", Institution: "member-5", Role: node.RoleNode, Name: "n6"}
	wrong := right
	wrong.Institution = "member-1"
	stolen, _, err := d.authority.Issue(right, []string{"127.0.0.1", "n6.example"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ca := d.authority.CertificatePEM()
	for name, c := range map[string]struct {
		answer admission
		want   string
	}{
		"another CA":          {admission{CA: other.CertificatePEM(), Certificate: certify(other, right, "127.0.0.1", "n6.example")}, "its CA is not"},
		"another's signature": {admission{CA: ca, Certificate: certify(other, right, "127.0.0.1", "n6.example")}, "signed by unknown authority"},
		"another key":         {admission{CA: ca, Certificate: stolen}, "for another key"},
		"another institution": {admission{CA: ca, Certificate: certify(d.authority, wrong, "127.0.0.1", "n6.example")}, "member-1"},
		"a host is missing":   {admission{CA: ca, Certificate: certify(d.authority, right, "127.0.0.1")}, "n6.example"},
		"no certificate":      {admission{CA: ca}, "no PEM"},
		"a second CA":         {admission{CA: slices.Concat(ca, other.CertificatePEM()), Certificate: certify(d.authority, right, "127.0.0.1", "n6.example")}, "no PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.checkAdmission(&c.answer); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	if err := s.checkAdmission(&admission{CA: ca, Certificate: certify(d.authority, right, "127.0.0.1", "n6.example")}); err != nil {
		t.Errorf("the right answer: %v", err)
	}
}

func TestAnOfferThatCannotBeKeptIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Offer){
		"name: ":        func(o *Offer) { o.Name = "n6/../hub" },
		"institution: ": func(o *Offer) { o.Institution = "" },
		"ttl: ":         func(o *Offer) { o.TTL = 25 * time.Hour },
		"advertise: ":   func(o *Offer) { o.Advertise = "0.0.0.0:7000" },
		"suffrage: ":    func(o *Offer) { o.Suffrage = 0 },
	} {
		o := Offer{Terms: Terms{Name: "n6", Institution: "member-5", Suffrage: risk.Voter}, Network: "testnet", Inviter: "hub",
			Authority: newAuthority(t), TTL: time.Minute, Advertise: "hub.example:7000"}
		change(&o)
		if _, err := Open(o); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s%v", name, err)
		}
	}
}
