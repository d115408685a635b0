package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// maxReceiveBytes bounds one answer of a node.
const maxReceiveBytes = 16 << 20

// TLS reads the profile's certificate, key and CA.
func (p *Profile) TLS() (*tls.Config, error) {
	ca, err := os.ReadFile(p.CA)
	if err != nil {
		return nil, fmt.Errorf("profile: ca: %s; name the network's CA certificate", oneLine(err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("profile: ca: %s holds no PEM certificate; name the network's CA certificate", p.CA)
	}
	cert, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
	if err != nil {
		return nil, fmt.Errorf("profile: certificate: %s; certificate and key must be PEM files that belong together", oneLine(err))
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, Certificates: []tls.Certificate{cert}}, nil
}

// toNodes has the same, for what a node alone may be asked. The ledger over HTTP
// proves itself, whoever passes it on.
func toNodes(config *tls.Config) *tls.Config {
	if len(config.Certificates) == 0 || config.Certificates[0].Leaf == nil {
		return config // it says nothing of itself, and no node will let it in
	}
	config = config.Clone()
	also := config.VerifyConnection
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if also != nil {
			if err := also(state); err != nil {
				return err
			}
		}
		return isNode(config.Certificates[0].Leaf, state.PeerCertificates[0])
	}
	return config
}

// ofInstitutions has it take nodes of these institutions alone.
func ofInstitutions(config *tls.Config, names []string) *tls.Config {
	config = config.Clone()
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if name := institutionOf(state.PeerCertificates[0]); name == "" || !slices.Contains(names, name) {
			return fmt.Errorf("endpoint: its certificate is of institution %q, and questions go to nodes of %s alone; see that the address is such a node's", name, strings.Join(names, ", "))
		}
		return nil
	}
	return config
}

// isNode keeps whatever else the network's CA has certified from answering as a
// node: a certificate carries the URI risknet://NETWORK/INSTITUTION/ROLE/NAME.
func isNode(own, peer *x509.Certificate) error {
	network, _ := speaksFor(own)
	at, role := speaksFor(peer)
	if role != "node" || at != network {
		return fmt.Errorf("endpoint: its certificate is of role %q in network %q, and not of a node of %q; see that the address is a node's", role, at, network)
	}
	return nil
}

func speaksFor(cert *x509.Certificate) (network, role string) {
	network, _, role = identityOf(cert)
	return network, role
}

func institutionOf(cert *x509.Certificate) string {
	_, institution, _ := identityOf(cert)
	return institution
}

func identityOf(cert *x509.Certificate) (network, institution, role string) {
	for _, uri := range cert.URIs {
		if parts := strings.Split(strings.TrimPrefix(uri.Path, "/"), "/"); uri.Scheme == "risknet" && len(parts) == 3 {
			return uri.Host, parts[0], parts[1]
		}
	}
	return "", "", ""
}

// DialNode prepares a connection to one node; it is made with the first call.
func DialNode(address string, config *tls.Config) (*grpc.ClientConn, error) {
	return dialNode(address, config, nil)
}

func dialNode(address string, config *tls.Config, reach Reach) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(toNodes(config))),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceiveBytes), grpc.ForceCodecV2(newCodec())),
		grpc.WithStaticStreamWindowSize(apiv1.AnswerWindow), grpc.WithStaticConnWindowSize(apiv1.ConnWindow),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 3 * time.Second,
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	}
	if reach != nil {
		options = append(options, grpc.WithContextDialer(reach))
	}
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %q: %w; give host:port", address, err)
	}
	return conn, nil
}

// codec sends api/v1 messages through their generated code, which costs about a
// third of reflection and gives the same bytes.
type codec struct{ other encoding.CodecV2 }

type fastMessage interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT([]byte) error
}

func newCodec() encoding.CodecV2 { return codec{encoding.GetCodecV2(proto.Name)} }

func (c codec) Name() string { return proto.Name }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(fastMessage)
	if !ok {
		return c.other.Marshal(v)
	}
	data, err := m.MarshalVT()
	return mem.BufferSlice{mem.SliceBuffer(data)}, err
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(fastMessage)
	if !ok {
		return c.other.Unmarshal(data, v)
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	return m.UnmarshalVT(buf.ReadOnlyData())
}
