package project

import (
	"errors"
	"fmt"
)

var (
	// ErrNotInitialized: there is no project here or above.
	ErrNotInitialized = errors.New("no pocketdock project here")
	// ErrNoInstance: the project has no instance of that name.
	ErrNoInstance = errors.New("no such instance")
	// ErrNoLog: the instance has no log of that name.
	ErrNoLog = errors.New("no such log")
)

// A ConfigError is a fault in the settings, with its place.
type ConfigError struct {
	// File that the fault is in; empty for the environment and for flags.
	File string
	// Line and Column count from 1; 0 where there is none.
	Line, Column int
	// Origin is the variable or flag, where there is no file.
	Origin string
	Msg    string
}

func (e *ConfigError) Error() string {
	switch {
	case e.File == "":
		return e.Origin + ": " + e.Msg
	case e.Line == 0:
		return e.File + ": " + e.Msg
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}
