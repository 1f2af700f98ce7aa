package pocketdock_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// TestAgentOfProtocol1: the answers of an agent of protocol version 1, byte
// for byte, as a container that was made long ago still gives them. They are
// not to be changed. TestSuiteProtocol1 has the other direction.
func TestAgentOfProtocol1(t *testing.T) {
	h := newHostile(t, "running")
	ctx := t.Context()
	say := func(frames ...string) {
		var text []byte
		for _, f := range frames {
			text = append(text, f[0])
			text = binary.BigEndian.AppendUint32(text, uint32(len(f)-1))
			text = append(text, f[1:]...)
		}
		h.answers(func(c *net.UnixConn) {
			c.Write(text)
			c.CloseWrite()
			io.Copy(io.Discard, c)
		})
	}

	say(`S{"id":"a1","argv":["/bin/sh","-c","x"],"pid":7,"user":"0:0","start":1700000000000000000,"out":0,"err":0}`,
		"1out", "2err", `X{"code":3,"end":1700000001500000000,"out":3,"err":3}`)
	res, err := h.box.Run(ctx, pocketdock.Shell("x"))
	if err != nil || res.ExitCode != 3 || string(res.Stdout) != "out" || string(res.Stderr) != "err" || res.Duration != 1500*time.Millisecond || res.ID != "a1" {
		t.Errorf("run: %+v, %v", res, err)
	}

	say(`S{"id":"a1","argv":["x"],"pid":7,"start":1700000000000000000,"out":0,"err":0}`, `X{"code":143,"signal":15,"timed_out":true,"end":1700000001000000000}`)
	if res, err := h.box.Run(ctx, pocketdock.Argv("x")); err != nil || !res.TimedOut || res.Signal != 15 {
		t.Errorf("timeout: %+v, %v", res, err)
	}

	say(`S{"id":"a1","argv":["x"],"pid":7,"detached":true,"start":1700000000000000000,"out":9,"err":0,"out_drop":4}`,
		`G{"from":0,"to":4}`, "1later", `X{"running":true,"code":0}`)
	out, err := h.box.Process("a1").Output(ctx, pocketdock.Offset{})
	if err != nil || out.StdoutLost != 4 || string(out.Stdout) != "later" || !out.Running || out.Next.Stdout != 9 {
		t.Errorf("output: %+v, %v", out, err)
	}

	say(`E{"process":{"id":"a1","argv":["x"],"pid":7,"detached":true,"start":1700000000000000000,"out":1,"err":2,"exit":{"code":1}}}`, `R{}`)
	list, err := h.box.Processes(ctx)
	if err != nil || len(list) != 1 || list[0].Running || list[0].Result.ExitCode != 1 || list[0].Stderr != 2 {
		t.Errorf("processes: %+v, %v", list, err)
	}

	say(`R{"stat":{"path":"L2Y=","size":5,"mode":33184,"mtime":1700000000000000001,"uid":1,"gid":2}}`, "Dhello", "N")
	if b, err := h.box.ReadFile(ctx, "/f"); err != nil || string(b) != "hello" {
		t.Errorf("read: %q, %v", b, err)
	}
	say(`R{"stat":{"path":"L2Y=","size":5,"mode":33184,"mtime":1700000000000000001,"uid":1,"gid":2}}`)
	st, err := h.box.Stat(ctx, "/f", pocketdock.FileOptions{})
	if err != nil || st.Path != "/f" || st.Size != 5 || st.Mode != 0o640 || st.ModTime.UnixNano() != 1700000000000000001 || st.UID != 1 || st.GID != 2 {
		t.Errorf("stat: %+v, %v", st, err)
	}
}
