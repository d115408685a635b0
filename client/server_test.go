package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
)

// pki is a CA with a server and a client under it, all PEM.
type pki struct {
	pool                  *x509.CertPool
	ca                    string
	server                tls.Certificate
	clientCert, clientKey string

	authority    *x509.Certificate
	authorityKey *ecdsa.PrivateKey
}

// certificate is for a server that speaks for somebody.
func (p *pki) certificate(t testing.TB, who string) tls.Certificate {
	t.Helper()
	_, _, cert, key := issue(t, p.authority, p.authorityKey, 4, who)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func newPKI(t testing.TB) *pki {
	t.Helper()
	caKey, caCert, caPEM, _ := issue(t, nil, nil, 1, "")
	p := &pki{pool: x509.NewCertPool(), ca: caPEM, authority: caCert, authorityKey: caKey}
	p.pool.AddCert(caCert)
	p.server = p.certificate(t, "net/hub/node/n1")
	_, _, p.clientCert, p.clientKey = issue(t, caCert, caKey, 3, "net/acme/member/teller")
	return p
}

func issue(t testing.TB, parent *x509.Certificate, signer *ecdsa.PrivateKey, number int64, who string) (*ecdsa.PrivateKey, *x509.Certificate, string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	if parent == nil {
		parent, signer = template, key
	} else {
		network, path, _ := strings.Cut(who, "/")
		template.URIs = []*url.URL{{Scheme: "risknet", Host: network, Path: "/" + path}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(key)
	return key, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func (p *pki) profile(t testing.TB, endpoint string) *client.Profile {
	t.Helper()
	dir := t.TempDir()
	return &client.Profile{Endpoint: endpoint, CA: write(t, dir, "ca.pem", p.ca),
		Certificate: write(t, dir, "me.pem", p.clientCert), Key: write(t, dir, "me.key", p.clientKey)}
}

// node answers over real mutual TLS: a subject is listed if one of its tokens is.
type node struct {
	apiv1.UnimplementedChecksServer
	apiv1.UnimplementedTokensServer
	apiv1.UnimplementedRegistryServer
	apiv1.UnimplementedClusterServer

	address string
	peers   []string // api addresses of other nodes
	claims  string   // the institution of all nodes, by its records
	stop    func()

	mu      sync.Mutex
	keyring *apiv1.KeyringResponse
	listed  map[string]bool // by token
	ends    int             // so many streams end behind their first answer
	breaks  []int           // break the stream before these batches, counted over all streams
	batches int
	down    bool
	deaf    bool // answers no single check
	checks  int
	raw     int // raw values that were sent, which must stay 0

	// before, if set, may refuse a question or hold it up; shape may change an answer.
	before func(context.Context, *apiv1.CheckRequest) error
	shape  func(*apiv1.CheckResponse)
}

func (p *pki) startNode(t testing.TB, listed map[string]bool) *node {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return p.serve(t, listener, p.server, listed)
}

func (p *pki) serve(t testing.TB, listener net.Listener, certificate tls.Certificate, listed map[string]bool) *node {
	t.Helper()
	n := &node{address: listener.Addr().String(), keyring: keyringResponse(1), listed: listed, claims: "hub"}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13,
		Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.pool})))
	apiv1.RegisterChecksServer(server, n)
	apiv1.RegisterTokensServer(server, n)
	apiv1.RegisterRegistryServer(server, n)
	apiv1.RegisterClusterServer(server, n)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	n.stop = sync.OnceFunc(func() { server.Stop(); <-done })
	t.Cleanup(n.stop)
	return n
}

func (n *node) Keyring(context.Context, *apiv1.KeyringRequest) (*apiv1.KeyringResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.keyring, nil
}

func (n *node) Network(context.Context, *apiv1.NetworkRequest) (*apiv1.NetworkResponse, error) {
	out := &apiv1.NetworkResponse{NetworkId: make([]byte, 32)}
	for _, address := range append([]string{n.address}, n.peers...) {
		out.Nodes = append(out.Nodes, &apiv1.Node{Api: address, Institution: n.claims})
	}
	return out, nil
}

func (n *node) Status(context.Context, *apiv1.StatusRequest) (*apiv1.StatusResponse, error) {
	if n.down {
		return nil, status.Error(codes.Unavailable, "going down")
	}
	return &apiv1.StatusResponse{}, nil
}

func (n *node) Check(ctx context.Context, in *apiv1.CheckRequest) (*apiv1.CheckResponse, error) {
	n.mu.Lock()
	before, shape := n.before, n.shape
	n.mu.Unlock()
	if before != nil {
		if err := before(ctx, in); err != nil {
			return nil, err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.checks++
	if n.deaf {
		return nil, status.Error(codes.Unavailable, "going down")
	}
	out := &apiv1.CheckResponse{Advice: "allow", Root: make([]byte, 32)}
	for _, s := range in.Subjects {
		if s.Value == "" && in.ScopesVersion < n.keyring.ScopesVersion {
			return nil, status.Error(codes.FailedPrecondition, "more scopes are in use")
		}
		if s.Value != "" {
			n.raw++
		}
		for _, asked := range s.Tokens {
			if n.listed[string(asked.Token)] {
				out.Advice, out.Listed = "deny", true
			}
		}
	}
	if in.Payment.GetCurrency() == "XXX" {
		out = &apiv1.CheckResponse{Error: "currency: XXX is none"}
	}
	if shape != nil {
		shape(out)
	}
	return out, nil
}

func (n *node) CheckStream(stream apiv1.Checks_CheckStreamServer) error {
	for {
		in, err := stream.Recv()
		if err != nil {
			return nil
		}
		if n.breakHere() {
			return status.Error(codes.Unavailable, "the node is going down")
		}
		out := &apiv1.CheckBatchResponse{}
		for _, check := range in.Checks {
			answer, err := n.Check(stream.Context(), check)
			if err != nil {
				return err
			}
			out.Checks = append(out.Checks, answer)
		}
		if err := stream.Send(out); err != nil {
			return err
		}
		if err := n.endHere(); err != nil {
			return err
		}
	}
}

// endHere ends a stream behind its first answer, if this node does so.
func (n *node) endHere() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ends == 0 {
		return nil
	}
	n.ends--
	return status.Error(codes.InvalidArgument, "this stream is over")
}

func (n *node) breakHere() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.batches++
	return slices.Contains(n.breaks, n.batches)
}

func dialNode(t testing.TB, p *pki, home, endpoint string) *client.Client {
	t.Helper()
	c, err := client.Dial(p.profile(t, home), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
