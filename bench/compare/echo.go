package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// echo is the peer of checks: a bare gRPC server with the same TLS and the same
// messages through the same generated code, which answers each check with one answer
// that it was given. It is a process of its own, as a node is.
type echo struct{ listen, cert, key, ca, answer string }

func echoFlags() *echo {
	e := &echo{}
	flag.StringVar(&e.listen, "echo", "", "be the echo server at this address")
	flag.StringVar(&e.cert, "cert", "", "its certificate")
	flag.StringVar(&e.key, "key", "", "its key")
	flag.StringVar(&e.ca, "ca", "", "the CA of its callers")
	flag.StringVar(&e.answer, "answer", "", "file of the answer to each check")
	return e
}

func (e *echo) serve(ctx context.Context) error {
	cert, err := tls.LoadX509KeyPair(e.cert, e.key)
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(e.ca)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	data, err := os.ReadFile(e.answer)
	if err != nil {
		return err
	}
	service := &echoService{answer: &apiv1.CheckResponse{}}
	if err := service.answer.UnmarshalVT(data); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", e.listen)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(proto.Name)}), grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert})))
	apiv1.RegisterChecksServer(server, service)
	defer context.AfterFunc(ctx, server.Stop)()
	return server.Serve(listener)
}

type echoService struct {
	apiv1.UnimplementedChecksServer
	answer *apiv1.CheckResponse
}

func (s *echoService) Check(context.Context, *apiv1.CheckRequest) (*apiv1.CheckResponse, error) {
	return s.answer, nil
}

func (s *echoService) CheckStream(stream grpc.BidiStreamingServer[apiv1.CheckBatchRequest, apiv1.CheckBatchResponse]) error {
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		out := &apiv1.CheckBatchResponse{Checks: make([]*apiv1.CheckResponse, len(in.Checks))}
		for i := range out.Checks {
			out.Checks[i] = s.answer
		}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
}

// codec is the generated code and nothing else.
type codec struct{ other encoding.CodecV2 }

type generated interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT([]byte) error
}

func (c codec) Name() string { return proto.Name }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	data, err := v.(generated).MarshalVT()
	return mem.BufferSlice{mem.SliceBuffer(data)}, err
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	return v.(generated).UnmarshalVT(buffer.ReadOnlyData())
}

// startEcho runs this program again as an echo server, with the node's certificate
// and an answer that the node has given.
func (n *network) startEcho(ctx context.Context) (address string, stop func(), err error) {
	answer, err := n.anAnswer(ctx)
	if err != nil {
		return "", nil, err
	}
	file := n.path("answer")
	if err := os.WriteFile(file, answer, 0o600); err != nil {
		return "", nil, err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address = free.Addr().String()
	if err := free.Close(); err != nil {
		return "", nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(self, "-echo", address, "-answer", file, "-ca", n.path("ca.pem"),
		"-cert", n.path("nodes", "n1", "tls.pem"), "-key", n.path("nodes", "n1", "tls.key"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	for range 100 {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return address, stop, conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("the echo server at %s does not come up", address)
}
