package consensus

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/risknet/risknet/fault"
)

// maxImages is how many images are sent at a time.
const maxImages = 2

// The ids under which raft opens what this store lists.
const (
	stateID  = "state"
	stagedID = "staged"
)

// images is raft's snapshot store. There is exactly one snapshot, the machine
// itself, at the position where it stands. An incoming image is staged, and is
// the machine once it is installed.
type images struct {
	machine  Machine
	counts   *imageCounts
	kept     *kept
	leadsIn  func() uint64   // the term in which this server leads; 0 if it does not
	sending  chan struct{}   // a slot for each image under way
	stopping <-chan struct{} // ends the wait for a slot

	mu     sync.Mutex
	staged *stagedImage
}

var _ raft.SnapshotStore = (*images)(nil)

func newImages(machine Machine, counts *imageCounts, kept *kept, leadsIn func() uint64, stopping <-chan struct{}) *images {
	return &images{machine: machine, counts: counts, kept: kept, leadsIn: leadsIn, sending: make(chan struct{}, maxImages), stopping: stopping}
}

// meta describes a position to raft. Its size is known only once an image is open.
func meta(id string, at Position, size int64) (*raft.SnapshotMeta, error) {
	conf, err := decodeConfiguration(at.Configuration)
	if err != nil {
		return nil, fmt.Errorf("state at %d: %w", at.Index, err)
	}
	return &raft.SnapshotMeta{
		Version:            raft.SnapshotVersionMax,
		ID:                 id,
		Index:              at.Index,
		Term:               at.Term,
		Configuration:      conf,
		ConfigurationIndex: at.ConfigurationIndex,
		Size:               size,
	}, nil
}

// List reports where the machine stands. Raft starts behind it without asking
// for a restore.
func (s *images) List() ([]*raft.SnapshotMeta, error) {
	at := s.machine.Position()
	if at.Index == 0 {
		return nil, nil
	}
	m, err := meta(stateID, at, 0)
	if err != nil {
		return nil, err
	}
	return []*raft.SnapshotMeta{m}, nil
}

// Open makes an image to send, or hands raft the staged one to give to Restore.
// Raft takes index, term and size from what Open says, not from List, so an image
// may be ahead of the listing.
func (s *images) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if id == stagedID {
		return s.openStaged()
	}
	select {
	case s.sending <- struct{}{}:
	case <-s.stopping:
		return nil, nil, ErrStopped
	}
	term := s.leadsIn()
	if term == 0 {
		<-s.sending
		return nil, nil, errReignOver
	}
	// Before the image is made: it is at this position or a later one, and the log may
	// be cut while it is being written.
	release := s.kept.hold(s.machine.Position().Index)
	wanted := func() error {
		if s.leadsIn() != term {
			return errReignOver
		}
		return nil
	}
	image, err := s.machine.OpenImage(wanted)
	if err != nil {
		release()
		<-s.sending
		return nil, nil, fmt.Errorf("open image: %w", err)
	}
	m, err := meta(stateID, image.Position(), image.Size())
	out := &outgoing{Image: image, left: image.Size(), counts: s.counts, wanted: wanted, done: func() { release(); <-s.sending }}
	if err = cmp.Or(err, wanted()); err != nil {
		out.Close()
		return nil, nil, err
	}
	return m, out, nil
}

func (s *images) openStaged() (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	staged := s.staged
	s.staged = nil
	s.mu.Unlock()
	if staged == nil {
		return nil, nil, errors.New("open image: nothing is staged")
	}
	m, err := meta(stagedID, staged.at, staged.size)
	if err != nil {
		staged.Close()
		return nil, nil, err
	}
	return m, staged, nil
}

// Create begins either a local snapshot, of which raft's state machine goroutine
// knows (see localSnapshot.Persist) and nothing is written, or an image from the
// leader, of which the first write is the first sign.
func (s *images) Create(_ raft.SnapshotVersion, index, term uint64, conf raft.Configuration, confIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	at := Position{
		Index: index, Term: term,
		Configuration: raft.EncodeConfiguration(conf), ConfigurationIndex: confIndex,
	}
	return &incoming{store: s, at: at}, nil
}

// errReignOver ends an image whose sender leads no more. Raft would send it to its end,
// and the other server reads it to its end before it refuses it: meanwhile it hears
// nothing of the leader that there is.
var errReignOver = errors.New("open image: this server does not lead, or leads in another term")

// outgoing frees its slot when raft has sent the image.
type outgoing struct {
	Image
	wanted func() error
	left   int64 // bytes not yet read
	counts *imageCounts
	once   sync.Once
	done   func()
}

func (o *outgoing) Read(p []byte) (int, error) {
	if err := o.wanted(); err != nil {
		return 0, err
	}
	n, err := o.Image.Read(p)
	o.left -= int64(n)
	return n, err
}

func (o *outgoing) Close() error {
	err := o.Image.Close()
	o.once.Do(func() {
		if o.left == 0 {
			o.counts.sent.Add(1)
		}
		o.done()
	})
	return err
}

// incoming is the sink of either kind.
type incoming struct {
	store   *images
	at      Position
	local   bool
	staging Staging
	size    int64
}

func (in *incoming) ID() string {
	if in.local {
		return stateID
	}
	return stagedID
}

func (in *incoming) Write(p []byte) (int, error) {
	if in.staging == nil {
		staging, err := in.store.machine.StageImage()
		if err != nil {
			return 0, fmt.Errorf("stage image: %w", err)
		}
		in.staging = staging
	}
	n, err := in.staging.Write(p)
	in.size += int64(n)
	return n, err
}

// Close ends the transfer; raft then opens and restores what was staged.
func (in *incoming) Close() error {
	if in.local {
		return nil
	}
	if in.staging == nil {
		return errors.New("stage image: it has no bytes")
	}
	// If we crash here, the staging is garbage and the old state stands.
	fault.Point("consensus: image staged")
	in.store.mu.Lock()
	old := in.store.staged
	in.store.staged = &stagedImage{staging: in.staging, at: in.at, size: in.size}
	in.store.mu.Unlock()
	if old != nil {
		return old.Close() // raft stopped between the transfer and the restore
	}
	return nil
}

func (in *incoming) Cancel() error {
	if in.staging == nil {
		return nil
	}
	return in.staging.Discard()
}

// stagedImage passes through raft to delivery.Restore. Raft never reads it.
type stagedImage struct {
	staging Staging
	at      Position
	size    int64
}

func (*stagedImage) Read([]byte) (int, error) { return 0, io.EOF }
func (s *stagedImage) Close() error           { return s.staging.Discard() }
