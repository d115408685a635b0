package enrol

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"regexp"
	"time"

	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// Terms are what an invitation offers; the joiner cannot change them.
type Terms struct {
	Name        string // of the node
	Institution string // whose node it is
	Suffrage    risk.Suffrage
}

// Request is what a joiner asks for, as the operator is shown it.
type Request struct {
	From            string // address of the connection
	LogKey          risk.PublicKey
	Raft, API, HTTP string
}

// Membership is what a node becomes by being registered.
type Membership struct {
	Origin    string // of the network's ledger
	Network   risk.Hash
	Node      risk.ID
	TokenKeys []node.TokenKey // of the live epochs
}

// Registrar makes a node known to the network: when it returns without an error,
// the node's record is in the ledger. It is called once for an invitation, and
// may fail with the record written or not.
type Registrar interface {
	Register(context.Context, Terms, Request) (Membership, error)
}

// Offer is an invitation before it is open.
type Offer struct {
	Terms
	Network   string // the network's name, as certificates carry it
	Inviter   string // institution of the one who invites
	Authority *node.Authority
	Registrar Registrar
	// Listener is where the joiner comes in; the invitation closes it.
	Listener net.Listener
	// Advertise is the address of the listener as the joiner can dial it.
	Advertise string
	TTL       time.Duration
	// Approve asks the operator. Nil approves. Its error ends the invitation and
	// is told to the joiner.
	Approve func(context.Context, Request) error
	// Notice, if set, hears of attempts that failed, one at a time; of those that
	// proved nothing, such as a port scanner's, now and then.
	Notice func(error)
}

// RoleInviter stands in the certificate of an invitation, and of nothing else.
const RoleInviter = "inviter"

// MaxTTL bounds how long an invitation may stay open.
const MaxTTL = 24 * time.Hour

// The deadlines of a connection: until the secret is proved, for each further
// message, and for the record to be written.
const (
	strangerTime = 10 * time.Second
	messageTime  = 30 * time.Second
	registerTime = 2 * time.Minute
)

// Invitation waits for one node. One goroutine uses it.
type Invitation struct {
	offer Offer
	token Token
	ca    []byte // PEM
	tls   *tls.Config
}

// Open issues the listener's certificate and makes the token. If it fails, the
// listener stays the caller's.
func Open(o Offer) (*Invitation, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	ca := o.Authority.CertificatePEM()
	hash, err := hashCA(ca)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(o.Advertise)
	now := time.Now()
	id := node.Identity{Network: o.Network, Institution: o.Inviter, Role: RoleInviter, Name: o.Name}
	cert, key, err := o.Authority.Issue(id, []string{host}, now)
	if err != nil {
		return nil, fmt.Errorf("ca-key: %w; name the key of the CA certificate", err)
	}
	// The chain carries the CA, which the joiner knows by its hash alone.
	pair, err := tls.X509KeyPair(append(cert, ca...), key)
	if err != nil {
		return nil, err
	}
	return &Invitation{offer: o, token: newToken(hash, o.Advertise, now.Add(o.TTL)), ca: ca,
		tls: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, SessionTicketsDisabled: true}}, nil
}

// nameForm is what names of nodes and institutions look like. They stand in the
// URI of a certificate, between slashes.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (o *Offer) check() error {
	switch {
	case !nameForm.MatchString(o.Name):
		return fmt.Errorf("name: %q; use 1 to 63 letters, digits, dots, dashes and underscores", o.Name)
	case !nameForm.MatchString(o.Institution):
		return fmt.Errorf("institution: %q; use 1 to 63 letters, digits, dots, dashes and underscores", o.Institution)
	case !nameForm.MatchString(o.Inviter):
		return fmt.Errorf("profile: institution: %q; the hub's profile names the hub", o.Inviter)
	case !o.Suffrage.Valid():
		return errors.New("suffrage: must be voter or nonvoter")
	case o.TTL < time.Second || o.TTL > MaxTTL:
		return fmt.Errorf("ttl: %s; an invitation is open for 1s to %s", o.TTL, MaxTTL)
	}
	return checkAddress("advertise", o.Advertise)
}

func hashCA(text []byte) ([sha256.Size]byte, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return [sha256.Size]byte{}, errors.New("ca: is not a PEM certificate; name the network's CA certificate")
	}
	return sha256.Sum256(block.Bytes), nil
}

// Token is what the joiner needs.
func (i *Invitation) Token() Token { return i.token }

// The ends of an invitation that let nobody in.
var (
	ErrExpired  = errors.New("the invitation has expired and nobody was let in; invite again")
	ErrAttempts = fmt.Errorf("the invitation has ended after %d failed attempts and nobody was let in; invite again, and ask who tries", maxWrong)
)

// Joined is a node that was let in.
type Joined struct {
	Request
	Membership
	// Confirmed says that the joiner has written its directory. If not, it may
	// have crashed with the answer in its hands: see the package comment.
	Confirmed bool
}

// meeting is one connection.
type meeting struct {
	*Invitation
	conn   *tls.Conn
	from   string
	stop   func() bool // keeps the end of the invitation from closing conn
	counts bool        // a failure now is one of the wrong attempts
	final  bool        // a failure now ends the invitation
	asked  Request
	public any // the key to certify
}

func (m *meeting) leave() {
	m.stop()
	_ = m.conn.Close()
}

// hear finds out whether a guest has the token, and what it asks for.
func (m *meeting) hear(ctx context.Context) error {
	if err := m.meet(ctx); err != nil {
		return err
	}
	if err := m.request(); err != nil {
		return m.tell(err)
	}
	return nil
}

