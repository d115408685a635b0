package risk

// Known says what the state remembers of a command: its leaf, or nil if it is none.
// Outcomes are remembered until the command's not-after time, so the answer means
// something until then only; after it, and for what is not validly signed, there is
// a refusal. Bodies may be left out.
func Known(st State, signed *Signed) (*Remembered, error) {
	s := &step{State: st, entry: &Entry{Signed: signed}}
	var err error
	if s.cmd, err = DecodeCommand(signed.Header); err != nil {
		return nil, err
	}
	if err = s.begin(0); err != nil {
		return nil, err
	}
	if _, err := s.verify(true); err != nil {
		return nil, err
	}
	if found, err := s.remembered(signed.ID()); found != nil || err != nil {
		return found, err
	}
	if s.cmd.NotAfter < s.now {
		return nil, refuse(TooOld, "not_after", "passed %d s ago on the network's clock: what became of the command may be forgotten; look for it in the ledger", (s.now-s.cmd.NotAfter)/1000)
	}
	return nil, nil
}
