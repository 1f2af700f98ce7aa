// Package imageset moves images between engines and machines in one file, for
// machines without a network: it writes a set of images as a tar stream, plain
// or compressed, and loads one into any engine, whichever it came from.
//
// # The format
//
// A tar archive, as it is or compressed with gzip or Zstandard, with
//
//	manifest.json   what it is, and which images are in it
//	images/000000   the images as engines save and load them (docker save), in
//	images/000001   pieces of at most 8 MiB, so that neither side has to know
//	…               the length in advance or keep a copy
//	end.json        the length and SHA-256 of all pieces together
//
// An archive without its end.json is incomplete. Without pocketdock at hand,
// tar -xOf FILE --wildcards 'images/*' | docker load does it, too.
package imageset

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// ErrFormat: what was read is not an image set, is damaged, or is cut short.
// Nothing of it was loaded.
var ErrFormat = errors.New("not a usable image set")

// formatf makes an ErrFormat.
func formatf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
}

const (
	formatName    = "pocketdock image set"
	formatVersion = 1

	manifestName = "manifest.json"
	endName      = "end.json"
	pieceName    = "images/%06d"
	pieceSize    = 8 << 20 // what an export holds in memory
	maxPieces    = 1_000_000
	maxDocument  = 1 << 20 // of manifest and end: 1000 images have 300 KB
	maxImages    = 1000
)

// A Manifest says what is in an image set.
type Manifest struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Created time.Time `json:"created"`
	Arch    string    `json:"arch"` // of the images, as Go names it
	Images  []Image   `json:"images"`
}

// An Image of a set.
type Image struct {
	Profile string `json:"profile,omitempty"` // empty: none
	Tag     string `json:"tag"`               // "name:tag"
	ID      string `json:"id"`                // on the engine that it came from
	Size    int64  `json:"size"`              // bytes there, shared layers included
}

// An end is what follows the last piece.
type end struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// tagPattern is what both engines accept as a name, with its tag. Compiling it
// takes a millisecond, which a program that imports nothing should not wait for.
var tagPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9._:/-]{0,254}:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
})

// check reports what makes a manifest unusable.
func (m *Manifest) check() error {
	if m.Format != formatName {
		return formatf("it does not say that it is one")
	}
	if m.Version != formatVersion {
		return formatf("it is of version %d; this pocketdock reads version %d: update it", m.Version, formatVersion)
	}
	if len(m.Images) == 0 || len(m.Images) > maxImages {
		return formatf("it lists %d images, there can be 1 to %d", len(m.Images), maxImages)
	}
	seen := map[string]bool{}
	for _, i := range m.Images {
		if !tagPattern().MatchString(i.Tag) || strings.Contains(i.Tag, "..") || strings.Contains(i.Tag, "//") {
			return formatf("%.100q is not the name of an image", i.Tag)
		}
		if seen[canonical(i.Tag)] {
			return formatf("it lists image %s twice", i.Tag)
		}
		seen[canonical(i.Tag)] = true
	}
	return nil
}

// prefixes are what engines put before a short name: Docker nothing, Podman
// localhost/ for what was built there, and docker.io/ for what came from there.
var prefixes = []string{"docker.io/library/", "docker.io/", "localhost/"}

// canonical is a name without an engine's prefix.
func canonical(tag string) string {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(tag, p); ok {
			return rest
		}
	}
	return tag
}

// withTag adds the tag that a name without one means.
func withTag(name string) string {
	if strings.LastIndexByte(name, ':') > strings.LastIndexByte(name, '/') {
		return name
	}
	return name + ":latest"
}

// A Stage of an export or import.
type Stage string

const (
	Saving    Stage = "save"   // from the engine into the set
	Spooling  Stage = "spool"  // from a stream into a file
	Verifying Stage = "verify" // reading all of it, before anything is loaded
	Loading   Stage = "load"   // into the engine
)

// Progress of an export or import.
type Progress struct {
	Stage Stage
	Done  int64 // bytes
	// Total is how many there will be; while saving an estimate that counts
	// layers shared between images once for each. 0: not known.
	Total int64
}

// A meter tells progress, about every 4 MiB.
type meter struct {
	tell       func(Progress)
	p          Progress
	told       int64
	everyBytes int64
}

func newMeter(tell func(Progress), stage Stage, total int64) *meter {
	return &meter{tell: tell, p: Progress{Stage: stage, Total: total}, everyBytes: 4 << 20}
}

func (m *meter) add(n int) {
	m.p.Done += int64(n)
	if m.p.Done-m.told >= m.everyBytes {
		m.flush()
	}
}

func (m *meter) flush() {
	m.told = m.p.Done
	if m.tell != nil {
		m.tell(m.p)
	}
}
