package store

import "io"

// roomPart is how much is written between two questions whether there is room.
const roomPart = 1 << 20

// roomy asks for room before it writes: a disk that fills up under a state that
// is mapped into memory ends the process.
type roomy struct {
	to   io.Writer
	room func(bytes uint64) error
	left int
}

func (w *roomy) Write(p []byte) (int, error) {
	if len(p) > w.left {
		part := max(roomPart, len(p))
		if err := w.room(uint64(part)); err != nil {
			return 0, err
		}
		w.left = part
	}
	n, err := w.to.Write(p)
	w.left -= n
	return n, err
}
