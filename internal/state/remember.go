package state

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
)

// Remember returns what find found for a key the first time. It is for small
// facts that never change; if it cannot be kept, it is found again.
func (d Dir) Remember(key string, find func() (string, error)) (string, error) {
	sum := sha256.Sum256([]byte(key))
	path := filepath.Join(string(d), "ids", hex.EncodeToString(sum[:]))
	const max = 100 // bytes: a crash leaves none, anybody else's text is not ours
	if b, err := os.ReadFile(path); err == nil && len(b) > 0 && len(b) <= max {
		return string(b), nil
	}
	text, err := find()
	if err != nil {
		return "", err
	}
	if os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return text, nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return text, nil
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if errors.Join(err, f.Close()) == nil {
		os.Rename(f.Name(), path)
	}
	return text, nil
}
