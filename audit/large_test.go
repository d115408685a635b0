//go:build chaos

package audit

import "testing"

func TestAuditOfFiveNodesWith240000Listings(t *testing.T) { auditNetwork(t, 5, 240_000) }
