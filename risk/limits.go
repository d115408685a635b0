package risk

import "time"

// The limits of the network. They are part of the law: a node with other
// numbers would compute other outcomes, so a change raises the protocol version.
const (
	// MaxItems is the number of items in one command.
	MaxItems = 512
	// MaxLeafBytes is the largest leaf that C2SP tlog-tiles can serve.
	MaxLeafBytes = 65_535
	// MaxHeaderBytes leaves room in the leaf for signatures and outcomes.
	MaxHeaderBytes = 56_000
	// MaxBodyBytes is the largest body of a listing item.
	MaxBodyBytes = 2_048
	// MaxRuleSetBytes is the largest source text of a rule set.
	MaxRuleSetBytes = 256 << 10
	// MaxEntryBytes is the largest entry in the log: a command with its bodies.
	MaxEntryBytes = 1 << 20
	// MaxSigners is the author and everybody who signs with it.
	MaxSigners = 8
	// MaxKeys is the number of keys that one institution may hold at a time.
	MaxKeys = 16
	// MaxLiveEpochs is the number of token keys in use at a time.
	MaxLiveEpochs = 2
	// MaxRemovals is the number of records past their retention that one
	// command clears away, and the number of outcomes that it forgets.
	MaxRemovals = 64
	// MaxActRemovals is the number of acts on these listings that it clears away.
	MaxActRemovals = 256
	// MaxNameBytes bounds each name and address.
	MaxNameBytes = 255
	// MaxTextBytes bounds each free text in a listing.
	MaxTextBytes = 512
	// MaxLives is the number of codes that have a longest life of their own.
	MaxLives = 256
	// MaxProtections is the number of protections that the state holds, ended ones
	// within their retention too: every node keeps them in memory.
	MaxProtections = 4_096
	// MaxCode is the largest risk code, from protocol 2 on: with the three lists it
	// bounds how many listings one reporter can heap on a subject.
	MaxCode = 999
	// MaxVoices is how many listings of one reporter about one subject a check looks
	// at, in the order of list and code. One reporter has one voice however many.
	MaxVoices = 32
	// MaxEvidence is the number of pieces of evidence in one listing.
	MaxEvidence = 8
)

// The bounds of the prefix rule; see [Scope.Broad].
const (
	BroadIPv4Bits = 16
	BroadIPv6Bits = 32
	BroadLabels   = 2
	// BroadSigners is how many hub keys sign a broad listing.
	BroadSigners = 2
)

// ProtectionSigners is how many hub keys approve a protection.
const ProtectionSigners = 2

// The bounds of the time rule, in milliseconds.
const (
	// MaxAheadMillis is how far an author's clock may be ahead of the network's.
	MaxAheadMillis = int64(5 * time.Minute / time.Millisecond)
	// MaxNotAfterMillis is how long a signed command may stay valid.
	MaxNotAfterMillis = int64(24 * time.Hour / time.Millisecond)
	// MaxTimeMillis is the last time that the formats hold: the end of the year
	// 9999. Below it no sum of a time and a bound here overflows.
	MaxTimeMillis = int64(253_402_300_799_999)
	// MaxRetireAheadMillis is how far ahead the end of a key may be set.
	MaxRetireAheadMillis = int64(366 * 24 * time.Hour / time.Millisecond)
	// MaxListingMillis is the longest life of a listing; policy may shorten it.
	MaxListingMillis = int64(5 * 366 * 24 * time.Hour / time.Millisecond)
	// MaxProtectionMillis is the longest life of a protection.
	MaxProtectionMillis = int64(366 * 24 * time.Hour / time.Millisecond)
	// RetentionMillis is how long a listing's record stays after its expiry or
	// its end, so that a dispute about it can still be answered.
	RetentionMillis = int64(180 * 24 * time.Hour / time.Millisecond)
)

// The bounds of a check and of the rules that it runs.
const (
	// MaxSubjects is the number of subjects in one check.
	MaxSubjects = 16
	// MaxAsked is the number of tokens that the subjects of one check ask for.
	MaxAsked = 512
	// MaxRules is the number of rules in one rule set.
	MaxRules = 2_000
	// MaxRuleCost is the largest estimated cost of one rule, in CEL cost units.
	MaxRuleCost = 1_000
	// MaxRuleBytes is the longest expression of one rule.
	MaxRuleBytes = 4_096
	// MaxRuleNodes is the number of nodes in one rule's expression tree.
	MaxRuleNodes = 256
)

// ProtocolVersion is the newest protocol that this code applies.
const ProtocolVersion uint32 = 2
