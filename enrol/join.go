package enrol

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// JoinOptions say how a node joins.
type JoinOptions struct {
	Token Token
	// Dir is the directory to make; `risknet node run --config DIR/node.yaml`
	// takes it.
	Dir string
	// Where the node will listen, and where others reach it: host:port.
	Raft, API, HTTP string
	// Tune may change the configuration before it is written.
	Tune func(*node.Config)
	// Dial opens the connection; nil is the machine's own network.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Waiting, if set, is told what was offered and the node's log key once the
	// hub's operator is being asked.
	Waiting func(Terms, risk.PublicKey)
}

// Entered is a node that has joined and not yet run.
type Entered struct {
	Terms
	Network string // the network's name
	Node    risk.ID
	Config  string // path of its configuration file
	// LogKey is the note verifier key of its checkpoints, for profiles.
	LogKey string
}

// Join makes the node's keys, has them certified, and writes its directory. If
// it fails there is no such directory, and a new invitation is the cure.
func Join(ctx context.Context, o JoinOptions) (*Entered, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	keys, err := newKeys()
	if err != nil {
		return nil, err
	}
	conn, err := o.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.NetConn().Close() })()
	j := &joiner{options: o, keys: keys, conn: conn}
	entered, err := j.run()
	if ctx.Err() != nil && err != nil {
		return nil, fmt.Errorf("join: given up: %w", context.Cause(ctx))
	}
	return entered, err
}

func (o *JoinOptions) check() error {
	if err := checkAddresses(o.Raft, o.API, o.HTTP); err != nil {
		return err
	}
	if late := time.Since(o.Token.Expires); late > 0 {
		return fmt.Errorf("token: expired %s ago; have the hub's operator invite again, and see that this machine's clock is right", late.Round(time.Second))
	}
	return vacant(o.Dir)
}

// connect reaches the inviter and makes sure that it is one. It has longer for it
// than a stranger is given there: where all seats are taken, one falls free.
func (o *JoinOptions) connect(ctx context.Context) (*tls.Conn, error) {
	dial := o.Dial
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, messageTime)
	defer cancel()
	raw, err := dial(ctx, o.Token.Address)
	if err != nil {
		return nil, fmt.Errorf("token: nobody listens at %s (%w); the invitation was used, has ended or cannot be reached: see that it runs, or have the hub's operator invite again", o.Token.Address, err)
	}
	conn := tls.Client(raw, pinned(o.Token.CA))
	err = conn.HandshakeContext(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, errors.Join(fmt.Errorf("token: %s does not answer within %s; it may be busy with others: try again, and if it stays so have the hub's operator see who connects", o.Token.Address, messageTime), conn.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("token: %s does not prove to be the inviter: %w; have the hub's operator invite again", o.Token.Address, err), conn.Close())
	}
	return conn, nil
}

// pinned takes the certificate of an inviter, under the CA of that hash. Go's own
// verification is off because the CA arrives with the certificate; the whole of
// it is done here instead.
func pinned(ca [sha256.Size]byte) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: func(state tls.ConnectionState) error {
		chain := state.PeerCertificates
		if len(chain) != 2 || sha256.Sum256(chain[1].Raw) != ca {
			return errors.New("its CA is not the one that the token names")
		}
		if err := verify(chain[0], chain[1], x509.ExtKeyUsageServerAuth); err != nil {
			return err
		}
		id, err := node.IdentityOf(chain[0])
		if err == nil && id.Role != RoleInviter {
			err = fmt.Errorf("its certificate is of role %q and not of an inviter", id.Role)
		}
		return err
	}}
}

func verify(leaf, ca *x509.Certificate, usage x509.ExtKeyUsage) error {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

// keys are made here and never sent.
type keys struct {
	tls *ecdsa.PrivateKey
	log ed25519.PrivateKey
}

func newKeys() (keys, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keys{}, err
	}
	_, log, err := ed25519.GenerateKey(rand.Reader)
	return keys{tls: key, log: log}, err
}

func (k keys) logPublic() ed25519.PublicKey { return k.log.Public().(ed25519.PublicKey) }

// joiner is one attempt to join.
type joiner struct {
	options JoinOptions
	keys    keys
	conn    *tls.Conn
	terms   Terms
	network string
}

func (j *joiner) run() (*Entered, error) {
	if err := j.meet(); err != nil {
		return nil, err
	}
	if err := j.ask(); err != nil {
		return nil, err
	}
	// If we crash here, nothing has happened, and the invitation still waits.
	_ = j.conn.SetDeadline(time.Now().Add(registerTime + 2*messageTime))
	folder, err := newFolder(j.options.Dir)
	if err != nil {
		return nil, err
	}
	defer folder.discard()
	if err := j.writeKeys(folder); err != nil {
		return nil, err
	}
	if err := send(j.conn, &word{Word: wordReady}); err != nil {
		return nil, lost(err)
	}
	var a admission
	if err := hear(j.conn, &a); err != nil {
		return nil, fmt.Errorf("%w; the network may have recorded this node: have the hub's operator invite it again, with --replace", err)
	}
	// If we crash here, the network has the node's record and the answer is lost;
	// a directory with keys that nobody will use stays beside DIR. Invite again.
	entered, err := j.settle(folder, &a)
	if err != nil {
		return nil, fmt.Errorf("%w; then have the hub's operator invite this node again, with --replace", err)
	}
	// If we crash here, the node has joined and the inviter's operator is told
	// that it did not confirm.
	_ = send(j.conn, &word{Word: wordWritten})
	return entered, nil
}

