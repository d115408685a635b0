package node

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
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

// Credentials are a node's certificate with its key, and the CAs that vouch for
// peers. The files may be replaced while the node runs: see [Credentials.Reload].
type Credentials struct {
	Identity Identity // stays what it was when the files were first read

	files   [3]string // CA, certificate, key
	current atomic.Pointer[bundle]
	lines   lines
}

// bundle is what the three files said together.
type bundle struct {
	ca          *x509.CertPool
	certificate tls.Certificate
	stamps      [3]stamp
}

// LoadCredentials reads PEM files.
func LoadCredentials(caFile, certFile, keyFile string) (*Credentials, error) {
	c := &Credentials{files: [3]string{caFile, certFile, keyFile}}
	b, err := c.read()
	if err != nil {
		return nil, err
	}
	if c.Identity, err = IdentityOf(b.certificate.Leaf); err != nil {
		return nil, err
	}
	c.current.Store(b)
	return c, nil
}

func (c *Credentials) read() (*bundle, error) {
	b := &bundle{ca: x509.NewCertPool(), stamps: c.stamps()}
	ca, err := os.ReadFile(c.files[0])
	if err != nil {
		return nil, fmt.Errorf("tls.ca: %w; name the network's CA certificate", err)
	}
	if !b.ca.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("tls.ca: %s holds no PEM certificate; name the network's CA certificate", c.files[0])
	}
	if b.certificate, err = tls.LoadX509KeyPair(c.files[1], c.files[2]); err != nil {
		return nil, fmt.Errorf("tls.certificate: %w; certificate and key must be PEM files that belong together", err)
	}
	return b, nil
}

// ServerTLS demands a certificate of this network, of a role that has something to
// do at the listener. Each connection is met with the files as they are then. No
// session is resumed: it would bring yesterday's certificate past today's CA.
func (c *Credentials) ServerTLS(at listener) *tls.Config {
	roles := rolesAt(at)
	return &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			b := c.current.Load()
			return &tls.Config{
				MinVersion:             tls.VersionTLS13,
				SessionTicketsDisabled: true,
				Certificates:           []tls.Certificate{b.certificate},
				ClientAuth:             tls.RequireAndVerifyClientCert,
				ClientCAs:              b.ca,
				VerifyConnection: func(state tls.ConnectionState) error {
					peer, err := c.ofNetwork(state)
					if err == nil {
						err = holdsRole(peer, at, roles)
					}
					if err != nil {
						return err
					}
					return c.lines.enter(hello.Conn, state.PeerCertificates[0])
				},
			}, nil
		}}
}

// ClientTLS is for one connection to a node. If any are named, one of them has to
// answer: a certificate of another node at that address is refused.
func (c *Credentials) ClientTLS(conn net.Conn, meant ...Identity) *tls.Config {
	b := c.current.Load()
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{b.certificate},
		RootCAs:      b.ca,
		VerifyConnection: func(state tls.ConnectionState) error {
			peer, err := c.ofNetwork(state)
			if err == nil {
				err = isMeant(peer, meant)
			}
			if err != nil {
				return err
			}
			return c.lines.enter(conn, state.PeerCertificates[0])
		},
	}
}

// ofNetwork reads who the other end is, and refuses another network's.
func (c *Credentials) ofNetwork(state tls.ConnectionState) (Identity, error) {
	peer, err := IdentityOf(state.PeerCertificates[0])
	if err != nil {
		return peer, err
	}
	if peer.Network != c.Identity.Network {
		return peer, fmt.Errorf("certificate: is of network %q, this is %q", peer.Network, c.Identity.Network)
	}
	return peer, nil
}

// holdsRole keeps out of a listener who can do nothing there.
func holdsRole(peer Identity, at listener, roles []string) error {
	if !slices.Contains(roles, peer.Role) {
		return fmt.Errorf("certificate: role %q of %s may not use %s; it is for %s", peer.Role, peer.Institution, at, strings.Join(roles, ", "))
	}
	return nil
}

// isMeant keeps one node from answering in another's name.
func isMeant(peer Identity, meant []Identity) error {
	if peer.Role != RoleNode {
		return fmt.Errorf("certificate: is of role %q; a node must answer here", peer.Role)
	}
	if len(meant) > 0 && !slices.Contains(meant, peer) {
		return fmt.Errorf("certificate: is of %s of %s, and %s of %s was meant", peer.Name, peer.Institution, meant[0].Name, meant[0].Institution)
	}
	return nil
}