// run leads the rest of the conversation. Limited ends with the invitation; once
// the operator has said yes, only ctx can stop what is under way.
func (m *meeting) run(ctx, limited context.Context) (*Joined, error) {
	defer m.leave()
	if err := m.approve(limited); err != nil {
		return nil, err
	}
	if !m.stop() {
		return nil, context.Cause(limited)
	}
	defer context.AfterFunc(ctx, func() { m.conn.NetConn().Close() })()
	m.final = true
	return m.admit(ctx)
}

// meet finds out whether the other side has the token, for as long as a stranger
// is given. One that says nothing wrong, such as a port scanner, costs no attempt.
func (m *meeting) meet(ctx context.Context) error {
	_ = m.conn.SetDeadline(time.Now().Add(strangerTime))
	if err := m.conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("does not speak TLS as a joiner does: %w", err)
	}
	var h hello
	err := receive(m.conn, &h)
	m.counts = err == nil || errors.Is(err, errSpoken)
	if err != nil {
		return m.tell(err)
	}
	ok, err := proves(m.conn, m.token.Secret, sideJoiner, h.Proof)
	if err != nil {
		return err
	}
	if !ok {
		return m.tell(errors.New("token: is not this invitation's; use the one that it printed"))
	}
	mine, err := proof(m.conn, m.token.Secret, sideInviter)
	if err != nil {
		return err
	}
	m.patience(messageTime)
	return send(m.conn, &welcome{Proof: mine, Network: m.offer.Network, Name: m.offer.Name,
		Institution: m.offer.Institution, Suffrage: m.offer.Suffrage.String()})
}

func (m *meeting) patience(d time.Duration) { _ = m.conn.SetDeadline(time.Now().Add(d)) }

// tell gives the joiner the reason too, as far as it can still hear it.
func (m *meeting) tell(err error) error {
	_ = send(m.conn, &word{Error: err.Error()})
	return err
}

// request reads what the joiner asks for and checks all that can be checked
// without asking anybody.
func (m *meeting) request() error {
	var r request
	if err := receive(m.conn, &r); err != nil {
		return err
	}
	csr, err := x509.ParseCertificateRequest(r.CSR)
	if err != nil || csr.CheckSignature() != nil {
		return errors.New("csr: is not a certificate request signed by its own key")
	}
	if csr.Subject.CommonName != m.offer.Name || len(csr.URIs)+len(csr.DNSNames)+len(csr.IPAddresses)+len(csr.EmailAddresses) > 0 {
		return fmt.Errorf("csr: asks for more than the name %q; that is what was invited", m.offer.Name)
	}
	if len(r.LogKey) != ed25519.PublicKeySize || !ed25519.Verify(r.LogKey, signedByLog(r.CSR), r.LogSignature) {
		return errors.New("log_key: does not sign this request; send the Ed25519 key that the node holds")
	}
	m.public = csr.PublicKey
	m.asked = Request{From: m.from, LogKey: risk.PublicKey{Algorithm: risk.Ed25519, Bytes: [32]byte(r.LogKey)},
		Raft: r.Raft, API: r.API, HTTP: r.HTTP}
	return checkAddresses(r.Raft, r.API, r.HTTP)
}

// signedByLog is what shows that the joiner holds the log key that it names.
func signedByLog(csr []byte) []byte { return append([]byte("risknet join log key\n"), csr...) }

// approve asks the operator, and then the joiner whether it is still there: a
// person may have taken long to say yes.
func (m *meeting) approve(ctx context.Context) error {
	_ = m.conn.SetDeadline(m.token.Expires)
	if m.offer.Approve != nil {
		if err := m.offer.Approve(ctx, m.asked); err != nil {
			m.final = ctx.Err() == nil
			_ = m.tell(errors.New("the hub's operator did not let this node in"))
			return err
		}
	}
	m.patience(messageTime)
	if err := send(m.conn, &word{Word: wordApproved}); err != nil {
		return fmt.Errorf("the joiner has gone: %w", err)
	}
	if err := expectWord(m.conn, wordReady); err != nil {
		return fmt.Errorf("the joiner has gone: %w", err)
	}
	return nil
}

// admit certifies, registers and answers.
func (m *meeting) admit(ctx context.Context) (*Joined, error) {
	id := node.Identity{Network: m.offer.Network, Institution: m.offer.Institution, Role: node.RoleNode, Name: m.offer.Name}
	cert, err := m.offer.Authority.Certify(m.public, id, hostsOf(m.asked), time.Now())
	if err != nil {
		return nil, m.tell(err)
	}
	m.patience(registerTime + messageTime)
	writing, cancel := context.WithTimeout(ctx, registerTime)
	defer cancel()
	// If we crash here, the certificate is lost and nobody knows of it.
	member, err := m.offer.Registrar.Register(writing, m.offer.Terms, m.asked)
	if err != nil {
		return nil, m.tell(fmt.Errorf("register %s: %w", m.offer.Name, err))
	}
	// If we crash here, the network has a node record and nobody its certificate:
	// the next invitation under this name takes the record away.
	joined := &Joined{Request: m.asked, Membership: member}
	answer := &admission{CA: m.ca, Certificate: cert, Network: member.Network.String(), Origin: member.Origin, Node: member.Node.String()}
	for _, k := range member.TokenKeys {
		answer.TokenKeys = append(answer.TokenKeys, tokenKey{Epoch: uint32(k.Epoch), Secret: k.Secret[:]})
	}
	m.patience(messageTime)
	if err := send(m.conn, answer); err == nil {
		joined.Confirmed = expectWord(m.conn, wordWritten) == nil
	}
	return joined, nil
}
