package risk

// Payment is what a check knows of a payment beside its subjects. Every field
// may be left out (zero); rules see the zero.
type Payment struct {
	TransactionID string
	Time          int64  // when the payment was made, milliseconds since the Unix epoch
	Amount        int64  // minor units of Currency, ISO 20022 style: 1 yuan is 100
	Currency      string // ISO 4217 alphabetic code
	MCC           string // ISO 18245 merchant category code, four digits
	Channel       string
	Scene         string
	Country       string // ISO 3166 alpha-2: where the payment is accepted
	PayerCountry  string // ISO 3166 alpha-2: where the payer's account is held
	Phase         Phase
	Purpose       Purpose
}

// The codes of a payment, by their shape.
func IsCurrency(s string) bool { return isCode(s, 3, 'A', 'Z') } // ISO 4217
func IsCountry(s string) bool  { return isCode(s, 2, 'A', 'Z') } // ISO 3166
func IsMCC(s string) bool      { return isCode(s, 4, '0', '9') } // ISO 18245

func isCode(s string, length int, from, to byte) bool {
	for i := range len(s) {
		if s[i] < from || s[i] > to {
			return false
		}
	}
	return len(s) == length
}

// Head names one state of the network: the number of leaves in the ledger and
// the Merkle root over them.
type Head struct {
	Size uint64
	Root Hash
}

// Reason is one cause of a verdict: a listing, a rule, or the node's own state.
type Reason struct {
	Rule    string    // id of the rule, or one of the words below; empty for a listing
	Listing ListingID // zero unless a listing speaks
	Code    uint16
	Level   Level
	Advice  Advice
	Text    string // English, then Chinese where there is one
	TextZH  string
	Exit    *Exit // how the subject gets out; nil where there is none

	Subject    int // index of the subject that the listing is about, -1 for none
	List       List
	Part       Part
	Reporter   ID
	ReportedAt int64
	Expires    int64
	Taken      Taken        // how many institutions did what on the listing
	State      ListingState // of the listing, seen beside the others
}

// SubjectWeight is what the listings of one subject come to.
type SubjectWeight struct {
	Subject int // its index
	Weight
}

// The words that stand in Reason.Rule when no rule of the set speaks.
const (
	ReasonStale     = "stale"          // the view is older than the declared limit
	ReasonDamage    = "damage"         // the store misses what its index holds
	ReasonError     = "rule_error"     // a rule failed at run time
	ReasonProtected = "protected"      // the hub protects the subject
	ReasonOverride  = "local_override" // the institution's own expiring exception
	ReasonListing   = "listing"
)

// Verdict is the whole answer to one check.
type Verdict struct {
	Advice    Advice
	Listed    bool
	Reasons   []Reason
	Weights   []SubjectWeight
	Shadow    []string // ids of shadow rules that would have spoken
	Reporters int      // independent reporting identities among the listings in force

	RulesVersion uint32
	RulesHash    Hash
	Head         Head
	AgeMillis    int64 // how long ago this node last knew that its view was complete
	Stale        bool
}
