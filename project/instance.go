package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/pattern"
)

const (
	manifestName = "instance.toml"
	historyName  = "history.jsonl"
	olderName    = "history.1.jsonl"
	logsName     = "logs"
	dataName     = "data"
)

// instanceName is what a container can be called, and so a directory of ours.
var instanceName = pattern.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

// An Instance is the directory of one persistent container: what it is, what
// ran in it, and the output. It is safe for concurrent use, also with other
// programs that use the same directory.
type Instance struct {
	project *Project
	name    string
	root    *os.Root // the instance's directory
	logs    *os.Root

	mu   sync.Mutex // orders the use of lock within this program
	lock *os.File   // its lock orders programs

	hist     *os.File // history.jsonl, if it is open
	histInfo fs.FileInfo
	histEnd  int64 // where the last entry of this program ends

	idleMu sync.Mutex
	idle   []*logFile

	flushes flusher

	background sync.WaitGroup // rotations, and flushes
	rotateMu   sync.Mutex
	rotated    time.Time // the last time
	fresh      int       // logs begun since
	limits     Logging   // of the last one
}

// Name is the container's.
func (i *Instance) Name() string { return i.name }

// Project is whose instance it is.
func (i *Instance) Project() *Project { return i.project }

// Dir is the instance's directory.
func (i *Instance) Dir() string {
	return filepath.Join(i.project.dir, dirName, instancesName, i.name)
}

// DataDir is the directory that is kept for whoever uses the container, to
// mount or to copy to; pocketdock puts nothing there.
func (i *Instance) DataDir() string { return filepath.Join(i.Dir(), dataName) }

// Close waits for work in the background and releases the handle. The
// recorders must have finished.
func (i *Instance) Close() error {
	if i == nil {
		return nil
	}
	i.flushes.stop()
	i.background.Wait()
	i.closeIdle()
	i.rotateRest()
	if i.hist != nil {
		i.hist.Close()
	}
	return errors.Join(i.lock.Close(), i.logs.Close(), i.root.Close())
}

// CreateInstance makes the directory of a container and describes it. One
// that is there is described anew and keeps its history.
func (p *Project) CreateInstance(m *Manifest) (*Instance, error) {
	name := m.Container.Name
	if !instanceName.MatchString(name) {
		return nil, fmt.Errorf("instance %s: not a name of a container", quote(name))
	}
	dir := path.Join(instancesName, name)
	for _, d := range []string{instancesName, dir, path.Join(dir, logsName), path.Join(dir, dataName)} {
		if err := p.root.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("making the directory of instance %s: %w", name, err)
		}
	}
	i, err := p.Instance(name)
	if err != nil {
		return nil, err
	}
	if err := i.writeManifest(m); err != nil {
		i.Close()
		return nil, err
	}
	return i, nil
}

// Instance opens the directory of a container; ErrNoInstance if there is none.
func (p *Project) Instance(name string) (*Instance, error) {
	if !instanceName.MatchString(name) {
		return nil, fmt.Errorf("instance %s: not a name of a container", quote(name))
	}
	i := &Instance{project: p, name: name}
	if err := i.open(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s in %s", ErrNoInstance, name, filepath.Join(p.dir, dirName, instancesName))
		}
		return nil, fmt.Errorf("instance %s: %w", name, err)
	}
	return i, nil
}

// InstanceOf opens the directory of this very container: of its name, and with
// its ID. [ErrNoInstance] if there is none.
func (p *Project) InstanceOf(box *pocketdock.Container) (*Instance, error) {
	i, err := p.Instance(box.Name())
	if err != nil {
		return nil, err
	}
	m, err := i.Manifest()
	if err == nil && m.Container.ID != box.ID() {
		err = fmt.Errorf("%w: %s in %s is another container's of that name", ErrNoInstance, box.Name(), filepath.Join(p.dir, dirName, instancesName))
	}
	if err != nil {
		i.Close()
		return nil, err
	}
	return i, nil
}

func (i *Instance) open() error {
	all, _, err := openDir(i.project.root, instancesName)
	if err != nil {
		return err
	}
	defer all.Close()
	if i.root, _, err = openDir(all, i.name); err != nil {
		return err
	}
	i.logs, _, err = openDir(i.root, logsName)
	if errors.Is(err, fs.ErrNotExist) {
		if err = i.root.Mkdir(logsName, 0o700); err == nil {
			i.logs, _, err = openDir(i.root, logsName)
		}
	}
	if err == nil {
		i.lock, err = openRegular(i.root, lockName, os.O_RDWR|os.O_CREATE)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			// On a read-only disk there is nobody to be ordered with.
			i.lock, err = openRegular(i.root, manifestName, os.O_RDONLY)
		}
	}
	if err != nil {
		if i.logs != nil {
			i.logs.Close()
		}
		i.root.Close()
	}
	return err
}

// Instances are the names of all instances, sorted. Directories that cannot be
// a container's are left out.
func (p *Project) Instances() ([]string, error) {
	all, _, err := openDir(p.root, instancesName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(p.dir, dirName, instancesName), err)
	}
	defer all.Close()
	entries, err := fs.ReadDir(all.FS(), ".")
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		if e.IsDir() && instanceName.MatchString(e.Name()) {
			list = append(list, e.Name())
		}
	}
	slices.Sort(list)
	return list, nil
}

// RemoveInstance deletes the directory of a container with its history, its
// logs and its data. One that is not there is no error.
func (p *Project) RemoveInstance(name string) error {
	if !instanceName.MatchString(name) {
		return fmt.Errorf("instance %s: not a name of a container", quote(name))
	}
	all, _, err := openDir(p.root, instancesName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer all.Close()
	if err := all.RemoveAll(name); err != nil {
		return fmt.Errorf("removing instance %s: %w", name, err)
	}
	return nil
}

// lockWait is how long the lock of an instance is waited for. It is held for
// one write; but a sandbox that has the project mounted could hold it for ever,
// and must not stop us: an append is one write even without it.
const lockWait = 2 * time.Second

// exclusive holds the instance's lock while do runs.
func (i *Instance) exclusive(do func() error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	for until, pause := time.Now().Add(lockWait), 50*time.Microsecond; !tryLockFile(i.lock); pause = min(2*pause, 2*time.Millisecond) {
		if time.Now().After(until) {
			i.project.warn(fmt.Errorf("instance %s: another program holds the lock %s", i.name, filepath.Join(i.Dir(), lockName)))
			return do()
		}
		time.Sleep(pause)
	}
	defer unlockFile(i.lock)
	return do()
}
