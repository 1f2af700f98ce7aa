//go:build linux

package sockets

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

const deadline = 30 * time.Second

// dialled is the client's end of a Dial being served.
type dialled struct {
	conn *net.UnixConn
	r    *wire.Reader
	done chan error
}

func start(t testing.TB, network, address string) *dialled {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
		t.Cleanup(func() { c.Close() })
	}
	d := &dialled{conn: ends[0], r: wire.NewReader(ends[0]), done: make(chan error, 1)}
	d.conn.SetDeadline(time.Now().Add(deadline))
	go func() {
		err := Dial(&wire.Dial{Network: network, Address: address}, wire.NewWriter(ends[1]), ends[1])
		ends[1].Close()
		d.done <- err
	}()
	return d
}

func (d *dialled) connected(t testing.TB) *dialled {
	t.Helper()
	kind, _, err := d.r.Header()
	if err != nil {
		t.Fatal(err)
	}
	body, err := d.r.Payload()
	if err != nil || kind != wire.KindReply {
		t.Fatalf("%q %s, %v", byte(kind), body, err)
	}
	return d
}

func (d *dialled) refused(t testing.TB) *wire.Error {
	t.Helper()
	kind, _, err := d.r.Header()
	if err != nil || kind != wire.KindFailure {
		t.Fatalf("%q, %v", byte(kind), err)
	}
	e := new(wire.Error)
	if err := d.r.JSON(e); err != nil {
		t.Fatal(err)
	}
	return e
}

func (d *dialled) ended(t testing.TB) {
	t.Helper()
	select {
	case err := <-d.done:
		if err != nil {
			t.Errorf("Dial: %v", err)
		}
	case <-time.After(deadline):
		t.Fatal("Dial goes on")
	}
}

// listen listens on each kind of socket in turn.
func listeners(t testing.TB) map[string]net.Listener {
	t.Helper()
	all := map[string]net.Listener{}
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": filepath.Join(t.TempDir(), "s")} {
		l, err := net.Listen(network, address)
		if err != nil {
			if network == "tcp6" {
				continue // this host has none
			}
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		all[network] = l
	}
	return all
}

func networkOf(l net.Listener) string { return strings.TrimSuffix(l.Addr().Network(), "6") }

// Bytes of both directions arrive whole, at once, and an end in one leaves
// the other open.
func TestDialJoinsBothWays(t *testing.T) {
	data := make([]byte, 5<<20+11)
	rand.NewChaCha8([32]byte{}).Read(data)
	for name, l := range listeners(t) {
		t.Run(name, func(t *testing.T) {
			d := start(t, networkOf(l), l.Addr().String()).connected(t)
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			errs := make(chan error, 2)
			go func() { // answers only when the client has ended its direction
				got, err := io.ReadAll(server)
				if err == nil && !bytes.Equal(got, data) {
					err = errors.New("the server got something else")
				}
				errs <- err
				_, err = server.Write(data)
				server.Close()
				errs <- err
			}()
			if _, err := d.conn.Write(data); err != nil {
				t.Fatal(err)
			}
			d.conn.CloseWrite()
			got, err := io.ReadAll(d.conn)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("the client got %d bytes, %v", len(got), err)
			}
			for range 2 {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			d.ended(t)
		})
	}
}

// The server's half close reaches the client, who may still send.
func TestDialKeepsTheOtherHalf(t *testing.T) {
	for name, l := range listeners(t) {
		t.Run(name, func(t *testing.T) {
			d := start(t, networkOf(l), l.Addr().String()).connected(t)
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			server.(interface{ CloseWrite() error }).CloseWrite()
			if n, err := d.conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Fatalf("%d, %v", n, err)
			}
			d.conn.Write([]byte("still"))
			d.conn.CloseWrite()
			if got, err := io.ReadAll(server); string(got) != "still" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			d.ended(t)
		})
	}
}

// A client that goes away takes the connection with it, also when the server
// is silent and when the client had ended its direction before.
func TestDialEndsWithTheClient(t *testing.T) {
	before := runtime.NumGoroutine()
	for name, l := range listeners(t) {
		for _, half := range []bool{false, true} {
			t.Run(name+" half "+strconv.FormatBool(half), func(t *testing.T) {
				d := start(t, networkOf(l), l.Addr().String()).connected(t)
				server, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer server.Close()
				if half {
					d.conn.CloseWrite()
					if _, err := server.Read(make([]byte, 1)); err != io.EOF {
						t.Fatal(err)
					}
				}
				d.conn.Close()
				server.SetDeadline(time.Now().Add(deadline))
				if !half {
					if _, err := server.Read(make([]byte, 1)); err != io.EOF {
						t.Fatalf("the server sees %v", err)
					}
					server.Close()
				}
				d.ended(t)
			})
		}
	}
	for end := time.Now().Add(deadline); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestDialFailures(t *testing.T) {
	dir := t.TempDir()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := closed.Addr().(*net.TCPAddr).Port
	closed.Close()
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for name, test := range map[string]struct{ network, address, code string }{
		"tcp refused":    {"tcp", "127.0.0.1:" + strconv.Itoa(port), wire.CodeRefused},
		"localhost":      {"tcp", "localhost:" + strconv.Itoa(port), wire.CodeRefused},
		"no host":        {"tcp", ":" + strconv.Itoa(port), wire.CodeRefused},
		"unix refused":   {"unix", stale, wire.CodeRefused},
		"no socket":      {"unix", filepath.Join(dir, "none"), wire.CodeNotFound},
		"no path":        {"unix", "", wire.CodeInvalid},
		"long path":      {"unix", filepath.Join(dir, strings.Repeat("x", 200)), wire.CodeInvalid},
		"longer path":    {"unix", strings.Repeat("x", 1<<16), wire.CodeInvalid},
		"udp":            {"udp", "127.0.0.1:53", wire.CodeInvalid},
		"no network":     {"", "127.0.0.1:1", wire.CodeInvalid},
		"no port":        {"tcp", "127.0.0.1", wire.CodeInvalid},
		"empty port":     {"tcp", "127.0.0.1:", wire.CodeInvalid},
		"port too large": {"tcp", "127.0.0.1:65536", wire.CodeInvalid},
		"no such host":   {"tcp", "no such host:80", wire.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t, test.network, test.address)
			e := d.refused(t)
			if e.Code != test.code || !strings.HasPrefix(e.Message, "dial ") {
				t.Errorf("%+v, want %s", e, test.code)
			}
			d.ended(t)
		})
	}
	if e := func() *wire.Error {
		var buf bytes.Buffer
		Dial(nil, wire.NewWriter(&buf), nil)
		r := wire.NewReader(&buf)
		r.Header()
		e := new(wire.Error)
		r.JSON(e)
		return e
	}(); e.Code != wire.CodeInvalid {
		t.Errorf("no request: %+v", e)
	}
}

