package project

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2"

	"github.com/pocketdock/pocketdock"
)

// A Manifest is instance.toml: what the container was when it was made. The
// engine knows better what it is now.
type Manifest struct {
	Container  ManifestContainer  `toml:"container"`
	Resources  ManifestResources  `toml:"resources"`
	Ports      []ManifestPort     `toml:"ports,omitempty"`
	Volumes    []ManifestVolume   `toml:"volumes,omitempty"`
	Provenance ManifestProvenance `toml:"provenance"`
}

// ManifestContainer identifies the container.
type ManifestContainer struct {
	ID        string    `toml:"id"`
	Name      string    `toml:"name"`
	Image     string    `toml:"image"`
	Profile   string    `toml:"profile"`
	Project   string    `toml:"project"`
	CreatedAt time.Time `toml:"created_at"`
	Persist   bool      `toml:"persist"`
	// Socket of the engine that has it: another engine does not know it.
	Socket string `toml:"socket"`
}

// ManifestResources are the limits that were asked for; 0 and "" for the
// defaults, see [pocketdock.CreateOptions].
type ManifestResources struct {
	Memory      int64  `toml:"memory"` // bytes
	CPUPercent  int    `toml:"cpu_percent"`
	PIDs        int64  `toml:"pids"`
	Disk        int64  `toml:"disk"` // bytes
	TTL         string `toml:"ttl"`
	IdleTimeout string `toml:"idle_timeout"`
	Network     bool   `toml:"network"`
}

// ManifestPort is a published port. Host 0 is one that was free.
type ManifestPort struct {
	Container int    `toml:"container"`
	Host      int    `toml:"host"`
	Address   string `toml:"address"`
	Protocol  string `toml:"protocol"`
}

// ManifestVolume is a directory of the host.
type ManifestVolume struct {
	Host      string `toml:"host"`
	Container string `toml:"container"`
	ReadOnly  bool   `toml:"read_only"`
}

// ManifestProvenance is the program that made the container.
type ManifestProvenance struct {
	// Argv has no values of environment variables, nor what looks like a
	// secret, see [RedactArgs].
	Argv []string `toml:"argv"`
	PID  int      `toml:"pid"`
}

// NewManifest describes a container that this program has just created. The
// values of o.Env are not part of it.
func NewManifest(box *pocketdock.Container, image, profile string, o pocketdock.CreateOptions) *Manifest {
	m := &Manifest{
		Container: ManifestContainer{ID: box.ID(), Name: box.Name(), Image: image, Profile: profile, Project: o.Project,
			CreatedAt: time.Now().UTC().Truncate(time.Millisecond), Persist: o.Persist, Socket: box.Socket()},
		Resources: ManifestResources{Memory: o.Memory, CPUPercent: o.CPUPercent, PIDs: o.PIDs, Disk: o.Disk,
			TTL: durationOrNone(o.TTL), IdleTimeout: durationOrNone(o.IdleTimeout), Network: o.Network},
		Provenance: ManifestProvenance{Argv: RedactArgs(os.Args), PID: os.Getpid()},
	}
	for _, p := range o.Ports {
		m.Ports = append(m.Ports, ManifestPort{p.Container, p.Host, p.Address, p.Protocol})
	}
	for _, v := range o.Volumes {
		m.Volumes = append(m.Volumes, ManifestVolume{v.Host, v.Container, v.ReadOnly})
	}
	return m
}

func durationOrNone(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// maxManifest bounds instance.toml, in bytes. An argument list is most of it.
const maxManifest = 256 << 10

func (i *Instance) writeManifest(m *Manifest) error {
	b, err := toml.Marshal(m)
	if err != nil {
		return fmt.Errorf("instance %s: %w", i.name, err)
	}
	if len(b) > maxManifest {
		return fmt.Errorf("instance %s: its description has %d bytes, at most %d are kept", i.name, len(b), maxManifest)
	}
	if err := replaceFile(i.root, manifestName, b, 0o600); err != nil {
		return fmt.Errorf("instance %s: writing %s: %w", i.name, manifestName, err)
	}
	return nil
}

// Manifest reads instance.toml. Control characters, which none of ours has,
// are replaced.
func (i *Instance) Manifest() (*Manifest, error) {
	f, err := openRegular(i.root, manifestName, os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("instance %s: %w", i.name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err == nil && len(b) > maxManifest {
		err = fmt.Errorf("larger than %d bytes", maxManifest)
	}
	m := &Manifest{}
	if err == nil {
		err = toml.Unmarshal(b, m)
	}
	if err != nil {
		at := i.Dir() + "/" + manifestName
		if de, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := de.Position()
			return nil, &ConfigError{File: at, Line: line, Column: column, Msg: printable(de.Error())}
		}
		return nil, &ConfigError{File: at, Msg: printable(err.Error())}
	}
	for _, s := range m.texts() {
		*s = printable(*s)
	}
	return m, nil
}

// texts are all texts of the manifest.
func (m *Manifest) texts() []*string {
	c, r := &m.Container, &m.Resources
	list := []*string{&c.ID, &c.Name, &c.Image, &c.Profile, &c.Project, &c.Socket, &r.TTL, &r.IdleTimeout}
	for i := range m.Ports {
		list = append(list, &m.Ports[i].Address, &m.Ports[i].Protocol)
	}
	for i := range m.Volumes {
		list = append(list, &m.Volumes[i].Host, &m.Volumes[i].Container)
	}
	for i := range m.Provenance.Argv {
		list = append(list, &m.Provenance.Argv[i])
	}
	return list
}

// printable is a text without what a terminal would obey: control characters
// become U+FFFD.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
