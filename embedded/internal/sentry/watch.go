//go:build linux && !noembedded

package sentry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/runsc/config"
	"gvisor.dev/gvisor/runsc/container"
	"gvisor.dev/gvisor/runsc/sandbox"
	"gvisor.dev/gvisor/runsc/specutils"

	"github.com/pocketdock/pocketdock/embedded/internal/group"
	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

// A watcher is a monitor: it starts one sandbox and waits for its end.
type watcher struct {
	dir    string
	lock   *os.File // of the container
	launch monitor.Launch
	conf   *config.Config
	spec   *specs.Spec
	box    *container.Container
	stream *streams
	linger *linger
	group  *group.Group
	// sandbox stays known when the container is destroyed.
	sandbox     *sandbox.Sandbox
	controllers map[string]any  // gVisor's, while it is not to know them
	out         sync.Once       // of the group
	over        context.Context // ends with the container, and we may be later
	end         context.CancelFunc
	// complaints is our standard error, which is the container's later.
	complaints *os.File
	visitor    []*os.File // a visit's input and output
	stderr     *os.File   // as it was; it is not to be collected, and closed

	mu    sync.Mutex // of what follows
	state monitor.State
	saved bool // no more is to be saved: it was, at the end of all processes, or must not be
}

// watch is the monitor of a container, from before its start to its end. It
// returns the process's exit code.
func watch() int {
	// The kernel kills the sandbox when the thread ends that made it.
	runtime.LockOSThread()
	quiet()
	// The namespace is ours; mounts of the host that go are to go here, too.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		fmt.Fprintln(os.Stderr, "pocketdock: mounts:", err)
	}
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGPIPE)
	unix.CloseOnExec(monitor.HighFD)
	w := &watcher{stderr: os.Stderr}
	w.over, w.end = context.WithCancel(context.Background())
	defer w.disband()
	from, err := w.ordered()
	if err != nil {
		if err != io.EOF { // whoever started us has gone
			fmt.Fprintln(w.stderr, err)
		}
		return 1
	}
	if from == nil {
		return 0 // nobody needs us
	}
	err = w.start()
	reply := &monitor.Reply{}
	if err != nil {
		reply.Error = err.Error()
	}
	monitor.Write(from, reply)
	from.Close()
	if err != nil {
		return 1
	}
	go w.leave()
	if w.launch.Visit {
		return w.visited()
	}
	w.wait()
	return 0
}

// ordered waits until it is known which container is to be watched; nil: none.
func (w *watcher) ordered() (from *net.UnixConn, err error) {
	f := os.NewFile(monitor.OrderFD, "order")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return nil, err
	}
	from = c.(*net.UnixConn)
	if err := w.joined(from); err != nil {
		if os.Geteuid() == 0 && len(os.Args) > 2 {
			group.Abandon(os.Args[2])
		}
		return nil, err
	}
	var o monitor.Order
	files, err := monitor.Read(from, &o)
	if err != nil {
		return nil, err
	}
	if o.Dir == "" {
		w.group = nil // who says so removes it
		return nil, nil
	}
	if len(files) == 0 {
		return nil, errors.New("no lock")
	}
	w.dir, w.lock, w.visitor = o.Dir, files[0], files[1:]
	if w.complaints, err = os.Create(filepath.Join(w.dir, "monitor.log")); err != nil {
		return nil, err
	}
	return from, unix.Dup3(int(w.complaints.Fd()), 2, 0) // where Go complains
}

