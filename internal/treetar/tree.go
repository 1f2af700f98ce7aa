package treetar

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/pocketdock/pocketdock/internal/gitignore"
)

// Options of a tree to pack.
type Options struct {
	// Exclude are patterns as in a .gitignore file at the top. They are
	// stronger than those of GitIgnore.
	Exclude []string
	// GitIgnore leaves out what the .gitignore files in the tree say.
	GitIgnore bool
	// Sparse packs files that have holes as package holes has them.
	Sparse bool
	// Moved, if not nil, is told of what was packed.
	Moved Moved
}

// Moved is told of bytes of a file's content, and, with done, that the file,
// link or directory is complete. Holes are bytes, too.
type Moved func(name string, bytes int64, done bool)

// A tree is one directory being walked.
type tree struct {
	ignore    gitignore.Tree
	gitIgnore bool
	visit     func(dir *os.Root, base, name string, info fs.FileInfo) error
}

func (o *Options) tree() *tree {
	t := &tree{gitIgnore: o.GitIgnore}
	for _, p := range o.Exclude {
		t.ignore.Over = t.ignore.Over.Append(p)
	}
	return t
}

// walk visits the top and what is below it: a directory before its contents,
// by name. (fs.WalkDir takes no names that are not UTF-8.)
func (t *tree) walk(top string) error {
	root, err := os.OpenRoot(top)
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return err
	}
	if err := t.visit(root, ".", ".", info); err != nil {
		return err
	}
	return t.contents(root, ".")
}

// contents visits what is in a directory.
func (t *tree) contents(dir *os.Root, at string) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	d.Close()
	if err != nil {
		return err
	}
	slices.Sort(names)
	if t.gitIgnore {
		t.ignore.Add(at, patternsOf(dir))
	}
	for _, base := range names {
		if err := t.entry(dir, base, path.Join(at, base)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) entry(dir *os.Root, base, name string) error {
	info, err := dir.Lstat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	if t.ignore.Excluded(name, info.IsDir()) {
		return nil
	}
	if err := t.visit(dir, base, name, info); err != nil || !info.IsDir() {
		return err
	}
	below, err := dir.OpenRoot(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer below.Close()
	return t.contents(below, name)
}

// maxPatterns bounds what is read of a .gitignore file, in bytes.
const maxPatterns = 1 << 20

// patternsOf reads a directory's .gitignore; git does not follow a link, either.
func patternsOf(dir *os.Root) gitignore.Patterns {
	const name = ".gitignore"
	if info, err := dir.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPatterns))
	if err != nil {
		return nil
	}
	return gitignore.Parse(text)
}

// Measure returns how many files, links and directories Pack would pack, and
// how many bytes are in the files.
func Measure(dir string, o Options) (bytes, files int64, err error) {
	t := o.tree()
	links := links{}
	t.visit = func(_ *os.Root, _, name string, info fs.FileInfo) error {
		switch info.Mode().Type() {
		case 0:
			if _, ok := links.first(name, info); !ok {
				bytes += info.Size()
			}
		case fs.ModeDir, fs.ModeSymlink:
		default:
			return nil
		}
		files++
		return nil
	}
	err = t.walk(dir)
	return bytes, files, err
}

// links has the first name of each file that has several.
type links map[fileID]string

// first returns the name under which a file was seen before. If it was not,
// it is remembered under name.
func (l links) first(name string, info fs.FileInfo) (string, bool) {
	id, ok := identify(info)
	if !ok {
		return "", false
	}
	first, ok := l[id]
	if !ok {
		l[id] = strings.Clone(name)
	}
	return first, ok
}
