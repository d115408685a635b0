package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/node"
)

func serverName(i int) string { return fmt.Sprintf("s%d", i) }

// issue writes a CA, and a certificate and key for each server.
func issue(dir string, servers int) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "growth"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	raw, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, "ca.pem"), "CERTIFICATE", raw); err != nil {
		return err
	}
	for i := range servers {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		leaf := &x509.Certificate{SerialNumber: big.NewInt(int64(i) + 2), Subject: pkix.Name{CommonName: serverName(i)},
			NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature}
		raw, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
		if err != nil {
			return err
		}
		secret, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		at := filepath.Join(dir, serverName(i))
		if err := errors.Join(writePEM(at+".pem", "CERTIFICATE", raw), writePEM(at+".key", "PRIVATE KEY", secret)); err != nil {
			return err
		}
	}
	return nil
}

func writePEM(path, kind string, raw []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600)
}

// discard is a machine that keeps nothing but its position.
type discard struct {
	mu sync.Mutex
	at consensus.Position
}

func (d *discard) Position() consensus.Position {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

func (d *discard) LastAt() int64 { return 0 }

func (d *discard) ApplyBatch(entries []consensus.Entry) ([]any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range entries {
		d.at.Index, d.at.Term = e.Index, e.Term
		if e.Kind == consensus.Configuration {
			d.at.Configuration, d.at.ConfigurationIndex = e.Data, e.Index
		}
	}
	return make([]any, len(entries)), nil
}

func (d *discard) Sync() error { return nil }

var errNoImage = errors.New("a state that is discarded has no image")

func (d *discard) OpenImage(func() error) (consensus.Image, error) { return nil, errNoImage }
func (d *discard) StageImage() (consensus.Staging, error)          { return nil, errNoImage }

// server is a replica behind mutual TLS.
type server struct {
	consensus.Server
	*consensus.Replica
}

// named is who is at the other end.
type named string

func (n named) Key() string { return string(n) }

func (n named) SpeaksFor(server string) error {
	if server != string(n) {
		return fmt.Errorf("the certificate of %s is not that of %s", string(n), server)
	}
	return nil
}

// startServer runs one with the settings that a node has.
func startServer(dir string, i int) (*server, error) {
	name := serverName(i)
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	config := &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool, ClientCAs: pool, ServerName: "127.0.0.1",
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return nil, err
	}
	dialer := &tls.Dialer{Config: config}
	raft, home := node.DefaultConfig().Raft, filepath.Join(dir, name)
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &server{Server: consensus.Server{ID: name, Address: listener.Addr().String(), Voter: i < 3}}
	s.Replica, err = consensus.Start(consensus.Config{
		ID: name, Advertise: s.Address, Dir: home, Listener: listener,
		Dial:      func(ctx context.Context, at string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", at) },
		Peer:      peerOf,
		Logger:    slog.New(slog.DiscardHandler),
		Heartbeat: raft.Heartbeat, Election: raft.Election, Lease: raft.Lease, CommitTimeout: raft.CommitTimeout,
		TrailingLogs: raft.TrailingLogs, SnapshotThreshold: raft.SnapshotThreshold, SnapshotInterval: raft.SnapshotInterval,
	}, &discard{})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return s, nil
}

func peerOf(ctx context.Context, conn net.Conn) (consensus.Peer, error) {
	for {
		if secure, ok := conn.(*tls.Conn); ok {
			if err := secure.HandshakeContext(ctx); err != nil {
				return nil, err
			}
			return named(secure.ConnectionState().PeerCertificates[0].Subject.CommonName), nil
		}
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil, errors.New("a connection without TLS")
		}
		conn = inner.NetConn()
	}
}

// fleet are all servers but the leader, which is number 0.
type fleet struct {
	dir     string
	servers []*server
}

func (f *fleet) growTo(count int) error {
	for i := len(f.servers); i < count; i++ {
		s, err := startServer(f.dir, i+1)
		if err != nil {
			return err
		}
		f.servers = append(f.servers, s)
	}
	return nil
}

// await returns when all have an entry: a newcomer gets the whole log first.
func (f *fleet) await(ctx context.Context, index uint64) error {
	for _, s := range f.servers {
		for s.Applied() < index {
			if wait(ctx, 20*time.Millisecond); ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

func (f *fleet) members() (list []consensus.Server) {
	for _, s := range f.servers {
		list = append(list, s.Server)
	}
	return list
}

func (f *fleet) stop() {
	var all sync.WaitGroup
	for _, s := range f.servers {
		all.Go(func() { _ = s.Stop() }) // the directory goes too
	}
	all.Wait()
}
