package node

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/store"
)

// alertService hands the alerts to the node's own institution.
type alertService struct {
	apiv1.UnimplementedAlertsServer
	node *Node
}

// alertsAtOnce is how many a stream reads ahead of its reader. It reads no more before
// these are sent, so a slow reader costs nobody memory.
const alertsAtOnce = 256

// WatchAlerts goes through the alerts behind a cursor, and waits for more if asked to.
func (s *alertService) WatchAlerts(req *apiv1.WatchAlertsRequest, stream grpc.ServerStreamingServer[apiv1.Alert]) error {
	if err := knownFieldsOnly(req); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if s.node.look == nil {
		return status.Error(codes.FailedPrecondition, "this node keeps no journal, so it has no alerts; set journal.keep and journal.bytes")
	}
	journal := s.node.look.journal
	for after := req.After; ; {
		more := journal.Changed()
		list, lost, err := journal.Alerts(after, alertsAtOnce)
		if err != nil {
			return internal(err)
		}
		for i := range list {
			m := alertMessage(&list[i])
			m.Lost, lost = lost, 0
			if err := stream.Send(m); err != nil {
				return err
			}
			after = m.Cursor
		}
		if len(list) == alertsAtOnce {
			continue
		}
		if !req.Follow {
			return nil
		}
		select {
		case <-more:
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-s.node.closing:
			return status.Error(codes.Unavailable, "this node is closing; go on behind the last cursor")
		}
	}
}

func alertMessage(a *store.Alert) *apiv1.Alert {
	return &apiv1.Alert{Cursor: a.Cursor, AtMs: a.At, What: string(a.What), Kind: a.Kind.String(), Listing: a.Listing.String(),
		Code: uint32(a.Code), Level: uint32(a.Level), List: a.List.String(), TransactionId: a.Transaction, CheckedAtMs: a.CheckedAt,
		Amount: a.Amount, Currency: a.Currency, AdviceThen: a.Then.String(), AdviceNow: a.Now.String(), Size: a.Size}
}
