//go:build linux

package agent

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// helper is a command of a test, in the sandbox.
func helper(args []string) int {
	switch args[0] {
	case "exit":
		n, _ := strconv.Atoi(args[1])
		return n
	case "both": // N bytes on each of stdout and stderr at once
		n, _ := strconv.ParseInt(args[1], 10, 64)
		var wg sync.WaitGroup
		for i, f := range []*os.File{os.Stdout, os.Stderr} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				io.Copy(f, io.LimitReader(&pattern{seed: byte(i)}, n))
			}()
		}
		wg.Wait()
		return 0
	case "sum": // of stdin
		h := sha256.New()
		n, _ := io.Copy(h, os.Stdin)
		fmt.Printf("%d %x\n", n, h.Sum(nil))
		return 0
	case "stubborn": // ignores what can be ignored
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "bomb": // children that start children in sessions of their own
		env := append(os.Environ(), roleVar+"="+roleHelper)
		for i := 0; ; i++ {
			argv := []string{"/bin/sh", "-c", "sleep 1000 & sleep 1000"}
			if i%8 == 7 {
				argv = []string{"/proc/self/exe", "bomb"}
			}
			syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Env: env, Sys: &syscall.SysProcAttr{Setsid: i%2 == 0}})
			var status syscall.WaitStatus
			syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		}
	case "fds":
		var open []string
		for fd := range 1024 {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
				if target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil {
					open = append(open, fmt.Sprintf("%d=%s", fd, target))
				}
			}
		}
		fmt.Println(open)
		return 0
	}
	fmt.Fprintln(os.Stderr, "no helper", args)
	return 125
}

// pattern is an endless stream of bytes that repeats with no short period.
type pattern struct {
	seed byte
	n    uint64
}

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		x := (p.n+uint64(p.seed)*977)*0x9E3779B97F4A7C15 + 1
		b[i] = byte(x >> 56)
		p.n++
	}
	return len(b), nil
}
