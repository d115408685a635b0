package sim

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// story remembers what happened last, for who has to find out why.
type story struct {
	mu    sync.Mutex
	lines []string
}

const storyLines = 200

func (s *story) tell(at time.Duration, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%10s  %s", at.Round(time.Millisecond), text))
	if len(s.lines) > storyLines {
		s.lines = s.lines[1:]
	}
}

func (s *story) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}
