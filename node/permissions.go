package node

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a connection may do is said here and nowhere else: a door is a gRPC method,
// an HTTP pattern, or raft, and who is not named beside it is refused, as is
// everybody at a door that is not here. What an author may write into the ledger is
// another matter, decided by keys and not by certificates: see package risk.

// listener is one of a node's four ports.
type listener string

const (
	atRaft  listener = "raft"
	atAPI   listener = "the API"
	atHTTP  listener = "HTTP"
	atRedis listener = "the Redis door"
)

// Doors that are no method and no pattern.
const (
	doorRaft = "raft"
	// doorRaw is passed by a check that names identifiers and not tokens.
	doorRaw = "raw identifiers in a check"
	// doorRedis takes raw identifiers alone; see redisDoor.
	doorRedis = "the Redis door"
)

// Extent says whose programs of a role may use a door.
type Extent uint8

const (
	no       Extent = iota
	own             // of the institution that runs the node
	served          // these, and of institutions in the node's setting serves
	all             // of every institution
	recorded        // of every institution, and the ledger has a record of the node
)

func (e Extent) String() string { return [...]string{"–", "own", "served", "all", "recorded"}[e] }

// Permission is one row of the table.
type Permission struct {
	Door                                 string
	hub, member, auditor, operator, node Extent
}

// Permissions is the whole table, for who shows it or walks it.
func Permissions() []Permission { return slices.Clone(permissions) }

