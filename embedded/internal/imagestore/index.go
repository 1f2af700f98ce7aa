package imagestore

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// indexVersion is that of images.json. A store that a newer program wrote is
// refused rather than misread.
const indexVersion = 1

const maxIndex = 64 << 20 // bytes; an image takes some hundred

// An index is the content of images.json.
type index struct {
	Version int
	Images  map[string]*record // by ID
	Names   map[string]string  // ID by full name, "docker.io/library/busybox:latest"
}

// A record is what an image's configuration does not say.
type record struct {
	Parent string    `json:",omitempty"` // the ID of what it was committed from
	Loaded time.Time // or committed
	Layers []layer   // the lowest first
}

type layer struct {
	DiffID string // digest of the uncompressed layer
	Size   int64  // bytes of its regular files
	Tar    int64  // bytes of the uncompressed layer
}

// chain names a root file system: the digest of its layers' digests, in order,
// as https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid
// has it.
func (r *record) chain() string {
	chain := digestOf(nil)
	for i, l := range r.Layers {
		if i == 0 {
			chain = l.DiffID
			continue
		}
		chain = digestOf([]byte(chain + " " + l.DiffID))
	}
	return chain
}

func (s *Store) readIndex() (*index, error) {
	f, err := s.root.Open(indexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return &index{Images: map[string]*record{}, Names: map[string]string{}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxIndex+1))
	if err != nil {
		return nil, err
	}
	x, err := parseIndex(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; move %s away to begin anew", f.Name(), err, s.dir)
	}
	return x, nil
}

func parseIndex(b []byte) (*index, error) {
	if len(b) > maxIndex {
		return nil, errors.New("larger than anything this program writes")
	}
	x := &index{}
	if err := json.Unmarshal(b, x); err != nil {
		return nil, err
	}
	if x.Version != indexVersion {
		return nil, fmt.Errorf("version %d, this program knows %d", x.Version, indexVersion)
	}
	if x.Images == nil {
		x.Images = map[string]*record{}
	}
	if x.Names == nil {
		x.Names = map[string]string{}
	}
	for id, r := range x.Images {
		if !isDigest(id) || r == nil {
			return nil, fmt.Errorf("an image of the ID %.100q", id)
		}
		for _, l := range r.Layers {
			if !isDigest(l.DiffID) {
				return nil, fmt.Errorf("image %s: a layer of the digest %.100q", id, l.DiffID)
			}
		}
	}
	for name, id := range x.Names {
		if x.Images[id] == nil {
			return nil, fmt.Errorf("the name %.200q of an image that is not there", name)
		}
	}
	return x, nil
}

// writeIndex replaces the index: after a power cut, too, it is the old or the
// new one.
func (s *Store) writeIndex(x *index) error {
	x.Version = indexVersion
	b, err := json.MarshalIndent(x, "", " ")
	if err != nil {
		return err
	}
	g, err := s.stage()
	if err != nil {
		return err
	}
	defer g.Close()
	if err := g.write("index", b); err != nil {
		return err
	}
	if err := s.root.Rename(g.name+"/index", indexFile); err != nil {
		return err
	}
	if d, err := s.root.Open("."); err == nil {
		d.Sync() // not on every system possible, and a matter of power cuts only
		d.Close()
	}
	return nil
}

// write makes a file and waits until the disk has it.
func (g *stage) write(name string, b []byte) error {
	f, err := g.dir.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// uuid is a file system's identifier for a chain.
func uuid(chain string) (u [16]byte) {
	sum := sha256.Sum256([]byte(chain))
	copy(u[:], sum[:])
	return u
}
