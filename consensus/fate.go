package consensus

import (
	"sync"

	"github.com/hashicorp/raft"
)

// fate is what becomes of payloads in this server's log before they are committed:
// a proposal is told when it is on this disk, and the caller hears of entries that
// are taken out of the log again, because another leader did not have them.
type fate struct {
	dropped func(payload []byte)

	mu      sync.Mutex
	waiting map[*byte]func() // by the first byte of the payload, which raft does not copy
}

func newFate(dropped func([]byte)) *fate { return &fate{dropped: dropped, waiting: map[*byte]func(){}} }

// await has a function called, once, when the payload is on disk.
func (f *fate) await(payload []byte, stored func()) {
	if stored == nil || len(payload) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting[&payload[0]] = stored
}

// forget ends the wait of a payload that raft has answered.
func (f *fate) forget(payload []byte) {
	if len(payload) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiting, &payload[0])
}

// onDisk is called by the log behind every write.
func (f *fate) onDisk(logs []*raft.Log) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range logs {
		if len(f.waiting) == 0 {
			return
		}
		if l.Type != raft.LogCommand || len(l.Data) == 0 {
			continue
		}
		if stored := f.waiting[&l.Data[0]]; stored != nil {
			delete(f.waiting, &l.Data[0])
			stored()
		}
	}
}

// truncated hands over the commands that a truncation is about to take.
func (f *fate) truncated(payloads [][]byte) {
	for _, p := range payloads {
		f.dropped(p)
	}
}

// commands reads the payloads from one index to another, as far as they are there.
func (f *fate) commands(log raft.LogStore, from, to uint64) (payloads [][]byte) {
	if f == nil || f.dropped == nil {
		return nil
	}
	for index := from; index <= to; index++ {
		var entry raft.Log
		if err := log.GetLog(index, &entry); err != nil {
			return payloads // who reads the log finds out what is wrong with it
		}
		if entry.Type == raft.LogCommand {
			payloads = append(payloads, entry.Data)
		}
	}
	return payloads
}
