package state

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const keyName = "key"

func (b Box) keyFile() string { return filepath.Join(string(b), keyName) }

// NewKey makes the key that proves this user to an agent inside the
// container, unless there is one, and returns its public half.
func (b Box) NewKey() (ed25519.PublicKey, error) {
	key, err := b.Key()
	if errors.Is(err, fs.ErrNotExist) {
		// A link, not a rename: of two programs that do this at once, the
		// second must take the first one's key.
		err = b.writeFile(keyName, newSeed(), false, os.Link)
		if err == nil || errors.Is(err, fs.ErrExist) {
			key, err = b.Key()
		}
	} else if err != nil {
		// A crash left half of one.
		if err = b.WriteFile(keyName, newSeed()); err == nil {
			key, err = b.Key()
		}
	}
	if err != nil {
		return nil, err
	}
	return key.Public().(ed25519.PublicKey), nil
}

func newSeed() []byte {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	return seed
}

// Key is the key that NewKey kept.
func (b Box) Key() (ed25519.PrivateKey, error) {
	seed, err := os.ReadFile(b.keyFile())
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s: %d bytes, a key has %d", b.keyFile(), len(seed), ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// WriteFile keeps a small private file in the directory, whole or not at all.
func (b Box) WriteFile(name string, data []byte) error {
	return b.writeFile(name, data, false, os.Rename)
}

// writeFile writes a file under a name of its own (another program may do
// the same) and has put give it the name. With sync it is on the disk then.
func (b Box) writeFile(name string, data []byte, sync bool, put func(from, to string) error) error {
	f, err := os.CreateTemp(string(b), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if sync && err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return put(f.Name(), filepath.Join(string(b), name))
}

// ReadFile reads a file that WriteFile wrote.
func (b Box) ReadFile(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(b), name))
}
