package pocketdock_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// protocol1 is what a library of protocol version 1 sends, byte for byte, and
// the frames that it understands. It is not to be changed: a container that
// such a library made, or one that still has such an agent, is in use.
var protocol1 = []struct {
	name string
	send []string // kind and payload
	want []string // kind and a part of the payload
}{
	{"info", []string{`Q{"v":1,"op":"info"}`}, []string{`R"info":{`}},
	{"run", []string{`Q{"v":1,"op":"run","start":{"argv":["/bin/sh","-c","cat; echo e >&2; exit 3"],"env":["A=b"],"dir":"/tmp","user":"0","stdin":true,"timeout_ms":20000}}`, `Dinput`, `N`},
		[]string{`S"id":"`, `1input`, `2e`, `X"code":3`}},
	{"no program", []string{`Q{"v":1,"op":"run","start":{"argv":["/none"]}}`}, []string{`F"code":"no-command"`}},
	{"detach", []string{`Q{"v":1,"op":"run","start":{"id":"frozen-1","argv":["/bin/echo","kept"],"detach":true}}`}, []string{`S"id":"frozen-1"`, `R"process":{`}},
	{"attach", []string{`Q{"v":1,"op":"attach","attach":{"id":"frozen-1","stdout":1,"follow":true}}`}, []string{`S"id":"frozen-1"`, `1ept`, `X"code":0`}},
	{"list", []string{`Q{"v":1,"op":"list"}`}, []string{`E"process":{"id":"frozen-1"`, `R`}},
	{"signal", []string{`Q{"v":1,"op":"signal","signal":{"id":"frozen-1","signal":15}}`}, []string{`R`}},
	{"forget", []string{`Q{"v":1,"op":"forget","signal":{"id":"frozen-1"}}`}, []string{`R`}},
	{"write", []string{`Q{"v":1,"op":"write","file":{"path":"L3RtcC9mcm96ZW4=","mode":416}}`, `Dcontent`, `N`}, []string{`R"path":"L3RtcC9mcm96ZW4="`}},
	{"read", []string{`Q{"v":1,"op":"read","file":{"path":"L3RtcC9mcm96ZW4=","offset":1,"length":3}}`}, []string{`R"size":7`, `Dont`, `N`}},
	{"stat", []string{`Q{"v":1,"op":"stat","file":{"path":"L3RtcC9mcm96ZW4="}}`}, []string{`R"mode":33184`}},
	{"readdir", []string{`Q{"v":1,"op":"readdir","file":{"path":"L3RtcA==","glob":"frozen"}}`}, []string{`E"path":"ZnJvemVu"`, `R`}},
	{"remove", []string{`Q{"v":1,"op":"remove","file":{"path":"L3RtcC9mcm96ZW4="}}`}, []string{`R`}},
	{"missing", []string{`Q{"v":1,"op":"stat","file":{"path":"L3RtcC9mcm96ZW4="}}`}, []string{`F"code":"not-found"`}},
	{"limits", []string{`Q{"v":1,"op":"limits","limits":{"idle_ms":0}}`}, []string{`R"limits":{`}},
	{"ports", []string{`Q{"v":1,"op":"ports"}`}, []string{`R`}},
	{"unknown", []string{`Q{"v":1,"op":"nonsense"}`}, []string{`F"code":"`}},
}

func TestSuiteProtocol1(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := create(t, e, busybox, pocketdock.CreateOptions{})
		for _, x := range protocol1 {
			frames, err := exchange(filepath.Join(box.DataPath(), "io", "s"), x.send)
			if err != nil {
				t.Errorf("%s: %v", x.name, err)
				continue
			}
			for _, want := range x.want {
				// In any order: which of stdout and stderr comes first is open.
				if !slices.ContainsFunc(frames, func(f string) bool { return f[0] == want[0] && strings.Contains(f[1:], want[1:]) }) {
					t.Errorf("%s: no frame %q", x.name, want)
				}
			}
		}
	})
}

// TestSuiteResidentOfTwo: a container that others made can be entered by two
// who do not know of one another, at the same time.
func TestSuiteResidentOfTwo(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := ownBox(t, e, residentWay, busybox)
		mustRun(t, box, pocketdock.Argv("true"))
		c := &pocketdock.Client{Socket: e.client.Socket, StateDir: shortDir(t)}
		other, err := c.Get(t.Context(), box.ID())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []*pocketdock.Container{other, box, other} {
			mustRun(t, b, pocketdock.Argv("true"))
		}
		if info, err := other.Info(t.Context()); err != nil || info.ExecPath != residentWay {
			t.Errorf("%+v, %v", info, err)
		}
	})
}

// exchange sends frames and returns those that answer, up to the connection's end.
func exchange(socket string, send []string) ([]string, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	for _, f := range send {
		b := append([]byte{f[0]}, binary.BigEndian.AppendUint32(nil, uint32(len(f)-1))...)
		if _, err := conn.Write(append(b, f[1:]...)); err != nil {
			return nil, err
		}
	}
	var frames []string
	for {
		var head [5]byte
		if _, err := io.ReadFull(conn, head[:]); err == io.EOF {
			return frames, nil
		} else if err != nil {
			return frames, err
		}
		n := binary.BigEndian.Uint32(head[1:])
		if n > 1<<20 {
			return frames, fmt.Errorf("a frame of %d bytes", n)
		}
		p := make([]byte, n)
		if _, err := io.ReadFull(conn, p); err != nil {
			return frames, err
		}
		if strings.ContainsRune("RFSXGE", rune(head[0])) && !json.Valid(p) {
			return frames, fmt.Errorf("frame %c is not JSON: %q", head[0], p)
		}
		frames = append(frames, string(head[0])+string(p))
	}
}
