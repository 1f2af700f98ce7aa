package pocketdock

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pocketdock/pocketdock/internal/agentbin"
	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/state"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// agentCaps are what the agent needs: to start commands as another user
// (SETGID, SETUID), without capabilities (SETPCAP), to end them (KILL), and to
// move files for them (CHOWN, DAC_OVERRIDE, FOWNER). Commands get none.
var agentCaps = []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETPCAP", "SETUID"}

// Create creates a container from an image that the engine has, starts it,
// and waits until it takes commands. An empty image is that of the profile.
// Nothing is left of one that fails.
func (c *Client) Create(ctx context.Context, image string, opts CreateOptions) (*Container, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	e, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	if opts.Runtime != "" && e.Name == "podman" {
		// Podman 4.3 accepts the field and uses its own default.
		return nil, fmt.Errorf("runtime %s: Podman's API cannot choose one; set engine.runtime in its containers.conf: %w", opts.Runtime, ErrUnsupported)
	}
	n := &creation{client: c, engine: e, image: image, opts: opts, owner: self(), noMounts: c.NoMounts}
	if e.Embedded() {
		defer n.expect(ctx)()
	}
	if err := n.resolve(ctx); err != nil {
		return nil, err
	}
	if opts.Name == "" {
		var b [4]byte
		rand.Read(b[:])
		n.opts.Name = "pd-" + hex.EncodeToString(b[:])
	}
	// The options are kept for programs that run elsewhere.
	n.opts.Volumes = slices.Clone(opts.Volumes)
	for i, v := range opts.Volumes {
		var err error
		if n.opts.Volumes[i].Host, err = filepath.Abs(v.Host); err != nil {
			return nil, invalidf("volume %s: %v", v.Host, err)
		}
	}
	switch {
	case opts.Owner < 0:
		n.owner = nobody
	case opts.Owner > 0:
		var err error
		if n.owner, err = processOwner(opts.Owner); err != nil {
			return nil, err
		}
	}
	return n.do(ctx)
}

// expect tells the embedded engine that a container comes, which takes it some
// time to prepare for. It is a hint: what becomes of it does not matter.
func (n *creation) expect(ctx context.Context) (wait func()) {
	var done sync.WaitGroup
	done.Go(func() { _ = n.engine.JSON(ctx, "POST", "/containers/expect", nil, nil, nil) })
	return done.Wait
}

// do creates the container and leaves nothing of one that fails.
func (n *creation) do(ctx context.Context) (*Container, error) {
	box, err := n.create(ctx)
	if err != nil {
		// The caller's context may have ended; what we made must go all the same.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		return nil, errors.Join(err, n.undo(ctx))
	}
	return box, nil
}

// A creation is a container on its way.
type creation struct {
	client   *Client
	engine   *engine.Engine
	image    string
	img      *apiImage
	opts     CreateOptions
	owner    owner
	runs     ownership
	noMounts bool
	record   state.Record
	replaces string // ID of the container in whose place it comes
	box      state.Box
	made     *Container // once the engine has it
	asked    bool       // the engine was asked and may have it
	unheard  bool       // and had not answered after answerTime

	wanted  string     // the image as the caller named it; empty: the profile's
	network bool       // resolved
	host    []apiMount // of ProfileHost
}

func (n *creation) create(ctx context.Context) (*Container, error) {
	sum, err := agentbin.Sum(n.img.Architecture)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", n.image, err)
	}
	dir, err := n.client.stateDir()
	if err != nil {
		return nil, err
	}
	// Until it is finished it is this program's, whosever it will be.
	n.record = state.Record{Replaces: n.replaces, Owner: string(self()), Machine: machineID(), Engine: n.engine.Path,
		Name: n.opts.Name, Persist: n.opts.Persist}
	if !n.noMounts {
		n.record.Program, n.record.Arch = sum, n.img.Architecture
	}
	if n.box, err = dir.NewBox(n.record); err != nil {
		return nil, fmt.Errorf("state directory: %w (choose another with POCKETDOCK_STATE_DIR)", err)
	}
	program := func() ([]byte, error) { return agentbin.Program(n.img.Architecture) }
	var key ed25519.PublicKey
	var binary string
	if n.noMounts {
		key, err = n.box.NewKey()
	} else {
		binary, err = dir.Program(sum, program)
	}
	if err != nil {
		return nil, fmt.Errorf("state directory: %w (choose another with POCKETDOCK_STATE_DIR)", err)
	}
	state.Step("key")
	if err := errors.Join(n.keepRecipe(), keepSecrets(n.box, n.opts.Secrets)); err != nil {
		return nil, err
	}
	state.Step("recipe")
	if n.runs, err = n.ownership(ctx, dir); err != nil {
		return nil, err
	}
	body, err := n.body(binary, key)
	if err != nil {
		return nil, err
	}
	var created struct {
		ID string `json:"Id"`
	}
	n.asked = true
	ask, cancel := engine.Delayed(ctx, answerTime)
	err = n.engine.JSON(ask, "POST", "/containers/create", url.Values{"name": {n.opts.Name}}, body, &created)
	n.unheard = ask.Err() != nil
	cancel()
	if err != nil {
		return nil, n.createError(err)
	}
	if created.ID == "" {
		return nil, noID(n.engine, "create container "+n.opts.Name)
	}
	c := &Container{client: n.client, engine: n.engine, id: created.ID, name: n.opts.Name,
		timeout: n.opts.Timeout, persist: n.opts.Persist, box: n.box, project: n.opts.ProjectDir}
	if c.timeout == 0 {
		c.timeout = defaultTimeout
	}
	c.exec = c.executor(body.Labels[labelAgent])
	n.made = c
	state.Step("created")
	if n.noMounts {
		b, err := program()
		if err != nil {
			return nil, err
		}
		if err := c.installAgent(ctx, b); err != nil {
			return nil, err
		}
	}
	if err := c.engine.JSON(ctx, "POST", c.path("/start"), nil, nil, nil); err != nil {
		return nil, c.apiErr(ctx, err, "start")
	}
	state.Step("started")
	a := c.exec.(*agentExec)
	info, err := a.waitReady(ctx)
	if err != nil {
		return nil, err
	}
	state.Step("ready")
	if err := n.applied(info); err != nil {
		return nil, err
	}
	if err := a.giveSecrets(ctx); err != nil {
		return nil, err
	}
	if err := n.makeDir(ctx, a); err != nil {
		return nil, err
	}
	// Only now is there somebody who may count on it.
	n.record.ID, n.record.Owner = c.id, string(n.owner)
	if err := n.box.SetRecord(n.record); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	state.Step("finished")
	return c, nil
}