// meet proves the secret and learns the terms.
func (j *joiner) meet() error {
	_ = j.conn.SetDeadline(time.Now().Add(strangerTime))
	mine, err := proof(j.conn, j.options.Token.Secret, sideJoiner)
	if err != nil {
		return err
	}
	if err := send(j.conn, &hello{Proof: mine}); err != nil {
		return lost(err)
	}
	var w welcome
	if err := hear(j.conn, &w); err != nil {
		return lost(err)
	}
	ok, err := proves(j.conn, j.options.Token.Secret, sideInviter, w.Proof)
	if err != nil {
		return err
	}
	suffrage, suffrageErr := risk.ParseSuffrage(w.Suffrage)
	if !ok || suffrageErr != nil || !nameForm.MatchString(w.Name) || !nameForm.MatchString(w.Institution) {
		return errors.New("token: the other side does not know its secret; have the hub's operator invite again")
	}
	j.terms, j.network = Terms{Name: w.Name, Institution: w.Institution, Suffrage: suffrage}, w.Network
	return nil
}

func lost(err error) error {
	return fmt.Errorf("join: the conversation with the inviter broke off: %w; try again, with a new invitation if this one has ended", err)
}

// ask sends the request and waits for the operator's yes.
func (j *joiner) ask() error {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: j.terms.Name}}, j.keys.tls)
	if err != nil {
		return err
	}
	err = send(j.conn, &request{CSR: csr, LogKey: j.keys.logPublic(), LogSignature: ed25519.Sign(j.keys.log, signedByLog(csr)),
		Raft: j.options.Raft, API: j.options.API, HTTP: j.options.HTTP})
	if err != nil {
		return lost(err)
	}
	if j.options.Waiting != nil {
		j.options.Waiting(j.terms, risk.PublicKey{Algorithm: risk.Ed25519, Bytes: [32]byte(j.keys.logPublic())})
	}
	_ = j.conn.SetDeadline(j.options.Token.Expires.Add(messageTime))
	if err := expectWord(j.conn, wordApproved); err != nil {
		return lost(err)
	}
	return nil
}

// settle checks the answer and completes the directory.
func (j *joiner) settle(f *folder, a *admission) (*Entered, error) {
	if err := j.checkAdmission(a); err != nil {
		return nil, fmt.Errorf("admission: %w", err)
	}
	id, err := risk.ParseID(a.Node)
	if err != nil {
		return nil, fmt.Errorf("admission: node: %w", err)
	}
	if _, err := risk.ParseHash(a.Network); err != nil {
		return nil, fmt.Errorf("admission: network: %w", err)
	}
	config, err := j.config(a)
	if err != nil {
		return nil, err
	}
	var tokens []node.TokenKey
	for _, k := range a.TokenKeys {
		if len(k.Secret) != 32 {
			return nil, fmt.Errorf("admission: the token key of epoch %d has %d bytes and not 32", k.Epoch, len(k.Secret))
		}
		tokens = append(tokens, node.TokenKey{Epoch: risk.Epoch(k.Epoch), Secret: [32]byte(k.Secret)})
	}
	if len(tokens) == 0 {
		return nil, errors.New("admission: brings no token key")
	}
	path, err := f.complete(map[string][]byte{"ca.pem": a.CA, "tls.pem": a.Certificate,
		"token.keys": node.FormatTokenKeys(tokens), configFile: config})
	if err != nil {
		return nil, err
	}
	return &Entered{Terms: j.terms, Network: j.network, Node: id, Config: path,
		LogKey: node.LogVerifier(a.Origin, j.keys.log)}, nil
}

// checkAdmission holds the CA to the token, and the certificate to the CA, to
// our key and to what was offered.
func (j *joiner) checkAdmission(a *admission) error {
	caBlock, rest := pem.Decode(a.CA)
	block, _ := pem.Decode(a.Certificate)
	if caBlock == nil || block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return errors.New("brings no PEM certificates")
	}
	if sha256.Sum256(caBlock.Bytes) != j.options.Token.CA {
		return errors.New("its CA is not the one that the token names")
	}
	ca, err := x509.ParseCertificate(caBlock.Bytes)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if !j.keys.tls.PublicKey.Equal(leaf.PublicKey) {
		return errors.New("certificate: is for another key")
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := verify(leaf, ca, usage); err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
	}
	for _, host := range hostsOf(Request{Raft: j.options.Raft, API: j.options.API, HTTP: j.options.HTTP}) {
		if err := leaf.VerifyHostname(host); err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
	}
	id, err := node.IdentityOf(leaf)
	if want := (node.Identity{Network: j.network, Institution: j.terms.Institution, Role: node.RoleNode, Name: j.terms.Name}); err != nil || id != want {
		return fmt.Errorf("certificate: is for %s and not for %s", id.URI(), want.URI())
	}
	return nil
}