var permissions = []Permission{
	//                                                                hub  member   auditor  operator node
	// Consensus holds each raft message to the server that it says it is from: see
	// raftPeer.SpeaksFor, which also knows of records that are not here yet.
	{doorRaft, no, no, no, no, all},
	{"/risknet.v1.Peers/Chunk", no, no, no, no, recorded},
	{"/risknet.v1.Peers/Cosign", no, no, no, no, recorded},
	{"/risknet.v1.Peers/Forward", no, no, no, no, recorded},
	{"/risknet.v1.Peers/ReadIndex", no, no, no, no, recorded},
	{"/risknet.v1.Peers/Witness", no, no, no, no, recorded},

	{"/risknet.v1.Checks/Check", all, all, all, own, no},
	{"/risknet.v1.Checks/CheckBatch", all, all, all, own, no},
	{"/risknet.v1.Checks/CheckStream", all, all, all, own, no},
	{doorRaw, all, served, served, own, own},
	{doorRedis, all, served, served, own, no},
	{"/risknet.v1.Tokens/Keyring", all, served, all, own, no},

	{"/risknet.v1.Commands/Submit", all, all, all, own, no},
	{"/risknet.v1.Commands/Absent", all, all, all, own, no},

	{"/risknet.v1.Registry/Network", all, all, all, all, all},
	{"/risknet.v1.Registry/Listings", all, all, all, own, no},
	{"/risknet.v1.Registry/ExportListings", all, all, all, own, no},
	{"/risknet.v1.Registry/RuleSets", all, all, all, all, no},
	{"/risknet.v1.Registry/RuleSource", all, all, all, all, no},
	{"/risknet.v1.Registry/Institutions", all, all, all, all, no},
	{"/risknet.v1.Registry/Policy", all, all, all, all, no},
	{"/risknet.v1.Registry/Lives", all, all, all, all, no},
	{"/risknet.v1.Registry/Protections", all, all, all, own, no},

	{"/risknet.v1.Overrides/PutOverride", own, own, no, own, no},
	{"/risknet.v1.Overrides/RemoveOverride", own, own, no, own, no},
	{"/risknet.v1.Overrides/ListOverrides", own, own, own, own, no},

	// Of payments of the institution itself: not even the hub asks for them.
	{"/risknet.v1.Alerts/WatchAlerts", no, own, no, own, no},

	{"/risknet.v1.Cluster/Status", all, all, all, all, no},
	{"/risknet.v1.Cluster/NodeStatus", all, all, all, all, all},
	{"/risknet.v1.Cluster/Backup", own, own, own, own, no},

	{"/grpc.health.v1.Health/Check", all, all, all, all, all},
	{"/grpc.health.v1.Health/List", all, all, all, all, all},
	{"/grpc.health.v1.Health/Watch", all, all, all, all, all},
	// Only with the setting development.
	{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", own, own, own, own, no},
	{"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", own, own, own, own, no},

	{"GET /livez", all, all, all, all, all},
	{"GET /readyz", all, all, all, all, all},
	{"GET /metrics", all, served, all, own, no},
	{"GET /checkpoint", all, all, all, all, all},
	{"GET /tile/", all, all, all, all, all},
	{"GET /bodies/{leaf}", all, served, all, own, recorded},
	{"GET /state/records", all, no, all, own, recorded},
	{"GET /state/verify", all, no, all, own, no},
}

// Roles are the columns, in their order.
var Roles = []string{RoleHub, RoleMember, RoleAuditor, RoleOperator, RoleNode}

// Extent gives the field of a role; what is no role has none.
func (p *Permission) Extent(role string) Extent {
	columns := [...]Extent{p.hub, p.member, p.auditor, p.operator, p.node}
	if i := slices.Index(Roles, role); i >= 0 {
		return columns[i]
	}
	return no
}

// listener is the port at which the door is.
func (p *Permission) listener() listener {
	switch {
	case p.Door == doorRaft:
		return atRaft
	case p.Door == doorRedis:
		return atRedis
	case strings.HasPrefix(p.Door, "GET "):
		return atHTTP
	default:
		return atAPI
	}
}

// rolesAt are the roles that may do anything at all at a listener.
func rolesAt(at listener) []string {
	return slices.DeleteFunc(slices.Clone(Roles), func(role string) bool {
		return !slices.ContainsFunc(permissions, func(p Permission) bool { return p.listener() == at && p.Extent(role) != no })
	})
}

// byDoor finds the row of a door.
var byDoor = func() map[string]*Permission {
	rows := map[string]*Permission{}
	for i := range permissions {
		rows[permissions[i].Door] = &permissions[i]
	}
	return rows
}()

// mayUse is the one decision about what a caller may do here.
func (n *Node) mayUse(who Identity, door string) error {
	row := byDoor[door]
	if row == nil {
		return fmt.Errorf("role %q of %s may not use %s: nobody may", who.Role, who.Institution, door)
	}
	var holds bool
	switch row.Extent(who.Role) {
	case own:
		holds = who.Institution == n.creds.Identity.Institution
	case served:
		holds = who.Institution == n.creds.Identity.Institution || slices.Contains(n.cfg.Serves, who.Institution)
	case all:
		holds = true
	case recorded:
		if err := n.isRecorded(who); err != nil {
			return fmt.Errorf("role %q of %s may not use %s: %w", who.Role, who.Institution, door, err)
		}
		holds = true
	}
	if holds {
		return nil
	}
	return fmt.Errorf("role %q of %s may not use %s on a node of %s: %s", who.Role, who.Institution, door, n.creds.Identity.Institution, row.says())
}

// says names those for whom a door is.
func (p *Permission) says() string {
	var list []string
	for _, role := range Roles {
		switch p.Extent(role) {
		case own:
			list = append(list, role+" of its own institution")
		case served:
			list = append(list, role+" of an institution that it serves")
		case all:
			list = append(list, role)
		case recorded:
			list = append(list, role+" with a record")
		}
	}
	return "it is for " + strings.Join(list, ", ")
}

// admitUnary and admitStream are before every gRPC method.
func (n *Node) admitUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := n.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (n *Node) admitStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := n.admit(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, stream)
}

func (n *Node) admit(ctx context.Context, method string) error {
	who := callerOf(ctx)
	if who.Role == RoleNode && n.gate.IsCut() {
		return status.Error(codes.Unavailable, "this node is cut off from the network, on purpose")
	}
	if err := n.mayUse(who, method); err != nil {
		return status.Error(codes.PermissionDenied, err.Error())
	}
	return nil
}

// admitHTTP is before every HTTP pattern. What is no pattern is not found.
func (n *Node) admitHTTP(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := mux.Handler(r)
		if pattern != "" {
			if err := n.mayUse(callerOfHTTP(r), pattern); err != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}
