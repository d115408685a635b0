package enrol

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The conversation, each message a big-endian u32 length and JSON:
//
//	joiner:  hello     proof of the secret
//	inviter: welcome   proof of the secret, and what is offered
//	joiner:  request   key to certify, log key, addresses
//	inviter: approved  the operator said yes; nothing is written yet
//	joiner:  ready     still here, keys on disk
//	inviter: admission certificate, ids, token keys; the record stands by now
//	joiner:  written   the directory is complete
//
// Each message of the inviter can carry an error instead; then it is the last.

// maxMessage bounds a message before it is read. The largest, an admission, has
// under 4 KiB.
const maxMessage = 32 << 10

type hello struct {
	Proof []byte `json:"proof"`
}

type welcome struct {
	Error       string `json:"error,omitempty"`
	Proof       []byte `json:"proof,omitempty"`
	Network     string `json:"network,omitempty"` // its name
	Name        string `json:"name,omitempty"`
	Institution string `json:"institution,omitempty"`
	Suffrage    string `json:"suffrage,omitempty"`
}

type request struct {
	CSR          []byte `json:"csr"` // DER; its common name is the node's name
	LogKey       []byte `json:"log_key"`
	LogSignature []byte `json:"log_signature"` // by the log key, over the CSR
	Raft         string `json:"raft"`
	API          string `json:"api"`
	HTTP         string `json:"http"`
}

type word struct {
	Error string `json:"error,omitempty"`
	Word  string `json:"word,omitempty"`
}

type admission struct {
	Error       string     `json:"error,omitempty"`
	CA          []byte     `json:"ca,omitempty"`          // PEM
	Certificate []byte     `json:"certificate,omitempty"` // PEM
	Network     string     `json:"network,omitempty"`     // id, 64 hex digits
	Origin      string     `json:"origin,omitempty"`      // of the ledger
	Node        string     `json:"node,omitempty"`        // id, 32 hex digits
	TokenKeys   []tokenKey `json:"token_keys,omitempty"`
}

type tokenKey struct {
	Epoch  uint32 `json:"epoch"`
	Secret []byte `json:"secret"`
}

const (
	wordApproved = "approved"
	wordReady    = "ready"
	wordWritten  = "written"
)

// fault is what a message carried instead of its content.
func (m *welcome) fault() string   { return m.Error }
func (m *word) fault() string      { return m.Error }
func (m *admission) fault() string { return m.Error }

func send(w io.Writer, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(text) > maxMessage {
		return fmt.Errorf("message: has %d bytes; at most %d are taken", len(text), maxMessage)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	return err
}

// errSpoken is a message that breaks the protocol: not a broken line.
var errSpoken = errors.New("message: is not of this protocol; use the same version of risknet on both sides")

// receive reads one message strictly.
func receive(r io.Reader, into any) error {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(length[:])
	if size > maxMessage {
		return fmt.Errorf("%w (it announces %d bytes, at most %d are taken)", errSpoken, size, maxMessage)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(r, text); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil || decoder.More() {
		return errSpoken
	}
	return nil
}

// hear reads a message of the other side, or the error that stands in its place.
// That is quoted: it is another's text, and goes to a terminal.
func hear(r io.Reader, into interface{ fault() string }) error {
	if err := receive(r, into); err != nil {
		return err
	}
	if text := into.fault(); text != "" {
		return fmt.Errorf("the other side answered: %q", text)
	}
	return nil
}

func expectWord(r io.Reader, want string) error {
	var m word
	if err := hear(r, &m); err != nil {
		return err
	}
	if m.Word != want {
		return errSpoken
	}
	return nil
}

// proof binds the secret to this very connection and to one side of it, so that
// it can neither be carried to another connection nor sent back.
func proof(conn *tls.Conn, secret [32]byte, side string) ([]byte, error) {
	state := conn.ConnectionState()
	exported, err := state.ExportKeyingMaterial("EXPORTER-risknet-join", nil, 32)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte("risknet join 1 " + side))
	mac.Write(exported)
	return mac.Sum(nil), nil
}

// proves compares in constant time.
func proves(conn *tls.Conn, secret [32]byte, side string, given []byte) (bool, error) {
	want, err := proof(conn, secret, side)
	return err == nil && hmac.Equal(want, given), err
}

const (
	sideJoiner  = "joiner"
	sideInviter = "inviter"
)