// "localhost" means both loopback addresses.
func TestDialLocalhostIsAlsoIPv6(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	d := start(t, "tcp", net.JoinHostPort("localhost", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))).connected(t)
	d.conn.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	d.ended(t)
}

func TestPorts(t *testing.T) {
	want := map[wire.Port]bool{}
	for name, l := range listeners(t) {
		if a, ok := l.Addr().(*net.TCPAddr); ok {
			want[wire.Port{Network: name, Address: a.IP.String(), Port: a.Port}] = true
		}
	}
	var buf bytes.Buffer
	if err := Ports(wire.NewWriter(&buf)); err != nil {
		t.Fatal(err)
	}
	r := wire.NewReader(&buf)
	last := 0
	for {
		kind, _, err := r.Header()
		if err != nil {
			t.Fatal(err)
		}
		body, err := r.Payload()
		if err != nil {
			t.Fatal(err)
		}
		if kind == wire.KindReply {
			break
		}
		var e wire.Entry
		if err := json.Unmarshal(body, &e); kind != wire.KindEntry || err != nil {
			t.Fatalf("%q %s", byte(kind), body)
		}
		if e.Port.Port < last {
			t.Error("not sorted")
		}
		last = e.Port.Port
		delete(want, *e.Port)
	}
	if len(want) > 0 {
		t.Errorf("not listed: %v", want)
	}
}

const sampleTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0000000000000000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0000000000000000 100 0 0 10 0
   2: 0100007F:0050 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0000000000000000 100 0 0 10 0
`

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		table string
		want  []wire.Port
	}{
		"IPv4": {sampleTable, []wire.Port{{Network: "x", Address: "127.0.0.1", Port: 8080}, {Network: "x", Address: "0.0.0.0", Port: 22}}},
		"IPv6": {"h\n0: 00000000000000000000000001000000:0050 0:0 0A\n1: B80D0120000000000000000001000000:FFFF 0:0 0A",
			[]wire.Port{{Network: "x", Address: "::1", Port: 80}, {Network: "x", Address: "2001:db8::1", Port: 65535}}},
		"mapped":        {"0: 0000000000000000FFFF00000100007F:0001 0:0 0A", []wire.Port{{Network: "x", Address: "::ffff:127.0.0.1", Port: 1}}},
		"empty":         {"", nil},
		"short line":    {"0: 0100007F:1F90\n", nil},
		"odd address":   {"0: 100007F:1F90 0:0 0A\n0: 0100007F 0:0 0A\n0: 0100007G:1F90 0:0 0A\n", nil},
		"large port":    {"0: 0100007F:1F901 0:0 0A\n", nil},
		"negative port": {"0: 0100007F:-1 0:0 0A\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(strings.NewReader(test.table), "x")
			if err != nil || len(got) != len(test.want) {
				t.Fatalf("%v, %v", got, err)
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Errorf("%v, want %v", got[i], test.want[i])
				}
			}
		})
	}
	if _, err := parse(strings.NewReader(strings.Repeat("x", 2*maxLine)), "x"); err == nil {
		t.Error("a line without end was read")
	}
	many := strings.Repeat("0: 0100007F:1F90 0:0 0A\n", maxPorts+10)
	if got, err := parse(strings.NewReader(many), "x"); err != nil || len(got) != maxPorts {
		t.Errorf("%d ports, %v", len(got), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sampleTable))
	f.Add([]byte("0: 0000000000000000FFFF00000100007F:0001 0:0 0A"))
	f.Fuzz(func(t *testing.T, table []byte) {
		ports, _ := parse(bytes.NewReader(table), "tcp")
		for _, p := range ports {
			if p.Port < 0 || p.Port > 65535 || net.ParseIP(p.Address) == nil {
				t.Fatalf("%+v", p)
			}
		}
	})
}

func BenchmarkDial(b *testing.B) {
	for name, l := range listeners(b) {
		b.Run(name, func(b *testing.B) {
			const size = 256 << 20
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						chunk := make([]byte, 1<<20)
						for range size / len(chunk) {
							c.Write(chunk)
						}
						c.Close()
					}()
				}
			}()
			b.SetBytes(size)
			buf := make([]byte, 1<<20)
			for b.Loop() {
				d := start(b, networkOf(l), l.Addr().String()).connected(b)
				n := 0
				for {
					m, err := d.conn.Read(buf)
					n += m
					if err != nil {
						break
					}
				}
				if n != size {
					b.Fatal(n)
				}
				d.conn.Close()
				<-d.done
			}
		})
	}
}
