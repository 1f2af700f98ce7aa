package state

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// An Image is a record of an image that the library has made. It is what is
// believed about images: names and labels are anybody's text.
type Image struct {
	// Engine is the path of the socket of the engine that has the image.
	Engine string
	ID     string // "sha256:…"
	// Name that the image was given, "name:tag".
	Name string
	// Project of the container that it is a snapshot of; empty: none.
	Project string `json:",omitempty"`
}

func (d Dir) images() string { return filepath.Join(string(d), "images") }

// imageFile is where the record is. An image may be made twice, under two names.
func (d Dir) imageFile(i Image) string {
	sum := sha256.Sum256([]byte(i.Engine + "\x00" + i.ID + "\x00" + i.Name))
	return filepath.Join(d.images(), hex.EncodeToString(sum[:8]))
}

// KeepImage writes the record of an image, whole or not at all.
func (d Dir) KeepImage(i Image) error {
	if err := os.MkdirAll(d.images(), 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return Box(d.images()).WriteFile(filepath.Base(d.imageFile(i)), text)
}

// ForgetImage removes a record.
func (d Dir) ForgetImage(i Image) error {
	err := os.Remove(d.imageFile(i))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Images reads all records. One that is damaged, or is not where it should
// be, is none.
func (d Dir) Images() ([]Image, error) {
	names, err := list(d.images())
	if err != nil {
		return nil, err
	}
	var all []Image
	for _, name := range names {
		path := filepath.Join(d.images(), name)
		fi, err := os.Lstat(path)
		if !isID(name) || err != nil || !fi.Mode().IsRegular() || fi.Size() > maxRecord {
			continue
		}
		text, err := os.ReadFile(path)
		var i Image
		if err == nil && json.Unmarshal(text, &i) == nil && d.imageFile(i) == path {
			all = append(all, i)
		}
	}
	return all, nil
}
