//go:build linux

package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// An agent serves one sandbox.
type agent struct {
	conf       wire.Config
	init       bool // PID 1 of the sandbox, which ends with it
	started    time.Time
	privileges privileges
	exact      bool // trees are marked by groups
	own        *identity
	env        []string
	null       int // /dev/null

	store   *store
	procs   *table
	groups  groupPool
	kept    retained
	gvisor  bool
	briefs  briefs
	users   users
	cgroup  cgroup
	rest    *rest
	waiting waiting
	slots   chan struct{} // see slot
	// strangers bounds the memory that requests without a proof take.
	strangers chan struct{}
	forks     sync.RWMutex // held for reading over each fork, see collector
	guard     *guard
	garbage   *collector
	news      news
	secrets   secrets

	conns   connections
	holding sync.Mutex // one connection has the mark, see hold

	quit chan int // exit codes of those who want the agent to end
	// stopping: what ends now was ended with the sandbox. Nobody is told that
	// it ended by itself: connections break instead.
	stopping atomic.Bool
}

// Init is PID 1 of a sandbox. It returns the exit code when it is told to end,
// when its time is up, or with the main process; the container ends with it.
func Init(config string) int { return serve(config, true) }

// Serve is an agent in a container that others made. It adopts the processes
// that it starts and touches no others.
func Serve(config string) int { return serve(config, false) }

func serve(config string, init bool) int {
	if err := clearSignalMask(); err != nil {
		fmt.Fprintln(os.Stderr, "pocketdock-agent: signals stay blocked:", err)
	}
	// Terminating signals may come at any time.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT)
	gvisor := inGVisor()
	if !gvisor { // else later
		swallowSignals()
	}
	var farewell *farewell
	if init {
		farewell = takeFarewell()
	}

	a, listener, err := start(config, init, gvisor)
	if err == errServed {
		fmt.Fprintln(os.Stderr, "pocketdock-agent:", err)
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pocketdock-agent:", err)
		return 1
	}
	code := 0
	select {
	case <-stop:
	case code = <-a.quit:
	}
	listener.Close()
	a.stopping.Store(true)
	a.shutdown()
	if init {
		farewell.wait(code)
	}
	return code
}

// gvisorLater is how long after a start under gVisor that is done which need
// not be done before. There a thread costs half a millisecond, and a signal
// nearly as much: together they were a sixth of a sandbox's start.
const gvisorLater = 100 * time.Millisecond

// later prepares for processes that mean ill: in the first moments root may end
// the agent by some more signals than SIGTERM, and a bomb that has reached the
// limit of processes by now can make the agent end for want of a thread.
func (a *agent) later() {
	swallowSignals()
	for !a.cgroup.room(spares) {
		time.Sleep(time.Second)
	}
	spareThreads()
}

// errServed: whoever starts a second agent may as well use the first.
var errServed = errors.New("another agent serves this socket already")

// swallowSignals keeps a root command from ending the agent with a signal
// whose default it is to end a process: Go has handlers for them, so that the
// kernel does deliver them to PID 1.
//
// Most are ignored, behind Go's back: a child gets the default of every signal
// that Go believes to handle. To be notified of each instead takes Go two
// switches between threads, which under gVisor was a tenth of the agent's start.
// Those that Go itself raises, has no handler for, or leaves ignored if it was
// started so, are notified of.
func swallowSignals() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE, unix.SIGILL, unix.SIGFPE, unix.SIGSEGV, unix.SIGBUS,
		unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGHUP)
	for _, sig := range []unix.Signal{unix.SIGQUIT, unix.SIGABRT, unix.SIGUSR1,
		unix.SIGUSR2, unix.SIGALRM, unix.SIGSTKFLT, unix.SIGXCPU, unix.SIGXFSZ,
		unix.SIGVTALRM, unix.SIGPROF, unix.SIGIO, unix.SIGPWR, unix.SIGSYS, unix.SIGTRAP, unix.SIGWINCH} {
		ignore(sig)
	}
}

// ignore makes the kernel drop a signal.
func ignore(sig unix.Signal) {
	action := struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}{handler: 1} // SIG_IGN, rt_sigaction(2)
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
}

// clearSignalMask executes the agent anew if it was started with signals
// blocked, as Go gives the mask that it found to all its children.
func clearSignalMask() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var blocked, none unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, nil, &blocked); err != nil || blocked == none {
		return err
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &none, nil); err != nil {
		return err
	}
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}

func start(config string, init, gvisor bool) (*agent, net.Listener, error) {
	a := &agent{init: init, gvisor: gvisor, started: time.Now(),
		slots: make(chan struct{}, fileSlots), strangers: make(chan struct{}, maxStrangers), quit: make(chan int, 4)}
	if err := json.Unmarshal([]byte(config), &a.conf); err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	if !filepath.IsAbs(a.conf.Socket) {
		return nil, nil, fmt.Errorf("configuration: socket %q is not an absolute path", a.conf.Socket)
	}
	if !init {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return nil, nil, fmt.Errorf("become a subreaper: %w", err)
		}
	}
	tuneMemory()
	a.privileges = harden(a.conf.Caps)
	a.exact = os.Geteuid() == 0 && a.groups.find()
	if a.exact && !init {
		a.groups.share()
	}
	if !gvisor { // else later
		spareThreads()
	}

	var err error
	if a.null, err = unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return nil, nil, fmt.Errorf("open /dev/null: %w", err)
	}
	a.cgroup.find()
	if gvisor {
		time.AfterFunc(gvisorLater, a.later)
	}
	a.own, _ = a.users.lookup(strconv.Itoa(os.Geteuid()))
	a.env = baseEnviron(a.own)
	if a.store, err = openStore(filepath.Dir(a.conf.Socket)); err != nil {
		return nil, nil, err
	}
	if init {
		if err := a.store.seclude(filepath.Dir(a.conf.Socket)); err != nil {
			return nil, nil, err
		}
	}
	if !init && !a.store.lock() {
		return nil, nil, errServed
	}
	a.procs = newTable(a.store)
	a.briefs.store = a.store
	for _, p := range a.store.load() {
		a.procs.reserve(p)
		m := p.summary()
		a.remember(m)
		a.retain(p, m)
	}
	ttl, idle, saved := a.store.loadLimits()
	if !saved {
		ttl, idle = a.conf.TTLMS, a.conf.IdleMS
	}
	a.rest = newRest(a, ttl, idle)
	a.garbage = startCollector(a)
	if a.guard, err = newGuard(a); err != nil {
		return nil, nil, fmt.Errorf("make a timer: %w", err)
	}

	listener, err := a.listen()
	if err != nil {
		return nil, nil, err
	}
	childSignals.mute()
	go a.reap()
	if len(a.conf.Main) > 0 && !a.conf.Secrets {
		if err := a.startMain(); err != nil {
			return nil, nil, err
		}
	}
	go a.accept(listener)
	go a.rest.watch()
	return a, listener, nil
}

// end makes the agent end with this exit code.
func (a *agent) end(code int) {
	select {
	case a.quit <- code:
	default: // it is ending
	}
}

// mainID names the process of the configuration.
const mainID = "main"

// startMain starts the configuration's main process.
func (a *agent) startMain() error {
	a.forget(mainID) // of the container's last life
	p, bad := a.start(&wire.Start{ID: mainID, Argv: a.conf.Main, Detach: true})
	if bad != nil {
		return fmt.Errorf("main process: %w", bad)
	}
	a.keep(p, nil, nil)
	if a.conf.Exit {
		go func() {
			<-p.finished
			a.end(p.exit.Code)
		}()
	}
	return nil
}
