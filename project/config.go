package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pocketdock/pocketdock/internal/pattern"
)

// A Source is where a setting's value came from, from weakest to strongest.
type Source int

// The sources of settings.
const (
	BuiltIn     Source = iota // nothing else said anything
	UserFile                  // ~/.pocketdock/pocketdock.yaml
	ProjectFile               // .pocketdock/pocketdock.yaml
	Environment               // POCKETDOCK_…
	Explicit                  // a flag of the program
)

func (s Source) String() string {
	return [...]string{"built-in", "user", "project", "environment", "explicit"}[s]
}

// A Value is the effective value of one setting and where it came from.
type Value struct {
	Key    string // "logging.max_log_size", "profiles.NAME"
	Value  string // as it was written
	Source Source
	// File, Line and Column of a value from a file.
	File         string
	Line, Column int
	// Origin is the variable or flag of a value from neither.
	Origin string
}

// From says where the value came from, for people:
// "/p/.pocketdock/pocketdock.yaml:3", "POCKETDOCK_SOCKET", "--socket", "built-in".
func (v Value) From() string {
	switch {
	case v.File != "":
		return fmt.Sprintf("%s:%d", v.File, v.Line)
	case v.Origin != "":
		return v.Origin
	}
	return v.Source.String()
}

// LoadOptions say where settings come from. The zero value reads the
// environment and the user's file.
type LoadOptions struct {
	// Project whose file is read. Nil: none.
	Project *Project
	// Explicit are values that the user gave to this program: key, such as
	// "socket", to the value as it would be written in a file.
	Explicit map[string]string
	// Getenv reads the environment. Nil: os.Getenv.
	Getenv func(string) string
	// Home is the user's directory, whose .pocketdock has the user's file.
	// Empty: os.UserHomeDir; without one there is no user's file.
	Home string
}

// Settings are the effective settings.
type Settings struct {
	Config
	values []Value
}

// Values are all settings in a fixed order, profiles last, each with where it
// came from.
func (s *Settings) Values() []Value { return slices.Clone(s.values) }

// Value is one setting; false if there is no such key.
func (s *Settings) Value(key string) (Value, bool) {
	i := slices.IndexFunc(s.values, func(v Value) bool { return v.Key == key })
	if i < 0 {
		return Value{}, false
	}
	return s.values[i], true
}

// UserFilePath is the user's settings file in a home directory.
func UserFilePath(home string) string { return filepath.Join(home, dirName, configName) }

// Load reads the settings: what is explicit stands before the environment,
// then the project's file, the user's, and what is built in. Faults are
// [*ConfigError], all of one file joined.
func Load(o LoadOptions) (*Settings, error) {
	l := &loader{Settings: &Settings{Config: builtin()}}
	for _, f := range fields {
		l.values = append(l.values, Value{Key: f.key, Value: f.def})
	}
	home := o.Home
	if home == "" {
		home, _ = os.UserHomeDir()
	}
	if home != "" {
		// The user's own: a symbolic link is theirs, as dotfile managers make.
		if err := l.file(UserFilePath(home), UserFile, os.Open); err != nil {
			return nil, err
		}
	}
	if o.Project != nil {
		open := func(string) (*os.File, error) { return o.Project.open(configName) }
		if err := l.file(o.Project.ConfigPath(), ProjectFile, open); err != nil {
			return nil, err
		}
	}
	getenv := o.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	var errs []error
	for i := range fields {
		f := &fields[i]
		if s := getenv(f.env()); s != "" {
			errs = append(errs, l.text(f, s, Environment, f.env()))
		}
	}
	for key, s := range o.Explicit {
		f := fieldOf(key)
		if f == nil {
			errs = append(errs, &ConfigError{Origin: "--" + key, Msg: "unknown setting" + didYouMean(key, Keys())})
			continue
		}
		name := key[strings.LastIndexByte(key, '.')+1:]
		errs = append(errs, l.text(f, s, Explicit, "--"+strings.ReplaceAll(name, "_", "-")))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if l.ProjectName == "" && o.Project != nil {
		l.ProjectName = filepath.Base(o.Project.Dir())
	}
	return l.Settings, nil
}

type loader struct{ *Settings }

// text takes a value from outside of files.
func (l *loader) text(f *field, s string, from Source, origin string) error {
	v, err := f.parse(s)
	if err != nil {
		return &ConfigError{Origin: origin, Msg: err.Error()}
	}
	l.set(f, v, Value{Source: from, Origin: origin})
	return nil
}

// set makes a value the effective one.
func (l *loader) set(f *field, v value, where Value) {
	f.set(&l.Config, v)
	i := slices.IndexFunc(l.values, func(v Value) bool { return v.Key == f.key })
	where.Key, where.Value = f.key, v.text
	l.values[i] = where
}

// file takes the values of a file, which need not exist.
func (l *loader) file(path string, from Source, open func(string) (*os.File, error)) error {
	f, err := open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &ConfigError{File: path, Msg: reason(err)}
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return &ConfigError{File: path, Msg: "must be a regular file"}
	}
	d, err := readDocument(path, f)
	if err != nil {
		return err
	}
	for _, s := range d.settings {
		l.set(s.field, s.value, Value{Source: from, File: path, Line: s.node.Line, Column: s.node.Column})
	}
	for _, s := range d.profiles {
		l.profile(s, Value{Source: from, File: path, Line: s.node.Line, Column: s.node.Column})
	}
	return nil
}

var profileName = pattern.New(`^[a-z][a-z0-9-]{0,63}$`)

// profile adds a profile of the user's. Its path is relative to the directory
// that has .pocketdock.
func (l *loader) profile(s setting, where Value) {
	dir := s.value.text
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(filepath.Dir(filepath.Dir(where.File)), dir)
	}
	if l.Profiles == nil {
		l.Profiles = map[string]string{}
	}
	l.Profiles[s.name] = dir
	where.Key, where.Value = profilesKey+"."+s.name, dir
	l.values = slices.DeleteFunc(l.values, func(v Value) bool { return v.Key == where.Key })
	l.values = append(l.values, where)
}

// reason is an error of a file without its path, which the message has.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}
