//go:build linux

package sockets

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// Bounds of what is read of a socket table.
const (
	maxTable = 64 << 20 // bytes; a line has 150, so some 400,000 sockets
	maxLine  = 4 << 10  // bytes
	maxPorts = 1 << 16  // listening sockets
)

// listening is the state TCP_LISTEN of include/net/tcp_states.h.
const listening = "0A"

// Ports sends the listening TCP sockets of the sandbox, sorted by port.
func Ports(w *wire.Writer) error {
	var ports []wire.Port
	for _, network := range []string{"tcp", "tcp6"} {
		found, err := table("/proc/net/"+network, network)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // no IPv6
			return w.JSON(wire.KindFailure, &wire.Error{Code: wire.CodeOther, Message: "list ports: " + err.Error()})
		}
		ports = append(ports, found...)
	}
	slices.SortFunc(ports, func(a, b wire.Port) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Network, b.Network), cmp.Compare(a.Address, b.Address))
	})
	for _, p := range slices.Compact(ports) { // SO_REUSEPORT: one each
		if err := w.QueueJSON(wire.KindEntry, wire.Entry{Port: &p}); err != nil {
			return err
		}
	}
	return w.JSON(wire.KindReply, wire.Reply{})
}

func table(path, network string) ([]wire.Port, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parse(io.LimitReader(f, maxTable), network)
}

// parse reads the listening sockets of a table as proc_net_tcp.rst of the
// kernel describes it. Lines that do not fit are passed over.
func parse(r io.Reader, network string) ([]wire.Port, error) {
	var ports []wire.Port
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	for lines.Scan() && len(ports) < maxPorts {
		fields := bytes.Fields(lines.Bytes())
		if len(fields) < 4 || string(fields[3]) != listening {
			continue
		}
		if addr, ok := parseAddress(fields[1]); ok {
			ports = append(ports, wire.Port{Network: network, Address: addr.Addr().String(), Port: int(addr.Port())})
		}
	}
	return ports, lines.Err()
}

// parseAddress reads "0100007F:1F90". An address is printed as one or four
// numbers in the machine's byte order, a port as a number.
func parseAddress(field []byte) (netip.AddrPort, bool) {
	address, number, ok := bytes.Cut(field, []byte{':'})
	if !ok || len(address) != 8 && len(address) != 32 {
		return netip.AddrPort{}, false
	}
	port, err := strconv.ParseUint(string(number), 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	raw := make([]byte, len(address)/2)
	if _, err := hex.Decode(raw, address); err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr, uint16(port)), ok
}
