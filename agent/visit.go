//go:build linux

package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/pocketdock/pocketdock/agent/fileops"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// Visit is "pocketdock-agent visit": it serves operations on files, one after
// the other, to who started it, on its standard streams. The embedded engine
// runs it in a container for docker cp, so that every path is the container's.
// As PID 1 of one that was stopped it says at the end whether it is to be kept.
func Visit() int {
	swallowSignals()
	f := takeFarewell()
	tuneMemory()
	// Without its descriptor the writer does not ask the kernel to copy, which
	// is for sockets.
	r, w := wire.NewReader(os.Stdin), wire.NewWriter(struct{ io.Writer }{os.Stdout})
	code := 0
	if err := serveVisit(r, w); err != nil {
		fmt.Fprintln(os.Stderr, "pocketdock-agent visit:", err)
		code = 1
	}
	f.wait(code)
	return code
}

// serveVisit serves until who asks is done. An input that ends before is that of
// somebody who gave up, or was killed.
func serveVisit(r *wire.Reader, w *wire.Writer) error {
	for {
		kind, _, err := r.Header()
		if err != nil {
			return err
		}
		if kind != wire.KindRequest {
			return fail(wire.CodeInvalid, "a frame %q came where a request belongs", byte(kind))
		}
		b, err := r.Payload()
		if err != nil {
			return err
		}
		var req wire.Request
		if err := json.Unmarshal(b, &req); err != nil {
			return err
		}
		switch req.Op {
		case wire.OpDone:
			return w.JSON(wire.KindReply, wire.Reply{})
		case wire.OpWatch:
			return fail(wire.CodeUnsupported, "there is no watching here")
		}
		if err := fileops.Serve(req.Op, req.File, "/", fileops.Identity{Root: true}, r, w); err != nil {
			return err
		}
	}
}
