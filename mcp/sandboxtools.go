package mcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/pocketdock/pocketdock"
)

type sandboxCreate struct {
	Profile    string            `json:"profile,omitempty" jsonschema:"kind of sandbox: agent (Python with pandas, numpy, requests), minimal-python, minimal-node, minimal-bun, dev (git, compilers), embedded (C, cross compilers), or one of the user's own; it must have been built"`
	Image      string            `json:"image,omitempty" jsonschema:"instead of a profile, an image that is on the user's machine, or one that snapshot made"`
	MemoryMB   int64             `json:"memory_mb,omitempty" jsonschema:"memory limit in MiB (default 2048)"`
	CPUs       float64           `json:"cpus,omitempty" jsonschema:"processor limit, 1 is one core (default 2)"`
	Network    bool              `json:"network,omitempty" jsonschema:"connect it to the network, if the user allowed that (default false)"`
	TTLSeconds float64           `json:"ttl_seconds,omitempty" jsonschema:"end it this long after now (default: with the session)"`
	Env        map[string]string `json:"env,omitempty" jsonschema:"environment variables of everything in it; no place for secrets"`
}

// A sandboxState is what the tools about sandboxes answer.
type sandboxState struct {
	SandboxID     string         `json:"sandbox_id"`
	Default       bool           `json:"default" jsonschema:"calls without sandbox_id use it"`
	Image         string         `json:"image"`
	Profile       string         `json:"profile,omitempty"`
	Status        string         `json:"status" jsonschema:"running, or ended"`
	UptimeSeconds float64        `json:"uptime_seconds"`
	Network       bool           `json:"network"`
	User          string         `json:"user,omitempty"`
	MemoryBytes   int64          `json:"memory_bytes,omitempty" jsonschema:"in use"`
	MemoryLimit   int64          `json:"memory_limit,omitempty" jsonschema:"bytes; absent: none that is known"`
	Processes     []processState `json:"processes" jsonschema:"those that run and the last ones that ended, newest first"`
}

type processState struct {
	ProcessID string `json:"process_id"`
	Command   string `json:"command"`
	ended
	Started     string `json:"started"`
	StdoutBytes int64  `json:"stdout_bytes"`
	StderrBytes int64  `json:"stderr_bytes"`
}

func (s sandboxState) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Sandbox %s", s.SandboxID)
	if s.Default {
		b.WriteString(" (default)")
	}
	fmt.Fprintf(&b, ": %s, image %s, up %.0f s, ", s.Status, s.Image, s.UptimeSeconds)
	if !s.Network {
		b.WriteString("no ")
	}
	b.WriteString("network")
	if s.MemoryLimit > 0 {
		fmt.Fprintf(&b, ", memory %s of %s", pocketdock.FormatSize(s.MemoryBytes), pocketdock.FormatSize(s.MemoryLimit))
	}
	b.WriteString(".\n")
	for _, p := range s.Processes {
		fmt.Fprintf(&b, "process %s: %s, %s\n", p.ProcessID, strings.ToLower(p.said()), p.Command)
	}
	return b.String()
}

type sandboxRef struct {
	SandboxID string `json:"sandbox_id,omitempty" jsonschema:"leave out for the default sandbox"`
}

type nothing struct{}

type sandboxes struct {
	Sandboxes []sandboxState `json:"sandboxes"`
}

func (l sandboxes) text() string {
	if len(l.Sandboxes) == 0 {
		return "No sandbox yet: the first call that needs the default one makes it."
	}
	var b strings.Builder
	for _, s := range l.Sandboxes {
		b.WriteString(s.text())
	}
	return b.String()
}

type sandboxStopped struct {
	SandboxID string `json:"sandbox_id" jsonschema:"empty: there was none"`
}

func (s sandboxStopped) text() string {
	if s.SandboxID == "" {
		return "There was no default sandbox."
	}
	return fmt.Sprintf("Sandbox %s is removed with its files.", s.SandboxID)
}

type snapshotMake struct {
	Name      string `json:"name" jsonschema:"what to call it: lower-case letters, digits, '-', '_' and '.'"`
	SandboxID string `json:"sandbox_id,omitempty" jsonschema:"leave out for the default sandbox"`
}

type snapshotMade struct {
	Image string `json:"image" jsonschema:"for sandbox_create"`
}

func (s snapshotMade) text() string {
	return fmt.Sprintf("Image %s has the sandbox's files: sandbox_create with this image makes sandboxes that begin with them.", s.Image)
}

// snapshotPrefix keeps a client from taking the name of an image of the user's.
const snapshotPrefix = "pocketdock-mcp/"

