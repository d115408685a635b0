package node

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// Roles that a certificate can carry. What an institution may write is decided
// by its signing keys; the role says which doors its connections may use.
const (
	RoleNode     = "node"
	RoleHub      = "hub"
	RoleMember   = "member"
	RoleAuditor  = "auditor"
	RoleOperator = "operator"
)

// Identity is who a certificate speaks for. It stands in the certificate as the
// URI risknet://NETWORK/INSTITUTION/ROLE/NAME.
type Identity struct {
	Network     string
	Institution string
	Role        string
	Name        string // of the node, or of the person or program
}

// URI gives the form that stands in a certificate.
func (id Identity) URI() *url.URL {
	return &url.URL{Scheme: "risknet", Host: id.Network, Path: "/" + id.Institution + "/" + id.Role + "/" + id.Name}
}

// IdentityOf reads the identity out of a certificate.
func IdentityOf(cert *x509.Certificate) (Identity, error) {
	for _, uri := range cert.URIs {
		parts := strings.Split(strings.TrimPrefix(uri.Path, "/"), "/")
		if uri.Scheme == "risknet" && len(parts) == 3 {
			return Identity{Network: uri.Host, Institution: parts[0], Role: parts[1], Name: parts[2]}, nil
		}
	}
	return Identity{}, errors.New("certificate: carries no risknet:// URI; have it issued by the network's CA")
}

// Credentials are a certificate with its key and the CA that vouches for peers.
type Credentials struct {
	Certificate tls.Certificate
	CA          *x509.CertPool
	Identity    Identity
}

// LoadCredentials reads PEM files.
func LoadCredentials(caFile, certFile, keyFile string) (*Credentials, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("tls.ca: %w; name the network's CA certificate", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("tls.ca: %s holds no PEM certificate; name the network's CA certificate", caFile)
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("tls.certificate: %w; certificate and key must be PEM files that belong together", err)
	}
	identity, err := IdentityOf(cert.Leaf)
	if err != nil {
		return nil, err
	}
	return &Credentials{Certificate: cert, CA: pool, Identity: identity}, nil
}

// ServerTLS demands a certificate of this network from whoever connects, and,
// if roles are given, one of those roles.
func (c *Credentials) ServerTLS(roles ...string) *tls.Config {
	return &tls.Config{
		MinVersion:       tls.VersionTLS13,
		Certificates:     []tls.Certificate{c.Certificate},
		ClientAuth:       tls.RequireAndVerifyClientCert,
		ClientCAs:        c.CA,
		VerifyConnection: func(state tls.ConnectionState) error { return c.verifyPeer(state, roles) },
	}
}

// ClientTLS connects to a node of this network.
func (c *Credentials) ClientTLS() *tls.Config {
	return &tls.Config{
		MinVersion:       tls.VersionTLS13,
		Certificates:     []tls.Certificate{c.Certificate},
		RootCAs:          c.CA,
		VerifyConnection: func(state tls.ConnectionState) error { return c.verifyPeer(state, []string{RoleNode}) },
	}
}

func (c *Credentials) verifyPeer(state tls.ConnectionState, roles []string) error {
	peer, err := IdentityOf(state.PeerCertificates[0])
	if err != nil {
		return err
	}
	if peer.Network != c.Identity.Network {
		return fmt.Errorf("certificate: is of network %q, this is %q", peer.Network, c.Identity.Network)
	}
	for _, role := range roles {
		if peer.Role == role {
			return nil
		}
	}
	if len(roles) > 0 {
		return fmt.Errorf("certificate: role %q may not connect here", peer.Role)
	}
	return nil
}
