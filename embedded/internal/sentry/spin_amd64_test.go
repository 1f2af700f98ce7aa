//go:build linux && !noembedded

package sentry

import (
	"bytes"
	"encoding/binary"
	"testing"

	"gvisor.dev/gvisor/pkg/sentry/platform"
	"gvisor.dev/gvisor/pkg/sentry/platform/systrap/sysmsg"
)

func TestSpin(t *testing.T) {
	code, at := sysmsg.SighandlerBlob, sysmsg.Sighandler_blob_offset____export_deep_sleep_timeout
	before, err := platform.Lookup(platformName)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		sysmsg.SighandlerBlob, sysmsg.Sighandler_blob_offset____export_deep_sleep_timeout = code, at
		platform.Register(platformName, before)
	}()
	if at <= 0 || at+8 > len(code) || binary.LittleEndian.Uint64(code[at:]) != 0 {
		t.Fatalf("gVisor's code has no unset variable at %#x of %#x bytes", at, len(code))
	}
	spin()
	now, target := sysmsg.SighandlerBlob, sysmsg.Sighandler_blob_offset____export_deep_sleep_timeout
	if got := binary.LittleEndian.Uint64(now[at:]); got != stubTicks {
		t.Errorf("programs wait for %d ticks, want %d", got, stubTicks)
	}
	if !bytes.Equal(now[:at], code[:at]) || !bytes.Equal(now[at+8:len(code)], code[at+8:]) {
		t.Error("the code is another one")
	}
	if target < len(code) || target+8 > len(now) || target%8 != 0 {
		t.Errorf("gVisor writes its own value to %#x, within the %#x bytes of code or beyond the %#x there are", target, len(code), len(now))
	}
	if p, err := platform.Lookup(platformName); err != nil || p.PrecompiledSeccompInfo()[0] != before.PrecompiledSeccompInfo()[0] {
		t.Errorf("platform %v, %v: not gVisor's", p, err)
	}
}
