package node

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// newServer makes the gRPC server with every bound that gRPC leaves open.
func (n *Node) newServer(checks *checkService) *grpc.Server {
	server := grpc.NewServer(
		grpc.InTapHandle(checks.admission.door),
		grpc.Creds(credentials.NewTLS(n.creds.ServerTLS(atAPI))),
		grpc.ForceServerCodecV2(newWireCodec()),
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))), // their stacks have grown already
		grpc.StaticStreamWindowSize(apiv1.RequestWindow), grpc.StaticConnWindowSize(apiv1.ConnWindow),
		grpc.MaxConcurrentStreams(n.cfg.Limits.Streams),
		grpc.MaxRecvMsgSize(n.cfg.Limits.Message),
		grpc.ConnectionTimeout(handshakePatience),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 10 * time.Minute, Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.UnaryInterceptor(n.admitUnary),
		grpc.StreamInterceptor(n.admitStream))
	server.RegisterService(checksDesc, checks)
	apiv1.RegisterAlertsServer(server, &alertService{node: n})
	apiv1.RegisterCommandsServer(server, &commandService{node: n})
	apiv1.RegisterRegistryServer(server, &registryService{node: n})
	apiv1.RegisterTokensServer(server, &tokenService{node: n})
	apiv1.RegisterOverridesServer(server, &overrideService{node: n})
	apiv1.RegisterClusterServer(server, &clusterService{node: n})
	apiv1.RegisterPeersServer(server, &peerService{node: n})
	healthpb.RegisterHealthServer(server, n.health)
	if n.cfg.Development {
		reflection.Register(server)
	}
	return server
}

// callerOf gives the identity in the caller's certificate; zero if there is
// none, which mutual TLS does not let happen.
func callerOf(ctx context.Context) Identity {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return Identity{}
	}
	return certified(p)
}

// certified gives the identity in the certificate of the other end.
func certified(p *peer.Peer) Identity {
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return Identity{}
	}
	id, err := IdentityOf(info.State.PeerCertificates[0])
	if err != nil {
		return Identity{}
	}
	return id
}

// serveAPI answers gRPC until the context ends; calls under way get a moment to
// finish.
func (n *Node) serveAPI(ctx context.Context) error {
	server := n.newServer(newCheckService(n))
	defer server.Stop() // its workers live until then, also where Serve ends by itself
	defer context.AfterFunc(ctx, func() {
		close(n.closing)
		n.health.Shutdown()
		hard := time.AfterFunc(2*time.Second, server.Stop)
		defer hard.Stop()
		server.GracefulStop()
	})()
	if err := server.Serve(n.listeners.api); err != nil && ctx.Err() == nil {
		return fmt.Errorf("api: %w", err)
	}
	return nil
}

// healthEvery is how often a node looks whether it is ready.
const healthEvery = 250 * time.Millisecond

// watchHealth keeps the gRPC health service in step with readiness.
func (n *Node) watchHealth(ctx context.Context) error {
	served := false
	for {
		state, unready := healthpb.HealthCheckResponse_SERVING, n.ready()
		if unready != nil {
			state = healthpb.HealthCheckResponse_NOT_SERVING
		}
		n.health.SetServingStatus("", state)
		switch {
		case served && unready != nil:
			n.log.Error("alarm", "error", unready)
		case !served && unready == nil:
			n.log.Info("ready", "leaves", n.Head().Size)
		}
		served = unready == nil
		if !pause(ctx, healthEvery) {
			return nil
		}
	}
}

func newHealth() *health.Server {
	h := health.NewServer()
	h.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	return h
}
