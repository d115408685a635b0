package check

import (
	"encoding/binary"
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

// Dynamics is what this node itself has seen of subjects (事中交易动态): counts, amounts
// and counterparties in windows, and each subject's habit. It never leaves the node. It
// holds a fixed number of subjects; one that is new takes the place of the one that was
// idle longest among those it shares a set with.
//
// Nobody waits: a slot has one writer at a time, and who finds it taken gives up after
// a few tries and is counted. It is the same on every machine for the same checks in
// the same order, so that a replay can be trusted.
type Dynamics struct {
	slots []slot
	sets  uint64
	lost  atomic.Uint64
	held  atomic.Int64
}

const (
	ways    = 4 // slots of a set
	buckets = 8 // of a window: it is exact to an eighth
	tries   = 64
)

// widths are the lengths of the windows' buckets in milliseconds.
var widths = [rules.Windows]int64{
	time.Minute.Milliseconds() / buckets, 10 * time.Minute.Milliseconds() / buckets, time.Hour.Milliseconds() / buckets,
	24 * time.Hour.Milliseconds() / buckets, 7 * 24 * time.Hour.Milliseconds() / buckets, 30 * 24 * time.Hour.Milliseconds() / buckets,
}

// bucket is one eighth of a window. All fields are read and written atomically; what
// is written in between, a reader sees by the slot's turn.
type bucket struct {
	number  int64 // which eighth since the epoch
	count   int64
	amount  int64
	parties uint64 // a bit for each counterparty, by a hash: linear counting
}

// slot is one subject.
type slot struct {
	turn  uint32 // odd while somebody writes
	money uint32 // the currency of the habit
	print uint64 // which subject; 0 for none
	last  int64  // when it was seen
	paid  uint64 // the last payment, by a hash of its id

	payments uint64
	mean     uint64 // float64 bits, minor units
	squares  uint64 // float64 bits, sum of squared differences (Welford)

	windows [rules.Windows][buckets]bucket
}

// BytesPerSubject is what one subject takes in memory.
const BytesPerSubject = 56 + 8 + rules.Windows*buckets*32

// NewDynamics makes room for so many subjects, rounded up to a multiple of four.
func NewDynamics(subjects int) *Dynamics {
	sets := max(1, (subjects+ways-1)/ways)
	return &Dynamics{slots: make([]slot, sets*ways), sets: uint64(sets)}
}

// Lost counts the payments that were not learned because another was just being
// learned of the same subject.
func (d *Dynamics) Lost() uint64 { return d.lost.Load() }

// Subjects is how many are known.
func (d *Dynamics) Subjects() int { return int(d.held.Load()) }

// printOf takes the place of a hash: tokens are keyed hashes already, and the same for
// every process.
func printOf(k Key) uint64 {
	return max(1, binary.BigEndian.Uint64(k.Token[:])^uint64(k.Kind)<<56)
}

// mix spreads the kinds, whose tokens differ in few bits in tests.
func mix(p uint64) uint64 {
	p ^= p >> 32
	p *= 0x9e3779b97f4a7c15
	return p ^ p>>29
}

func (d *Dynamics) set(print uint64) []slot {
	i := mix(print) % d.sets * ways
	return d.slots[i : i+ways]
}

// seen is one payment as one of its subjects sees it.
type seen struct {
	now    int64
	amount int64
	money  uint32
	party  uint64 // the counterparty; 0 for none
	paid   uint64 // the payment; 0 if it has no id
	habit  bool   // nothing stopped it
}

// read fills in what is known of a subject before this payment.
func (d *Dynamics) read(k Key, s *seen, into *rules.Moves) {
	print := printOf(k)
	set := d.set(print)
	for i := range set {
		if atomic.LoadUint64(&set[i].print) != print {
			continue
		}
		for range tries {
			turn := atomic.LoadUint32(&set[i].turn)
			set[i].read(s, into)
			if turn%2 == 0 && atomic.LoadUint32(&set[i].turn) == turn {
				break
			}
		}
		return
	}
	*into = rules.Moves{}
}

func (sl *slot) read(s *seen, into *rules.Moves) {
	*into = rules.Moves{}
	for w := range sl.windows {
		newest := s.now / widths[w]
		var parties uint64
		for b := range sl.windows[w] {
			at := &sl.windows[w][b]
			if n := atomic.LoadInt64(&at.number); n <= newest-buckets || n > newest {
				continue
			}
			into.Count[w] += atomic.LoadInt64(&at.count)
			into.Amount[w] = add(into.Amount[w], atomic.LoadInt64(&at.amount))
			parties |= atomic.LoadUint64(&at.parties)
		}
		into.Parties[w] = distinct(parties)
	}
	if n := atomic.LoadUint64(&sl.payments); n > 0 && atomic.LoadUint32(&sl.money) == s.money {
		mean, squares := math.Float64frombits(atomic.LoadUint64(&sl.mean)), math.Float64frombits(atomic.LoadUint64(&sl.squares))
		into.Payments, into.Mean = int64(n), int64(mean)
		if n > 1 {
			into.Spread = int64(math.Sqrt(squares / float64(n-1)))
		}
		into.Excess = excess(s.amount, into.Mean, into.Spread)
	}
}

// add stays at the largest number rather than turn over.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// least is the part of the mean that a spread is taken for if it is less: who always
// pays 9.99 is not unusual at 10.49.
const least = 8

func excess(amount, mean, spread int64) int64 {
	if amount <= mean {
		return 0
	}
	over := min(amount-mean, math.MaxInt64/100) * 100
	return over / max(1, spread, mean/least)
}

// learn takes a payment into what is known of a subject.
func (d *Dynamics) learn(k Key, s *seen) {
	print := printOf(k)
	sl, turn := d.take(print)
	if sl == nil {
		d.lost.Add(1)
		return
	}
	if atomic.LoadUint64(&sl.print) != print {
		if sl.print == 0 {
			d.held.Add(1)
		}
		sl.clear()
		atomic.StoreUint64(&sl.print, print)
	}
	if s.paid == 0 || sl.paid != s.paid { // a payment that is asked again happens once
		sl.learn(s)
	}
	atomic.StoreUint32(&sl.turn, turn+2)
}

// take gives a subject's slot, or the one it may have, with its turn taken.
func (d *Dynamics) take(print uint64) (*slot, uint32) {
	set := d.set(print)
	for range tries {
		best := &set[0]
		for i := range set {
			sl := &set[i]
			known := atomic.LoadUint64(&sl.print)
			if known == print {
				best = sl
				break
			}
			if known == 0 && atomic.LoadUint64(&best.print) != 0 || atomic.LoadInt64(&sl.last) < atomic.LoadInt64(&best.last) {
				best = sl
			}
		}
		turn := atomic.LoadUint32(&best.turn)
		if turn%2 != 0 || !atomic.CompareAndSwapUint32(&best.turn, turn, turn+1) {
			continue
		}
		if atomic.LoadUint64(&best.print) == print || !contested(set, best, print) {
			return best, turn
		}
		atomic.StoreUint32(&best.turn, turn) // nothing was changed
	}
	return nil, 0
}

// contested reports whether another slot of a set is the subject's, or is just being
// written: then somebody may be taking it for the same new subject, which would have two
// slots and be read in one.
func contested(set []slot, taken *slot, print uint64) bool {
	for i := range set {
		sl := &set[i]
		if sl != taken && (atomic.LoadUint64(&sl.print) == print || atomic.LoadUint32(&sl.turn)%2 != 0) {
			return true
		}
	}
	return false
}

func (sl *slot) clear() {
	for w := range sl.windows {
		for b := range sl.windows[w] {
			at := &sl.windows[w][b]
			atomic.StoreInt64(&at.number, 0)
			atomic.StoreInt64(&at.count, 0)
			atomic.StoreInt64(&at.amount, 0)
			atomic.StoreUint64(&at.parties, 0)
		}
	}
	atomic.StoreUint64(&sl.payments, 0)
	atomic.StoreUint64(&sl.paid, 0)
}

// learn is called by the one writer.
func (sl *slot) learn(s *seen) {
	atomic.StoreInt64(&sl.last, s.now)
	atomic.StoreUint64(&sl.paid, s.paid)
	for w := range sl.windows {
		number := s.now / widths[w]
		at := &sl.windows[w][number%buckets]
		if at.number != number {
			atomic.StoreInt64(&at.number, number)
			atomic.StoreInt64(&at.count, 0)
			atomic.StoreInt64(&at.amount, 0)
			atomic.StoreUint64(&at.parties, 0)
		}
		atomic.StoreInt64(&at.count, at.count+1)
		atomic.StoreInt64(&at.amount, add(at.amount, s.amount))
		if s.party != 0 {
			atomic.StoreUint64(&at.parties, at.parties|1<<(mix(s.party)%64))
		}
	}
	if s.habit && s.amount > 0 {
		sl.grow(s)
	}
}

// grow takes the amount into the habit. Each product is rounded by itself, or one
// machine would fuse what another does not.
func (sl *slot) grow(s *seen) {
	if sl.money != s.money { // another currency is another habit
		atomic.StoreUint32(&sl.money, s.money)
		atomic.StoreUint64(&sl.payments, 0)
	}
	n, mean, squares := sl.payments, math.Float64frombits(sl.mean), math.Float64frombits(sl.squares)
	if n == 0 {
		mean, squares = 0, 0
	}
	n++
	before := float64(s.amount) - mean
	mean += float64(before / float64(n))
	squares += float64(before * float64(float64(s.amount)-mean))
	atomic.StoreUint64(&sl.mean, math.Float64bits(mean))
	atomic.StoreUint64(&sl.squares, math.Float64bits(squares))
	atomic.StoreUint64(&sl.payments, n)
}

// distinct estimates how many different counterparties set those bits: linear
// counting, good to about a tenth up to a hundred.
func distinct(set uint64) int64 { return estimates[bits.OnesCount64(set)] }

// estimates are -64·ln(zeros/64) by the number of ones; of all ones nothing more can
// be said than many.
var estimates = [65]int64{
	0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17,
	18, 20, 21, 23, 24, 25, 27, 28, 30, 32, 33, 35, 37, 39, 40, 42,
	44, 46, 48, 51, 53, 55, 58, 60, 63, 65, 68, 71, 74, 78, 81, 85,
	89, 93, 97, 102, 107, 113, 119, 126, 133, 142, 151, 163, 177, 196, 222, 266,
	300,
}

// moneyOf makes a number of a currency.
func moneyOf(currency string) uint32 {
	var n uint32
	for i := range min(len(currency), 4) {
		n = n<<8 | uint32(currency[i])
	}
	return n
}

// idOf makes a number of a transaction id.
func idOf(id string) uint64 {
	if id == "" {
		return 0
	}
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return max(1, h)
}

// counterparty is the role on the other side.
func counterparty(r risk.Role) risk.Role {
	switch r {
	case risk.RolePayer:
		return risk.RolePayee
	case risk.RolePayee:
		return risk.RolePayer
	default:
		return 0
	}
}
