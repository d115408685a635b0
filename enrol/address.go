package enrol

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	apiv1 "github.com/risknet/risknet/api/v1"
)

const (
	maxAddressBytes = 255
	maxHostBytes    = 253 // of a DNS name, RFC 1035
)

// hostForm is what a DNS name looks like. A host goes into the node's certificate
// and onto the operator's screen: no wild card, and nothing that moves a cursor.
var hostForm = regexp.MustCompile(`^(?i)` + label + `(\.` + label + `)*$`)

const label = `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`

// checkAddress takes what another machine can dial: a host and a port.
func checkAddress(field, address string) error {
	if wrong := wrongWith(address); wrong != "" {
		return fmt.Errorf("%s: %q is not an address that others can dial: %s; give host:port, such as n6.example:7001", field, address, wrong)
	}
	return nil
}

// wrongWith says what keeps others from dialling an address, or nothing.
func wrongWith(address string) string {
	host, port, err := net.SplitHostPort(address)
	number, portErr := strconv.ParseUint(port, 10, 16)
	ip, ipErr := netip.ParseAddr(host)
	switch {
	case err != nil || net.JoinHostPort(host, port) != address:
		return "it is not a host and a port"
	case portErr != nil || number == 0 || port != strconv.FormatUint(number, 10):
		return "its port is not a number from 1 to 65535"
	case ipErr == nil && ip.Zone() == "" && !ip.Unmap().IsUnspecified(): // an IP of one machine
		return ""
	case ipErr == nil || len(host) > maxHostBytes || !hostForm.MatchString(host):
		return fmt.Sprintf("its host is neither the IP of one machine nor a name of letters, digits and hyphens between dots, of at most %d bytes", maxHostBytes)
	case len(address) > maxAddressBytes:
		return fmt.Sprintf("it is longer than %d bytes", maxAddressBytes)
	}
	return ""
}

func checkAddresses(raft, api, http string) error {
	for _, a := range []struct{ field, address string }{{"raft", raft}, {"api", api}, {"http", http}} {
		if err := checkAddress(a.field, a.address); err != nil {
			return err
		}
	}
	if same(raft, api) || same(api, http) || same(raft, http) {
		return errors.New("raft, api, http: are not three different addresses; give each its own port")
	}
	return nil
}

// hostOf gives a host in the one form in which hosts are compared.
func hostOf(address string) string {
	host, _, _ := net.SplitHostPort(address)
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return strings.ToLower(host)
}

func same(one, other string) bool {
	_, port, _ := net.SplitHostPort(one)
	_, otherPort, _ := net.SplitHostPort(other)
	return hostOf(one) == hostOf(other) && port == otherPort
}

// hostsOf gives each host of the addresses once.
func hostsOf(r Request) []string {
	hosts := []string{hostOf(r.Raft), hostOf(r.API), hostOf(r.HTTP)}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// free refuses an address that another node has: the law does not, and two
// records of one raft address would keep the leader from following any of them.
// It refuses a host of another institution whatever the port, because the
// certificate is for the host: who has it could answer in that node's place.
func free(network *apiv1.NetworkResponse, terms Terms, r Request) error {
	for _, n := range network.Nodes {
		if n.Name == terms.Name {
			continue // it leaves
		}
		for _, used := range []string{n.Raft, n.Api, n.Http} {
			for field, address := range map[string]string{"raft": r.Raft, "api": r.API, "http": r.HTTP} {
				if same(address, used) {
					return fmt.Errorf("%s: %s is an address of node %s; give the new node its own", field, address, n.Name)
				}
				if host := hostOf(address); n.Institution != terms.Institution && host == hostOf(used) && !loopback(host) {
					return fmt.Errorf("%s: %s is the host of node %s of %s; give a host of %s alone", field, host, n.Name, n.Institution, terms.Institution)
				}
			}
		}
	}
	return nil
}

// loopback says whether a host is every machine's own: the nodes of a test
// network share it.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
