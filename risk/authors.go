package risk

import "slices"

// Authorship says who may send a command of one kind.
type Authorship struct {
	Kind   CommandKind
	Roles  []InstitutionRole
	Quorum bool    // it needs the founding threshold of hub keys
	To     []Stage // it needs them only for these; of [KindAdvance]
	Least  int     // it needs no fewer than these, where the threshold is lower
}

// Authors is the table of who may author what, for who shows it.
func Authors() []Authorship {
	var table []Authorship
	for kind := KindFound; kind < commandKinds; kind++ {
		roles, ok := permits[kind]
		if !ok {
			continue
		}
		row := Authorship{Kind: kind, Roles: slices.Clone(roles), Quorum: quorate[kind] || kind == KindAdmit}
		if kind == KindAdvance {
			row.Quorum, row.To = true, graveStages()
		}
		if kind == KindProtect {
			row.Least = ProtectionSigners
		}
		table = append(table, row)
	}
	return table
}

func graveStages() (stages []Stage) {
	for stage := StageApplied; stage <= StageExited; stage++ {
		if grave[stage] {
			stages = append(stages, stage)
		}
	}
	return stages
}

// StageRights says what an institution that is not the hub may do in a stage, and
// where the way leads from there.
type StageRights struct {
	Stage Stage
	May   []CommandKind // of what its role may send
	Ways  []Stage
}

// Stages is the table of all stages, for who shows it.
func Stages() []StageRights {
	var table []StageRights
	for stage := StageApplied; stage <= StageExited; stage++ {
		row := StageRights{Stage: stage, Ways: slices.Clone(ways[stage])}
		for kind := KindFound; kind < commandKinds; kind++ {
			if may[stage](kind) && slices.ContainsFunc(permits[kind], func(role InstitutionRole) bool { return role != RoleHub }) {
				row.May = append(row.May, kind)
			}
		}
		table = append(table, row)
	}
	return table
}
