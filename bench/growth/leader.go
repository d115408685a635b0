package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/risknet/risknet/consensus"
)

// leader is the process that leads, as its parent sees it.
type leader struct {
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

func startLeader(ctx context.Context, dir string) (*leader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l := &leader{process: exec.CommandContext(ctx, self, leaderRole, dir)}
	l.process.Stderr = os.Stderr
	if l.in, err = l.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := l.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	l.out = bufio.NewScanner(out)
	return l, l.process.Start()
}

func (l *leader) ask(o order) (a answer, err error) {
	if err := json.NewEncoder(l.in).Encode(o); err != nil {
		return a, err
	}
	if !l.out.Scan() {
		return a, errors.Join(errors.New("the leader has ended"), l.out.Err())
	}
	if err := json.Unmarshal(l.out.Bytes(), &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// stop closes the leader's input, at which it ends.
func (l *leader) stop() {
	_ = l.in.Close()
	_ = l.process.Wait()
}

// lead is the leader's own process.
func lead(ctx context.Context, dir string, in io.Reader, out io.Writer) error {
	self, err := startServer(dir, 0)
	if err != nil {
		return err
	}
	defer self.Stop()
	if err := self.Bootstrap(); err != nil {
		return err
	}
	for !self.Ready() {
		<-self.Changes()
	}
	orders := bufio.NewScanner(in)
	orders.Buffer(nil, 1<<20)
	for orders.Scan() {
		var o order
		if err := json.Unmarshal(orders.Bytes(), &o); err != nil {
			return err
		}
		a, err := self.follow(ctx, &o)
		if err != nil {
			a.Error = err.Error()
		}
		if err := json.NewEncoder(out).Encode(a); err != nil {
			return err
		}
	}
	return orders.Err()
}

func (s *server) follow(ctx context.Context, o *order) (answer, error) {
	if o.Load == nil {
		err := s.take(ctx, o.Members)
		return answer{Last: s.Applied()}, err
	}
	return s.carry(ctx, o.Load, o.Duration)
}

// settleWithin is how long new servers may take to be members.
const settleWithin = 2 * time.Minute

// take makes servers members, and returns when all of them have everything.
func (s *server) take(ctx context.Context, others []consensus.Server) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	want := append(slices.Clone(others), s.Server)
	for {
		err := s.Reconcile(ctx, want)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// carry proposes at an even rate, whatever becomes of what was proposed before, and
// measures this process.
func (s *server) carry(ctx context.Context, l *load, duration time.Duration) (answer, error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	var took []float64
	var failed error
	payload := make([]byte, l.Bytes) // nobody reads it
	propose := func() {
		begun := time.Now()
		_, _, err := s.Propose(ctx, func(int64) []byte { return slices.Clone(payload) })
		mu.Lock()
		defer mu.Unlock()
		took, failed = append(took, time.Since(begun).Seconds()), errors.Join(failed, err)
	}
	begun, cpu := time.Now(), processCPU()
	if l.PerSecond == 0 {
		wait(ctx, duration)
	}
	for i := range int(duration.Seconds() * float64(l.PerSecond)) {
		wait(ctx, time.Until(begun.Add(time.Duration(i)*time.Second/time.Duration(l.PerSecond))))
		all.Go(propose)
	}
	wait(ctx, time.Until(begun.Add(duration)))
	all.Wait()
	a := answer{Commands: len(took), Seconds: time.Since(begun).Seconds(), CPU: (processCPU() - cpu).Seconds()}
	if slices.Sort(took); len(took) > 0 {
		a.P50 = took[len(took)/2]
	}
	if failed != nil {
		return a, fmt.Errorf("%s: %w", l.Name, failed)
	}
	return a, ctx.Err()
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// processCPU is what this process has used, user and system.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
