package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Raft takes whoever says so for the leader of a higher term. Here a server is the
// leader of a term for us if we voted for it in that term, or if so many others say
// that they follow it in that term that it must have been elected. There is one in
// each term.
type claims struct {
	vouch func(ctx context.Context, server string, term uint64) bool // nil: everybody is believed
	quit  <-chan struct{}
	work  *sync.WaitGroup

	mine func() uint64 // raft's term, as it is stored

	mu      sync.Mutex
	term    uint64
	leader  string // of term
	voted   string // whom we voted for
	votedIn uint64
	asking  map[string]bool      // servers: one at a time of each, so that none takes the others' places
	asked   map[string]time.Time // and not confirmed
}

type claim struct {
	server string
	term   uint64
}

// errUnproven is the answer to a leader about which the others are being asked. It
// tries again within milliseconds.
var errUnproven = errors.New("the others are being asked whether this server leads")

// vouchAgain is how soon they are asked again about a server whose claim they did not
// confirm.
const vouchAgain = 100 * time.Millisecond

// lead says why a server is not the leader of a term for us; nil if it is.
func (c *claims) lead(server string, term uint64) error {
	if c.vouch == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	one := claim{server, term}
	switch {
	case term < c.mine(), one == claim{c.leader, c.term}:
		return nil // raft itself refuses an older term, and tells the newer one
	case term < c.term:
		return fmt.Errorf("%s leads in term %d already, not %s in %d", c.leader, c.term, server, term)
	case term == c.term && c.leader != "":
		return fmt.Errorf("%s leads in term %d, not %s", c.leader, term, server)
	case c.votedIn == term && c.voted == server:
		c.term, c.leader = term, server
		return nil
	}
	if !c.asking[server] && time.Since(c.asked[server]) >= vouchAgain {
		c.ask(one)
	}
	return errUnproven
}

// maxAsking bounds the claims that are being looked into. A peer speaks for its own
// servers alone, so it takes as many network members to fill this.
const maxAsking = 64

func (c *claims) ask(one claim) {
	if len(c.asking) >= maxAsking {
		return
	}
	if len(c.asked) > 4*maxAsking {
		clear(c.asked)
	}
	c.asking[one.server] = true
	c.work.Go(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			select {
			case <-c.quit:
				cancel()
			case <-ctx.Done():
			}
		}()
		confirmed := c.vouch(ctx, one.server, one.term)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.asking, one.server)
		c.asked[one.server] = time.Now()
		if confirmed && one.term >= c.term && (one.term > c.term || c.leader == "") {
			c.term, c.leader = one.term, one.server
		}
	})
}

// vote notes whom this server has given its vote.
func (c *claims) vote(server string, term uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.voted, c.votedIn = server, term
}

// found notes the leader of whom no others can speak yet: of a server that knows no
// network.
func (c *claims) found(server string, term uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if term > c.term {
		c.term, c.leader = term, server
	}
}