var snapshotName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*$`) })

func (s *Server) addSandboxTools() {
	add(s, tool[sandboxCreate, sandboxState]{
		name: "sandbox_create", title: "Create a sandbox", effect: changes,
		description: "Creates another sandbox, beside the default one, where that does not do: another language, limits of its own, a clean start. It lasts until sandbox_stop or the end of the session. Pass its sandbox_id to the other tools.",
		input: func(in *jsonschema.Schema) {
			between(in, "memory_mb", 6, 1<<20)
			between(in, "cpus", 0.01, 1000)
			between(in, "ttl_seconds", 1, maxTimeout)
		},
		do: func(ctx context.Context, c *call, in sandboxCreate) (sandboxState, error) {
			if in.Profile != "" && in.Image != "" {
				return sandboxState{}, errors.New("a profile and an image: only one of them says what the sandbox is made of")
			}
			o := pocketdock.CreateOptions{Profile: in.Profile, Memory: in.MemoryMB << 20, CPUPercent: int(in.CPUs * 100),
				Network: in.Network, NoNetwork: !in.Network, Env: in.Env, TTL: time.Duration(in.TTLSeconds * float64(time.Second))}
			b, err := c.create(ctx, creation{options: o, image: in.Image})
			if err != nil {
				return sandboxState{}, err
			}
			c.box = b
			return c.state(ctx, b)
		},
	})
	add(s, tool[nothing, sandboxes]{
		name: "sandbox_list", title: "List sandboxes", effect: reads,
		description: "Lists the sandboxes of this session.",
		do: func(ctx context.Context, c *call, _ nothing) (sandboxes, error) {
			out := sandboxes{Sandboxes: []sandboxState{}}
			for _, b := range c.list() {
				st, err := c.state(ctx, b)
				if c.lost(b, err) {
					st, err = sandboxState{SandboxID: b.id(), Image: b.image, Status: "ended", Processes: []processState{}}, nil
				}
				if err != nil {
					return out, err
				}
				out.Sandboxes = append(out.Sandboxes, st)
			}
			return out, nil
		},
	})
	add(s, tool[sandboxRef, sandboxState]{
		name: "sandbox_info", title: "Describe a sandbox", effect: reads,
		description: "Describes a sandbox: what it is made of, its limits, what runs in it.",
		do: func(ctx context.Context, c *call, in sandboxRef) (sandboxState, error) {
			b, err := c.use(ctx, in.SandboxID)
			if err != nil {
				return sandboxState{}, err
			}
			return c.state(ctx, b)
		},
	})
	add(s, tool[sandboxRef, sandboxStopped]{
		name: "sandbox_stop", title: "Remove a sandbox", effect: destroys,
		description: "Ends a sandbox and removes it with all its files and processes. After the default one is removed, the next call makes a new one.",
		do: func(ctx context.Context, c *call, in sandboxRef) (sandboxStopped, error) {
			c.session.mu.Lock()
			b := c.def
			c.session.mu.Unlock()
			if in.SandboxID != "" {
				var err error
				if b, _, err = c.find(ctx, in.SandboxID); err != nil {
					return sandboxStopped{}, err
				}
			}
			if b == nil || !c.take(b) {
				return sandboxStopped{}, nil
			}
			return sandboxStopped{b.id()}, c.remove(b)
		},
	})
	add(s, tool[snapshotMake, snapshotMade]{
		name: "snapshot", title: "Keep a sandbox's files", effect: changes,
		description: "Makes an image of a sandbox's files, on the user's machine, where it stays after the session. Processes are not part of it.",
		do: func(ctx context.Context, c *call, in snapshotMake) (snapshotMade, error) {
			if len(in.Name) > 100 || !snapshotName().MatchString(in.Name) {
				return snapshotMade{}, fmt.Errorf("name %q: use lower-case letters and digits, with single '-', '_' or '.' between them, at most 100", in.Name)
			}
			image := snapshotPrefix + in.Name + ":latest"
			if there, err := s.opts.Client.ImageExists(ctx, image); err != nil {
				return snapshotMade{}, err
			} else if there {
				return snapshotMade{}, fmt.Errorf("there is an image %s already: choose another name", image)
			}
			b, err := c.use(ctx, in.SandboxID)
			if err != nil {
				return snapshotMade{}, err
			}
			_, err = b.box.Snapshot(ctx, image, pocketdock.SnapshotOptions{})
			return snapshotMade{image}, err
		},
	})
}

// shownEnded is how many ended processes are described.
const shownEnded = 10

// state asks a sandbox how it is.
func (c *call) state(ctx context.Context, b *sandbox) (sandboxState, error) {
	info, err := b.box.Info(ctx)
	if err != nil {
		return sandboxState{}, err
	}
	if !info.Running {
		return sandboxState{}, &pocketdock.ContainerError{Container: b.id(), Kind: pocketdock.ErrContainerNotRunning,
			Status: info.Status, ExitCode: info.ExitCode, OOMKilled: info.OOMKilled}
	}
	st := sandboxState{SandboxID: b.id(), Default: c.isDefault(b), Image: b.image, Profile: b.profile, Status: "running",
		UptimeSeconds: seconds(info.Uptime), Network: info.Network, User: info.User,
		MemoryBytes: max(0, info.Memory), MemoryLimit: info.MemoryLimit, Processes: []processState{}}
	list, err := b.box.Processes(ctx)
	if err != nil {
		return st, err
	}
	slices.SortFunc(list, func(a, b pocketdock.ProcessInfo) int { return b.Started.Compare(a.Started) })
	over := 0
	for i := range list {
		p := &list[i]
		if !p.Running {
			if over++; over > shownEnded {
				continue
			}
		}
		st.Processes = append(st.Processes, processState{ProcessID: p.ID, Command: commandOf(p.Args), ended: stateOf(p),
			Started: p.Started.UTC().Format(time.RFC3339), StdoutBytes: p.Stdout, StderrBytes: p.Stderr})
	}
	return st, nil
}

// commandOf is a command line for a list: what a shell was given, without the shell.
func commandOf(args []string) string {
	if len(args) == 3 && args[0] == "/bin/sh" && args[1] == "-c" {
		args = args[2:]
	}
	return short(cmp.Or(strings.Join(args, " "), "?"))
}
