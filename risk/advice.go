package risk

// Advice is what a node says about a payment, and what a listing recommends,
// from mildest to hardest; a larger number is always the stricter advice.
type Advice uint8

// The scale of advice. Zero is not advice: it marks a field that was never set.
const (
	Allow           Advice = 1 + iota
	Observe                // let through and watch
	StepUp                 // 远程核身: verify the person again
	Limit                  // 限额: let through up to an amount
	DelaySettlement        // 延迟结算
	HoldFunds              // 冻结资金
	Deny                   // 拒绝
	advices
)

var adviceNames = [advices]string{
	Allow: "allow", Observe: "observe", StepUp: "step_up", Limit: "limit",
	DelaySettlement: "delay_settlement", HoldFunds: "hold_funds", Deny: "deny",
}

func (a Advice) String() string { return nameOf(adviceNames[:], uint8(a), "advice") }

// Valid reports whether the advice stands on the scale.
func (a Advice) Valid() bool { return a > 0 && a < advices }

// ParseAdvice reads an advice's name.
func ParseAdvice(name string) (Advice, error) {
	n, err := parseName(adviceNames[:], name, "advice")
	return Advice(n), err
}

// Phase says where in a payment's life a check or a rule stands.
type Phase uint8

// The phases.
const (
	PhasePre  Phase = 1 + iota // 事前: before the payment
	PhaseIn                    // 事中: during it
	PhasePost                  // 事后: after it
	// Phases is one more than the largest phase, for tables indexed by phase.
	Phases
)

var phaseNames = [Phases]string{PhasePre: "pre", PhaseIn: "in", PhasePost: "post"}

func (p Phase) String() string { return nameOf(phaseNames[:], uint8(p), "phase") }

// Valid reports whether this protocol knows the phase.
func (p Phase) Valid() bool { return p > 0 && p < Phases }

// ParsePhase reads a phase's name.
func ParsePhase(name string) (Phase, error) {
	n, err := parseName(phaseNames[:], name, "phase")
	return Phase(n), err
}

// Role says what a subject is in a payment or in a report.
type Role uint8

// The roles of a subject in a payment.
const (
	RolePayer Role = 1 + iota
	RolePayee
	RoleOther
	// Roles is one more than the largest role, for tables indexed by role.
	Roles
)

var roleNames = [Roles]string{RolePayer: "payer", RolePayee: "payee", RoleOther: "other"}

func (r Role) String() string { return nameOf(roleNames[:], uint8(r), "role") }

// Valid reports whether this protocol knows the role.
func (r Role) Valid() bool { return r > 0 && r < Roles }

// ParseRole reads a role's name.
func ParseRole(name string) (Role, error) {
	n, err := parseName(roleNames[:], name, "role")
	return Role(n), err
}

// Part says what part a listed subject played in what was reported.
type Part uint8

// The parts of a listed subject.
const (
	PartSuspect Part = 1 + iota
	PartVictim       // a protective entry: the subject is to be warned, not refused
	PartLinked
	parts
)

var partNames = [parts]string{PartSuspect: "suspect", PartVictim: "victim", PartLinked: "linked"}

func (p Part) String() string { return nameOf(partNames[:], uint8(p), "role") }

// Valid reports whether this protocol knows the part.
func (p Part) Valid() bool { return p > 0 && p < parts }

// ParsePart reads a part's name.
func ParsePart(name string) (Part, error) {
	n, err := parseName(partNames[:], name, "role")
	return Part(n), err
}

// List says how a listing is to be taken.
type List uint8

// The lists.
const (
	ListBlack List = 1 + iota // 黑名单
	ListHint                  // 风险提示信息
	ListWatch
	lists
)

var listNames = [lists]string{ListBlack: "black", ListHint: "hint", ListWatch: "watch"}

func (l List) String() string { return nameOf(listNames[:], uint8(l), "list") }

// Valid reports whether this protocol knows the list.
func (l List) Valid() bool { return l > 0 && l < lists }

// ParseList reads a list's name.
func ParseList(name string) (List, error) {
	n, err := parseName(listNames[:], name, "list")
	return List(n), err
}

// Purpose is what shared data may be used for; purposes combine as a set.
type Purpose uint8

// The purposes, one bit each.
const (
	PurposeOnboarding Purpose = 1 << iota
	PurposeScreening
	PurposeAML
	PurposeInvestigation
	purposesEnd

	// AllPurposes is every purpose that this protocol knows.
	AllPurposes = purposesEnd - 1
)

var purposeNames = [purposesEnd]string{
	PurposeOnboarding: "onboarding", PurposeScreening: "transaction_screening",
	PurposeAML: "aml", PurposeInvestigation: "investigation",
}

// Valid reports whether the set is neither empty nor holds an unknown purpose.
func (p Purpose) Valid() bool { return p > 0 && p < purposesEnd }

func (p Purpose) String() string {
	text := ""
	for bit := Purpose(1); bit < purposesEnd; bit <<= 1 {
		if p&bit == 0 {
			continue
		}
		if text != "" {
			text += "+"
		}
		text += purposeNames[bit]
	}
	if text == "" {
		return "none"
	}
	return text
}

// ParsePurpose reads one purpose's name.
func ParsePurpose(name string) (Purpose, error) {
	n, err := parseName(purposeNames[:], name, "purpose")
	return Purpose(n), err
}
