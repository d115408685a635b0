package node

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"time"
)

// reloadEvery is how often a node looks whether its certificate files have changed.
// It looks at the files and does not watch their directories: what replaces them
// may be a mounted volume or a link that is turned, of which no event tells.
const reloadEvery = 2 * time.Second

// A certificate that ends within renewWithin is an alarm, once in renewAlarm.
const (
	renewWithin = 30 * 24 * time.Hour
	renewAlarm  = 24 * time.Hour
)

// stamp tells one version of a file from the next.
type stamp struct {
	modified time.Time
	size     int64
}

func (c *Credentials) stamps() (all [3]stamp) {
	for i, file := range c.files {
		if info, err := os.Stat(file); err == nil {
			all[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return all
}

// Reload reads the files again if they have changed. New connections, those that
// are accepted and those that are made, then use what it read; open ones go on. If
// the files do not make one good whole, nothing changes and the error says why.
func (c *Credentials) Reload() (changed bool, err error) {
	before := c.current.Load()
	if c.stamps() == before.stamps {
		return false, nil
	}
	b, err := c.read()
	if err != nil {
		return false, err
	}
	if err := c.succeeds(b); err != nil {
		return false, err
	}
	c.current.Store(b)
	return true, nil
}

// succeeds holds a new certificate to the one before it: it speaks for the same
// node, and the others will take it.
func (c *Credentials) succeeds(b *bundle) error {
	leaf := b.certificate.Leaf
	id, err := IdentityOf(leaf)
	if err != nil {
		return err
	}
	if id != c.Identity {
		return fmt.Errorf("tls.certificate: is of %s, and this node is %s; have one issued for it", id.URI(), c.Identity.URI())
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: b.ca, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return fmt.Errorf("tls.certificate: %w; tls.ca must hold the CA that issued it", err)
	}
	return nil
}

func (c *Credentials) leaf() *x509.Certificate { return c.current.Load().certificate.Leaf }

// Expires is when the certificate ends.
func (c *Credentials) Expires() time.Time { return c.leaf().NotAfter }

// keepCertificate reads replaced files, and says early when the certificate ends.
func (n *Node) keepCertificate(ctx context.Context) error {
	files, end := &reloading{}, &reminder{}
	for {
		files.look(n)
		end.look(n)
		if !pause(ctx, reloadEvery) {
			return nil
		}
	}
}

// reloading remembers what the last looks found. One that falls between the
// replacement of two files is repeated before it is an alarm.
type reloading struct {
	failed string
	told   bool
}

func (r *reloading) look(n *Node) {
	changed, err := n.creds.Reload()
	switch {
	case changed:
		n.log.Info("the certificate files were read again", "serial", n.creds.leaf().SerialNumber.Text(16), "expires", n.creds.Expires())
		*r = reloading{}
	case err == nil:
		*r = reloading{}
	case err.Error() != r.failed:
		*r = reloading{failed: err.Error()}
	case !r.told:
		r.told = true
		n.log.Error("alarm", "error", fmt.Errorf("the certificate files were changed and cannot be used, the old certificate stays in use: %w", err))
	}
}

// reminder of a certificate that ends soon.
type reminder struct{ told time.Time }

func (r *reminder) look(n *Node) {
	end := n.creds.Expires()
	if end.Sub(n.now()) > renewWithin || n.now().Sub(r.told) < renewAlarm {
		return
	}
	r.told = n.now()
	n.log.Error("alarm", "error", fmt.Sprintf("this node's certificate ends at %s; have a new one issued and put it in its place", end.UTC().Format(time.RFC3339)))
}
