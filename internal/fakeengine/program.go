package fakeengine

import (
	"context"
	"io"
	"strconv"
	"strings"
)

// A Program runs in an exec and returns its exit code. ctx ends when the
// container does. As on a real engine, it does not when the client goes away.
type Program func(ctx context.Context, p *Process) int

// A Process is what a program gets.
type Process struct {
	Args   []string
	Env    []string
	User   string
	Dir    string
	TTY    bool
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Program makes a program that every container has; nil takes it away.
func (e *Engine) Program(name string, p Program) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.programs[name] = p
}

// SetExitDelay is how many inspections of an exec that has ended will say
// that its exit code is not known yet.
func (e *Engine) SetExitDelay(inspections int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.exitDelay = inspections
}

// SetPID is the process that an exec is said to run, by the number that it
// has on the engine's host. 0: none is told.
func (e *Engine) SetPID(pid int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pid = pid
}

// basicPrograms are like those of a Unix system, as far as tests need them.
func basicPrograms() map[string]Program {
	return map[string]Program{
		"true":  func(context.Context, *Process) int { return 0 },
		"false": func(context.Context, *Process) int { return 1 },
		"echo": func(_ context.Context, p *Process) int {
			io.WriteString(p.Stdout, strings.Join(p.Args[1:], " ")+"\n")
			return 0
		},
		"cat": func(_ context.Context, p *Process) int {
			if _, err := io.Copy(p.Stdout, p.Stdin); err != nil {
				return 1
			}
			return 0
		},
		"exit": func(_ context.Context, p *Process) int {
			n, _ := strconv.Atoi(p.Args[1])
			return n
		},
		// sleep ends with its container.
		"sleep": func(ctx context.Context, _ *Process) int {
			<-ctx.Done()
			return 137
		},
	}
}
