package node

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/risknet/risknet/risk"
)

var rewrite = flag.Bool("rewrite", false, "write ../docs/permissions.md anew from the tables")

// doors are all that a node answers to: what is registered, whether or not there
// is a row for it.
func doors(t *testing.T) []string {
	t.Helper()
	n := newCompany(t).Node
	n.cfg.Development = true
	n.health, n.metrics = newHealth(), newMetrics(n)
	list := []string{doorRaft, doorRaw, doorRedis}
	for service, info := range n.newServer(newCheckService(n)).GetServiceInfo() {
		for _, method := range info.Methods {
			list = append(list, "/"+service+"/"+method.Name)
		}
	}
	return append(list, n.routes().patterns...)
}

func TestEveryMethodAndPatternHasItsRow(t *testing.T) {
	registered := doors(t)
	for _, door := range registered {
		if byDoor[door] == nil {
			t.Errorf("%s is in no row of the table of permissions: nobody may use it", door)
		}
	}
	for _, row := range permissions {
		if !slices.Contains(registered, row.Door) {
			t.Errorf("%s has a row and is nowhere registered", row.Door)
		}
	}
	if len(byDoor) != len(permissions) {
		t.Errorf("%d rows are of %d doors", len(permissions), len(byDoor))
	}
}

func TestWhatIsInNoRowIsForNobody(t *testing.T) {
	n := newCompany(t).Node
	for _, role := range append([]string{"", "inviter", "root"}, Roles...) {
		who := Identity{Network: "net", Institution: n.creds.Identity.Institution, Role: role, Name: "n1"}
		if err := n.mayUse(who, "/risknet.v1.Future/Method"); err == nil || !strings.Contains(err.Error(), "nobody may") {
			t.Errorf("role %q: %v", role, err)
		}
		if err := n.mayUse(who, "GET /livez"); (err == nil) != slices.Contains(Roles, role) {
			t.Errorf("role %q at /livez: %v", role, err)
		}
	}
}

var everyListener = []listener{atRaft, atAPI, atHTTP, atRedis}

func TestEachListenerIsForTheRolesThatHaveSomethingToDoThere(t *testing.T) {
	for at, want := range map[listener]string{atRaft: "node", atAPI: "hub member auditor operator node", atHTTP: "hub member auditor operator node", atRedis: "hub member auditor operator"} {
		if got := strings.Join(rolesAt(at), " "); got != want {
			t.Errorf("%s is for %s, want %s", at, got, want)
		}
	}
}

// The page for people is written from the tables.
func TestThePageOfPermissionsIsWhatTheTablesSay(t *testing.T) {
	const file = "../docs/permissions.md"
	want := permissionsPage()
	if *rewrite {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the tables say (%v); run go test ./node -run PageOfPermissions -rewrite", file, err)
	}
}

func permissionsPage() string {
	page := &strings.Builder{}
	page.WriteString(`# Who may do what

Written by a test from the tables in the code: ` + "`node/permissions.go` and `risk/law.go`" + `. Change these, and run ` + "`go test ./node -run PageOfPermissions -rewrite`" + `.

Two things decide. The **certificate** of a connection says which network, institution, role and name it speaks for, and which doors of a node are open to it. The **keys** that sign a command say which institution writes it into the ledger. A certificate signs nothing: who carries a command to a node does not matter.

## Doors of a node, by the role in the certificate

` + "`all`" + `: of every institution. ` + "`own`" + `: of the institution that runs the node. ` + "`served`" + `: that, and of the institutions in the node's setting ` + "`serves`" + `. ` + "`recorded`" + `: a node of every institution that has a record in the ledger, under that name and institution. –: refused. A method or path that has no row is refused to everybody, and so is a revoked certificate everywhere.
`)
	for _, at := range everyListener {
		fmt.Fprintf(page, "\n### %s\n\nAt the handshake: %s.\n\n| | %s |\n|---|%s\n", at, strings.Join(rolesAt(at), ", "), strings.Join(Roles, " | "), strings.Repeat("---|", len(Roles)))
		for _, row := range permissions {
			if row.listener() != at {
				continue
			}
			fmt.Fprintf(page, "| `%s` |", strings.TrimPrefix(row.Door, "/risknet.v1."))
			for _, role := range Roles {
				fmt.Fprintf(page, " %s |", row.Extent(role))
			}
			page.WriteString("\n")
		}
	}
	page.WriteString(`
A node asks the others (` + "`Peers`" + `) in its own name alone: ` + "`Witness`" + ` speaks only of the node whose certificate asks. Who dials a node takes the answer of that node's certificate and of no other's. Reflection is there only with the setting ` + "`development`" + `.

## Commands, by the role of the institution whose keys sign

`)
	page.WriteString("| command | may be sent by | hub keys |\n|---|---|---|\n")
	for _, a := range risk.Authors() {
		keys := "–"
		if a.Quorum {
			keys = "the founding threshold"
		}
		if a.Least > 0 {
			keys += fmt.Sprintf(", and at least %d", a.Least)
		}
		if len(a.To) > 0 {
			keys += " to " + wordsOf(a.To)
		}
		fmt.Fprintf(page, "| %s | %s | %s |\n", a.Kind, wordsOf(a.Roles), keys)
	}
	page.WriteString(`
An institution changes its own keys alone, the hub those of all. The hub's own keys, a key that the hub adds to another institution, and listings of broad prefixes need the founding threshold too. An application (apply) is signed by one of the applicant's own keys beside the hub's.

## Stages of an institution

What one that is not the hub may send in each stage, of what its role may, and where the hub may take it from there. A stage that is not named cannot be reached.

| stage | may send | the way leads to |
|---|---|---|
`)
	for _, row := range risk.Stages() {
		sends := wordsOf(row.May)
		if row.Stage == risk.StageQuarantined {
			sends = strings.Replace(sends, risk.KindListings.String(), risk.KindListings.String()+" (its own lifts alone)", 1)
		}
		fmt.Fprintf(page, "| %s | %s | %s |\n", row.Stage, sends, wordsOf(row.Ways))
	}
	return page.String()
}

func wordsOf[T fmt.Stringer](list []T) string {
	if len(list) == 0 {
		return "–"
	}
	var names []string
	for _, one := range list {
		names = append(names, one.String())
	}
	return strings.Join(names, ", ")
}
