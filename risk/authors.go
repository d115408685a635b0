package risk

import "slices"

// Authorship says who may send a command of one kind.
type Authorship struct {
	Kind   CommandKind
	Roles  []InstitutionRole
	Quorum bool // it needs the founding threshold of hub keys
}

// Authors is the table of who may author what, for who shows it.
func Authors() []Authorship {
	var table []Authorship
	for kind := KindFound; kind < commandKinds; kind++ {
		if roles, ok := permits[kind]; ok {
			table = append(table, Authorship{Kind: kind, Roles: slices.Clone(roles), Quorum: quorate[kind]})
		}
	}
	return table
}
