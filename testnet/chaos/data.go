//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// data is the directory that a node alone writes.
func (n *network) data(name string) string {
	p, err := n.Node(name)
	if err != nil {
		return ""
	}
	return p.Data
}

func crashLost(ctx context.Context, r *rig, point string) error {
	_, name, err := r.follower(ctx)
	if err != nil {
		return err
	}
	if err := r.kill(name); err != nil {
		return err
	}
	if err := os.RemoveAll(r.data(name)); err != nil {
		return err
	}
	return r.armed(ctx, name, point)
}

func crashDamaged(ctx context.Context, r *rig, point string) error {
	_, name, err := r.follower(ctx)
	if err != nil {
		return err
	}
	if err := r.kill(name); err != nil {
		return err
	}
	if err := r.flip(r.data(name), 64); err != nil {
		return err
	}
	return r.armed(ctx, name, point)
}

// oldBackup copies a voter's data while it is stopped, lets the network go on,
// and puts the copy back: the node's past is lost, and it must not answer from
// it as if it were fresh. The anchor stays where it is.
func oldBackup(ctx context.Context, r *rig) error {
	name := r.any()
	r.strike(name)
	data, backup := r.data(name), filepath.Join(r.dir, "backup")
	if err := r.Stop(name); err != nil {
		return err
	}
	if err := copyTree(data, backup); err != nil {
		return err
	}
	if err := r.begin(ctx, name); err != nil {
		return err
	}
	if err := r.load.publishMany(1000, 20); err != nil {
		return err
	}
	r.strike(name)
	if err := r.Kill(name); err != nil {
		return err
	}
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	if err := os.Rename(backup, data); err != nil {
		return err
	}
	return r.network.run(name)
}

func copyTree(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return tool("cp", "-a", "--sparse=always", from, to)
}

// lostData starts a node without its data directory: an empty disk.
func lostData(ctx context.Context, r *rig) error {
	name := r.any()
	if err := r.kill(name); err != nil {
		return err
	}
	if err := os.RemoveAll(r.data(name)); err != nil {
		return err
	}
	return r.network.run(name)
}

// swapped exchanges the data directories of two nodes. Both must see it and end;
// then the mistake is undone.
func swapped(ctx context.Context, r *rig) error {
	pick := r.dice.Perm(len(r.Nodes))
	a, b := r.names()[pick[0]], r.names()[pick[1]]
	if err := r.kill(a, b); err != nil {
		return err
	}
	if err := r.swap(a, b); err != nil {
		return err
	}
	if err := errors.Join(r.network.run(a), r.network.run(b)); err != nil {
		return err
	}
	for _, name := range []string{a, b} {
		if !r.gone(ctx, name, 15*time.Second) {
			r.witness.Violate(Kept, name, "it runs on the data directory of another node")
			if err := r.Kill(name); err != nil {
				return err
			}
		}
	}
	r.result.note("the nodes end with: %s", shorten(r.logs[a].last()))
	if err := r.swap(a, b); err != nil {
		return err
	}
	return errors.Join(r.network.run(a), r.network.run(b))
}

func (r *rig) swap(a, b string) error {
	between := filepath.Join(r.dir, "between")
	for _, step := range [][2]string{{r.data(a), between}, {r.data(b), r.data(a)}, {between, r.data(b)}} {
		if err := os.Rename(step[0], step[1]); err != nil {
			return err
		}
	}
	return nil
}

// damaged flips bits in the files of stopped nodes: of one or two, which must
// come back by themselves.
func damaged(_ context.Context, r *rig) error {
	pick := r.dice.Perm(len(r.Nodes))[:1+r.dice.IntN(2)]
	for _, i := range pick {
		name := r.names()[i]
		if err := r.kill(name); err != nil {
			return err
		}
		if err := r.flip(r.data(name), 1+r.dice.IntN(8)); err != nil {
			return err
		}
	}
	for _, i := range pick {
		if err := r.network.run(r.names()[i]); err != nil {
			return err
		}
	}
	return nil
}

// damagedMost turns bits in the files of all nodes but one. What comes back by
// itself is fine; what does not waits for a person, so the network is given up,
// after it was seen that it does not answer wrong.
func damagedMost(ctx context.Context, r *rig) error {
	pick := r.dice.Perm(len(r.Nodes))[1:]
	for _, i := range pick {
		name := r.names()[i]
		if err := r.kill(name); err != nil {
			return err
		}
		if err := r.flip(r.data(name), 1+r.dice.IntN(8)); err != nil {
			return err
		}
	}
	for _, i := range pick {
		if err := r.network.run(r.names()[i]); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := until(ctx, 50*time.Millisecond, func() error { return r.agreed(ctx) }); err != nil {
		r.abandoned = true
	}
	return nil
}

// flip turns some bits of the files below a directory: of written bytes, since
// most of a preallocated file is a hole.
func (r *rig) flip(dir string, count int) error {
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			files = append(files, path)
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		return err
	}
	for range count {
		if err := r.flipIn(files[r.dice.IntN(len(files))]); err != nil {
			return err
		}
	}
	return nil
}

func (r *rig) flipIn(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var written []int
	for i, b := range text {
		if b != 0 {
			written = append(written, i)
		}
	}
	if len(written) == 0 {
		return nil
	}
	at, bit := written[r.dice.IntN(len(written))], r.dice.IntN(8)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := file.WriteAt([]byte{text[at] ^ 1<<bit}, int64(at)); err != nil {
		file.Close()
		return err
	}
	r.flips = append(r.flips, fmt.Sprintf("%s byte %d bit %d", filepath.Base(path), at, bit))
	return file.Close()
}

// publishMany has subjects listed in commands of some each, and returns when
// all are acknowledged.
func (l *load) publishMany(subjects, each int) error {
	writer := len(l.n.authors) - 1
	var group errgroup.Group
	group.SetLimit(8)
	for done := 0; done < subjects; done += each {
		var names []string
		for k := range each {
			names = append(names, fmt.Sprintf("many-%d-%d-%d", l.run, l.many.Add(1), done+k))
		}
		group.Go(func() error {
			if !l.publish(writer, l.n.authors[writer], names...) {
				return errors.New("a command was not acknowledged")
			}
			l.mu.Lock()
			l.cold = append(l.cold, names...)
			l.mu.Unlock()
			return nil
		})
	}
	return group.Wait()
}