// cpuPeriod is the kernel's usual accounting period, in microseconds.
const cpuPeriod = 100_000

// createError makes the engine's refusal ours: which image is missing, which
// name is taken.
func (n *creation) createError(err error) error {
	if se, ok := errors.AsType[*engine.StatusError](err); ok {
		n.asked = false // it answered: it has not made it
		if se.NoSuchImage() {
			return apiError(err, "create container", n.image)
		}
	}
	return apiError(err, "create container "+n.opts.Name, n.opts.Name)
}

// body is what the engine is asked for.
func (n *creation) body(binary string, key ed25519.PublicKey) (*apiContainerConfig, error) {
	o := &n.opts
	config := wire.Config{
		Socket: agentSocketPath,
		User:   n.runs.user,
		Dir:    o.Dir,
		Key:    key,
		TTLMS:  o.TTL.Milliseconds(),
		IdleMS: o.IdleTimeout.Milliseconds(),
		Caps:   []string{"ALL"}, // what the container has is limited below

		Secrets: len(o.Secrets) > 0,
	}
	if config.Dir == "" {
		config.Dir = n.img.Config.WorkingDir
	}
	if o.RunImage {
		config.Main = slices.Concat(n.img.Config.Entrypoint, n.img.Config.Cmd)
		if len(config.Main) == 0 {
			return nil, invalidf("image %s has no command of its own to run", n.image)
		}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	b := &apiContainerConfig{
		Image:      n.image,
		Entrypoint: []string{agentBinary},
		Cmd:        []string{"init", string(text)},
		User:       "0:0",
		Env:        envList(o.Env),
		Labels:     n.labels(),
		StopSignal: "SIGTERM",
	}
	if n.noMounts {
		// Records and logs are in no image of the container, as where the
		// directory is mounted, and go when it does.
		b.Volumes = map[string]struct{}{agentIO: {}}
	}
	no := false
	h := &b.HostConfig
	h.Init = &no // the agent is the init
	h.CapDrop = []string{"ALL"}
	h.CapAdd = slices.Sorted(maps.Keys(capSet(agentCaps, o.Capabilities)))
	h.SecurityOpt = []string{"no-new-privileges"}
	h.NetworkMode = "none"
	if n.network {
		h.NetworkMode = "default"
	}
	memory := max(0, cmp.Or(o.Memory, defaultMemory))
	h.Memory, h.MemorySwap = memory, memory
	if cpu := max(0, cmp.Or(o.CPUPercent, defaultCPU)); cpu > 0 {
		// A quota, not NanoCpus: Docker refuses those above the number of cores.
		h.CpuPeriod, h.CpuQuota = cpuPeriod, int64(cpu)*cpuPeriod/100
	}
	pids := cmp.Or(o.PIDs, defaultPIDs)
	h.PidsLimit = &pids
	h.UsernsMode = n.runs.userns
	h.ReadonlyRootfs = o.ReadOnly
	h.Runtime = o.Runtime
	h.AutoRemove = !o.Persist && (o.TTL > 0 || o.IdleTimeout > 0)
	if o.Disk > 0 {
		h.StorageOpt = map[string]string{"size": strconv.FormatInt(o.Disk, 10)}
	}
	n.mounts(h, binary)
	for _, d := range o.Devices {
		h.Devices = append(h.Devices, apiDevice{d, d, "rwm"})
	}
	for _, p := range o.Ports {
		if b.ExposedPorts == nil {
			b.ExposedPorts, h.PortBindings = map[string]struct{}{}, map[string][]apiPortBinding{}
		}
		addr, host := p.Address, ""
		if addr == "" {
			addr = "127.0.0.1"
		}
		if p.Host != 0 {
			host = strconv.Itoa(p.Host)
		}
		b.ExposedPorts[p.key()] = struct{}{}
		h.PortBindings[p.key()] = append(h.PortBindings[p.key()], apiPortBinding{addr, host})
	}
	return b, n.checkVolumes(h)
}

// mounts adds the agent's mounts, the volumes and the file systems in memory.
func (n *creation) mounts(h *apiHostConfig, binary string) {
	if binary != "" {
		// Binds, not Mounts: only they carry z, which SELinux hosts need.
		h.Binds = []string{binary + ":" + agentBinary + ":ro,z", n.box.IO() + ":" + agentIO + ":rw,z"}
	}
	h.Mounts = append(h.Mounts, n.host...)
	for _, v := range n.opts.Volumes {
		h.Mounts = append(h.Mounts, apiMount{"bind", v.Host, v.Container, v.ReadOnly})
	}
	tmpfs := func(path string, size int64) {
		if h.Tmpfs == nil {
			h.Tmpfs = map[string]string{}
		}
		// Programs are built and run there: no noexec.
		opt := "rw,exec,nosuid,nodev,mode=1777"
		if size > 0 {
			opt += ",size=" + strconv.FormatInt(size, 10)
		}
		h.Tmpfs[path] = opt
	}
	if n.opts.ReadOnly {
		tmpfs("/tmp", 0)
	}
	for p, size := range n.opts.Tmpfs {
		tmpfs(p, size)
	}
	if n.opts.ReadOnly && binary != "" && os.Getuid() != 0 {
		// The agent closes this directory to commands when it has to, see
		// agent/seclude.go, so it must be able to.
		if h.Tmpfs == nil {
			h.Tmpfs = map[string]string{}
		}
		h.Tmpfs[agentDir] = "rw,exec,nosuid,nodev,mode=0755,size=64k"
	}
}

// checkVolumes makes sure that what is to be mounted exists: Docker would
// make it, as root.
func (n *creation) checkVolumes(h *apiHostConfig) error {
	if n.noMounts {
		return nil // the paths are another machine's
	}
	for _, m := range h.Mounts {
		if _, err := os.Stat(m.Source); err != nil {
			return invalidf("volume %s: %v", m.Source, err)
		}
	}
	return nil
}

// capSet joins lists of capabilities.
func capSet(lists ...[]string) map[string]bool {
	set := map[string]bool{}
	for _, l := range lists {
		for _, c := range l {
			set[c] = true
		}
	}
	return set
}

func (n *creation) labels() map[string]string {
	o := &n.opts
	l := maps.Clone(o.Labels)
	if l == nil {
		l = map[string]string{}
	}
	l[labelManaged] = "true"
	l[labelInstance] = o.Name
	l[labelProject] = o.Project
	if o.ProjectDir != "" {
		l[labelDir] = o.ProjectDir
	}
	l[labelProfile] = o.Profile
	l[labelPersist] = strconv.FormatBool(o.Persist)
	l[labelDataPath] = string(n.box)
	l[labelCreatedAt] = time.Now().UTC().Format(time.RFC3339Nano)
	l[labelOwner] = string(n.owner)
	l[labelImage] = n.image
	l[labelAgent] = agentSocket
	if n.noMounts {
		l[labelAgent] = agentBridge
	}
	if o.Timeout != 0 {
		l[labelTimeout] = o.Timeout.String()
	}
	return l
}

// applied compares the limits that were asked for with those that the kernel
// has: an engine that cannot enforce one may drop it with only a warning.
func (n *creation) applied(info *wire.Info) error {
	o := &n.opts
	fail := func(what string, asked, got int64) error {
		return fmt.Errorf("%s limit of %d: the engine accepted and did not apply it (the kernel says %d); rootless engines need cgroup v2 with delegated controllers: %w",
			what, asked, got, ErrUnsupported)
	}
	// The kernel rounds memory to pages.
	if d := info.MemoryLimit - o.Memory; o.Memory > 0 && (info.MemoryLimit <= 0 || d < -64<<10 || d > 64<<10) {
		return fail("memory", o.Memory, info.MemoryLimit)
	}
	if o.PIDs > 0 && info.PIDsLimit != o.PIDs {
		return fail("process", o.PIDs, info.PIDsLimit)
	}
	return nil
}

// makeDir makes the working directory that was asked for, for the user.
func (n *creation) makeDir(ctx context.Context, a *agentExec) error {
	if n.opts.Dir == "" {
		return nil
	}
	root := &wire.File{Path: wire.Path(n.opts.Dir), User: "0", Parents: true}
	if _, err := a.file(ctx, wire.OpStat, root); err == nil {
		return nil
	}
	if _, err := a.file(ctx, wire.OpMkdir, root); err != nil {
		return err
	}
	if n.runs.user == "" {
		return nil
	}
	root.Owner = n.runs.user
	_, err := a.file(ctx, wire.OpChown, root)
	return err
}
