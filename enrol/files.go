package enrol

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/risknet/risknet/node"
)

const configFile = "node.yaml"

// vacant refuses a directory that is there already, whatever it holds: a node's
// keys are never written over.
func vacant(dir string) error {
	if dir == "" {
		return errors.New("dir: is missing; name a directory that does not exist yet")
	}
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("dir: %s exists; name one that does not, or remove it if it is of a node that is gone", dir)
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("dir: %w", err)
	}
	return nil
}

// folder is a node's directory in the making. It lies beside its place and takes
// it whole, or is removed: nobody sees half of it.
type folder struct {
	place string
	made  string
}

// newFolder needs no mode: MkdirTemp gives 0700.
func newFolder(place string) (*folder, error) {
	parent := filepath.Dir(filepath.Clean(place))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, fmt.Errorf("dir: %w", err)
	}
	made, err := os.MkdirTemp(parent, "."+filepath.Base(place)+".joining-*")
	if err != nil {
		return nil, fmt.Errorf("dir: %w; name a place where this user may write", err)
	}
	return &folder{place: place, made: made}, nil
}

func (f *folder) discard() { _ = os.RemoveAll(f.made) }

// write puts a file on disk, readable by its owner alone.
func (f *folder) write(name string, data []byte) error {
	file, err := os.OpenFile(filepath.Join(f.made, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("dir: %w", err)
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("dir: %w", err)
	}
	return nil
}

// complete writes what is left and takes the place. If we crash before the
// rename, a hidden directory stays behind that can be removed.
func (f *folder) complete(files map[string][]byte) (string, error) {
	for name, data := range files {
		if err := f.write(name, data); err != nil {
			return "", err
		}
	}
	if err := syncDir(f.made); err != nil {
		return "", err
	}
	if err := vacant(f.place); err != nil {
		return "", err
	}
	if err := os.Rename(f.made, f.place); err != nil {
		return "", fmt.Errorf("dir: %w", err)
	}
	return filepath.Join(f.place, configFile), syncDir(filepath.Dir(filepath.Clean(f.place)))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("dir: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (j *joiner) writeKeys(f *folder) error {
	tlsKey, err := node.KeyPEM(j.keys.tls)
	if err != nil {
		return err
	}
	logKey, err := node.SigningKeyPEM(j.keys.log)
	if err != nil {
		return err
	}
	return errors.Join(f.write("tls.key", tlsKey), f.write("log.key", logKey))
}

// config is the text of the node's configuration; paths are relative to it.
func (j *joiner) config(a *admission) ([]byte, error) {
	cfg := node.DefaultConfig()
	if j.options.Tune != nil {
		j.options.Tune(&cfg)
	}
	cfg.Name, cfg.ID, cfg.Network = j.terms.Name, a.Node, a.Network
	cfg.TokenKeys, cfg.LogKey = "token.keys", "log.key"
	cfg.TLS = node.TLSConfig{CA: "ca.pem", Certificate: "tls.pem", Key: "tls.key"}
	cfg.Listen.Raft, cfg.Listen.API, cfg.Listen.HTTP = j.options.Raft, j.options.API, j.options.HTTP
	return cfg.YAML()
}
