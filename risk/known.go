package risk

// Known says what the state remembers of a command: its first outcome, or nil if it
// is no leaf. Outcomes are remembered until the command's not-after time, so after
// that nothing can be said.
func Known(st State, id Hash, notAfter int64) (*Remembered, error) {
	s := &step{State: st}
	if err := s.begin(0); err != nil {
		return nil, err
	}
	if found, err := s.remembered(id); found != nil || err != nil {
		return found, err
	}
	if notAfter < s.now {
		return nil, refuse(TooOld, "not_after", "passed %d s ago on the network's clock: what became of the command may be forgotten; look for it in the ledger", (s.now-notAfter)/1000)
	}
	return nil, nil
}