// start starts the sandbox and the container in it, and takes requests.
func (w *watcher) start() error {
	b, err := os.ReadFile(filepath.Join(w.dir, monitor.LaunchFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &w.launch); err != nil {
		return err
	}
	if w.conf, err = configuration(w.launch.Flags); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if w.spec, err = specutils.ReadSpec(w.launch.Bundle, w.conf); err != nil {
		return err
	}
	if err := w.setUser(w.launch.User); err != nil {
		return err
	}
	if w.spec.Process.User.UID != 0 {
		c := w.spec.Process.Capabilities
		c.Effective, c.Permitted = nil, nil
	}
	// The sandbox's own process reads it again.
	if b, err = json.Marshal(w.spec); err == nil {
		err = replaceFile(filepath.Join(w.launch.Bundle, "config.json"), b)
	}
	if err != nil {
		return err
	}
	if w.stream, err = w.streams(); err != nil {
		return err
	}
	defer w.stream.started()
	w.stream.key = func(sig unix.Signal) { _ = w.box.Sandbox.SignalProcess(w.launch.ID, 0, sig, true) }
	os.Stdin, os.Stdout, os.Stderr = w.stream.inner[0], w.stream.inner[1], w.stream.inner[2]
	l, err := monitor.Listen(w.dir)
	if err != nil {
		return err
	}
	args := container.Args{ID: w.launch.ID, Spec: w.spec, BundleDir: w.launch.Bundle, Attached: true}
	if w.launch.First || w.launch.Visit {
		if args.ExecFile, err = os.Open(w.launch.Agent); err != nil {
			return err
		}
		defer args.ExecFile.Close()
	}
	if w.launch.Linger {
		if w.linger, err = newLinger(); err != nil {
			return err
		}
		args.PassFiles = w.linger.inner
	}
	if w.box, err = container.New(w.conf, args); err != nil {
		return err
	}
	w.sandbox = w.box.Sandbox
	w.linger.started()
	err = w.box.Start(w.conf)
	w.known()
	if err != nil {
		return errors.Join(err, w.box.Destroy())
	}
	if w.launch.Visit {
		go w.farewell()
		return nil
	}
	if w.launch.First {
		if err := w.linger.begun(); err != nil {
			return errors.Join(err, w.box.Destroy())
		}
	}
	w.state = monitor.State{Started: now(), Sandbox: w.box.SandboxPid()}
	if err := w.record(); err != nil {
		return errors.Join(err, w.box.Destroy())
	}
	w.tell("start", nil)
	go w.serve(l)
	if w.linger != nil {
		go w.farewell()
	}
	return nil
}

func (w *watcher) streams() (*streams, error) {
	if w.launch.Visit {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if len(w.visitor) != 2 {
			return nil, errors.New("a visit needs two files")
		}
		return &streams{inner: [3]*os.File{w.visitor[0], w.visitor[1], null}}, err
	}
	return newStreams(filepath.Join(w.dir, monitor.LogFile), w.launch.Stdin, w.launch.StdinOnce, w.launch.TTY)
}

// visited waits for the end of a visit, and says by its exit code whether what
// was copied is kept.
func (w *watcher) visited() int {
	_, _ = w.box.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.box.Destroy()
	switch {
	case !w.linger.ended():
		fmt.Fprintln(w.complaints, "the sandbox was killed")
	case w.linger.code != 0:
		fmt.Fprintln(w.complaints, "it was given up")
	case w.state.Error != "":
		fmt.Fprintln(w.complaints, w.state.Error)
	default:
		return 0
	}
	return 1
}

// tell records an event.
func (w *watcher) tell(action string, more map[string]string) {
	if w.launch.Event != nil {
		w.launch.Event.Tell(w.launch.Events, action, more)
	}
}

func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }

// record writes what is known.
func (w *watcher) record() error {
	b, err := json.Marshal(w.state)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(w.dir, monitor.StateFile), b)
}

func replaceFile(path string, b []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// wait waits for the container's end and says how it came.
func (w *watcher) wait() {
	ws, err := w.box.Wait()
	code := ws.ExitStatus()
	if ws.Signaled() {
		code = 128 + int(ws.Signal())
	}
	w.mu.Lock()
	w.state.Finished = now()
	switch {
	case w.linger.ended():
		w.state.ExitCode = w.linger.code
	case err != nil || ws.Signaled() && ws.Signal() == unix.SIGKILL:
		// The sandbox's own process ended: killed from outside, out of
		// memory, or by a fault of gVisor's.
		w.state.ExitCode = 137
		if err != nil {
			w.state.Error = "the sandbox was killed"
		}
		w.state.OOM = w.oomKilled()
	default:
		w.state.ExitCode = code
	}
	err = w.record()
	code = w.state.ExitCode
	w.mu.Unlock()
	w.tell("die", map[string]string{"exitCode": strconv.Itoa(code)})
	w.stream.drain()
	_ = w.box.Destroy() // what it leaves the engine removes at the next start
	if w.launch.AutoRemove != "" && err == nil {
		aside := filepath.Join(w.launch.AutoRemove, filepath.Base(w.dir))
		if b, err := json.Marshal(w.state); err == nil {
			_ = replaceFile(aside+monitor.EndSuffix, b)
		}
		if os.Rename(w.dir, aside) == nil {
			w.tell("destroy", nil)
			w.lock.Close() // nobody needs to wait for the rest
			w.end()
			os.RemoveAll(aside)
		}
	}
}

// oomKilled asks the sandbox's control group whether the kernel ended it.
func (w *watcher) oomKilled() bool {
	if w.spec.Linux == nil || w.spec.Linux.CgroupsPath == "" {
		return false
	}
	for _, file := range []string{"/sys/fs/cgroup/memory" + w.spec.Linux.CgroupsPath + "/memory.oom_control", "/sys/fs/cgroup" + w.spec.Linux.CgroupsPath + "/memory.events"} {
		b, _ := os.ReadFile(file)
		for line := range strings.Lines(string(b)) {
			if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok && n != "0" {
				return true
			}
		}
	}
	return false
}

// save writes what the container has changed of its root file system, at once
// or not at all.
func (w *watcher) save(path string) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := w.box.TarRootfsUpperLayer(f); err != nil {
		os.Remove(tmp)
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// writable reports that the root has an upper layer, which can be saved.
func (w *watcher) writable() bool { return !w.spec.Root.Readonly }

// keep saves what is to last over the end, once.
func (w *watcher) keep() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.saved || !w.writable() || w.launch.AutoRemove != "" {
		return nil
	}
	err := w.save(filepath.Join(w.dir, monitor.UpperFile))
	w.saved = err == nil
	return err
}
