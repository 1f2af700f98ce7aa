package pocketdock_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// TestSuiteEscape: what code in a sandbox of the embedded engine tries, as its
// user and as root, to get at the host, is refused in every case. On the other
// engines much of it is the kernel's and the engine's to refuse.
func TestSuiteEscape(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		if e.name != "embedded" {
			t.Skip("of the embedded engine")
		}
		home, err := os.MkdirTemp("/var/tmp", "pdescape")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(home) })
		secret := filepath.Join(home, "secret")
		if err := os.WriteFile(secret, []byte("the host's secret"), 0o644); err != nil {
			t.Fatal(err)
		}
		box := create(t, e, "", pocketdock.CreateOptions{Profile: pocketdock.ProfileHost})
		for _, user := range []string{"sandbox", "root"} {
			t.Run(user, func(t *testing.T) {
				cmd := pocketdock.Code("python", escapes)
				cmd.User, cmd.Env = user, map[string]string{"SECRET": secret}
				res, err := box.Run(t.Context(), cmd)
				if err != nil {
					t.Fatal(err)
				}
				if out := string(res.Stdout); !strings.HasSuffix(out, "refused everywhere\n") || !res.OK() {
					t.Errorf("code %d: %s%s", res.ExitCode, out, res.Stderr)
				}
			})
		}
		if b, err := os.ReadFile(secret); err != nil || string(b) != "the host's secret" {
			t.Errorf("the host's file: %q, %v", b, err)
		}
		if _, err := os.Stat("/usr/pd-escaped"); err == nil {
			t.Error("a file was written to the host's /usr")
		}
	})
}

// escapes tries each way and says which succeeded.
const escapes = `
import ctypes, os, socket, sys, glob
libc = ctypes.CDLL(None, use_errno=True)
escaped = []

def refused(name, what):
    try:
        r = what()
    except (OSError, PermissionError) as e:
        return
    if r not in (False, None):
        escaped.append((name, r))

def call(*args):
    return libc.syscall(*args) >= 0

def read(path):
    with open(path, 'rb') as f:
        return f.read(64)

# The host's files, by their paths, through /proc, and by going up.
secret = os.environ['SECRET']
refused('the file', lambda: read(secret))
for pid in ['self', '1']:
    refused('through /proc/%s/root' % pid, lambda: read('/proc/%s/root%s' % (pid, secret)))
refused('through ..', lambda: read('/' + '../' * 40 + secret[1:]))
for path in ['/etc/shadow', '/etc/gshadow', '/etc/ssh/ssh_host_rsa_key', '/etc/machine-id', '/run/docker.sock', '/var/lib/dpkg/status', '/var/log/dpkg.log', '/proc/kcore', '/dev/mem', '/dev/kmem', '/dev/vda', '/dev/sda']:
    refused(path, lambda: read(path))
for d in ['/root', '/home/*', '/run/user', '/mnt', '/media', '/srv', '/var/tmp', '/tmp']:
    refused('in ' + d, lambda: [p for p in glob.glob(d + '/*') if not p.startswith(('/home/sandbox', '/tmp/pocketdock-'))] or False)

# Mounting, namespaces, roots, modules, the kernel.
refused('mount proc', lambda: libc.mount(b'proc', b'/mnt', b'proc', 0, None) == 0)
refused('mount tmpfs', lambda: libc.mount(b'x', b'/mnt', b'tmpfs', 0, None) == 0)
refused('mount disk', lambda: libc.mount(b'/dev/vda', b'/mnt', b'ext4', 0, None) == 0)
refused('bind', lambda: libc.mount(b'/proc/1/root', b'/mnt', None, 4096, None) == 0)
refused('remount', lambda: libc.mount(None, b'/usr', None, 32 | 4096, None) == 0)
refused('umount', lambda: libc.umount(b'/usr') == 0)
refused('chroot', lambda: libc.chroot(b'/tmp') == 0)
refused('init_module', lambda: call(175, 0, 0, 0))
refused('finit_module', lambda: call(313, 0, b'', 0))
refused('delete_module', lambda: call(176, b'ext4', 0))
refused('kexec', lambda: call(246, 0, 0, 0, 0))
refused('reboot', lambda: call(169, 0xfee1dead, 672274793, 0x1234567, 0))
refused('bpf', lambda: call(321, 0, 0, 0))
refused('swapon', lambda: call(167, b'/dev/zero', 0))
refused('settime', lambda: call(227, 0, (ctypes.c_long * 2)(1, 1)))
refused('sethostname', lambda: call(170, b'x', 1))
refused('mknod', lambda: os.mknod('/tmp/disk', 0o60600, os.makedev(254, 0)) or read('/tmp/disk'))

# Other processes.
refused('ptrace', lambda: libc.ptrace(16, 1, 0, 0) == 0)
refused('memory of PID 1', lambda: read('/proc/1/mem'))
refused('environment of PID 1', lambda: read('/proc/1/environ'))

# Writing where the host would notice.
def write(path, data=b'1'):
    with open(path, 'wb') as f:
        f.write(data)
    return True
for path in ['/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', '/proc/sys/vm/drop_caches', '/proc/sys/kernel/modprobe', '/sys/kernel/uevent_helper', '/sys/power/state', '/sys/fs/cgroup/release_agent']:
    refused('write ' + path, lambda: write(path))
refused('write /usr', lambda: write('/usr/pd-escaped'))
refused('change a program', lambda: write('/usr/bin/env'))

# The network.
refused('raw socket', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) and True)
refused('packet socket', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3) and True)
def connect(family, address):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(2)
    s.connect(address)
    return True
for address in ['1.1.1.1', '10.0.0.1', '172.17.0.1', '192.168.0.1', '169.254.169.254']:
    refused(address, lambda: connect(socket.AF_INET, (address, 80)))
    def send():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return s.sendto(b'x', (address, 53)) > 0
    refused('datagram to ' + address, send)
refused('IPv6', lambda: connect(socket.AF_INET6, ('2606:4700:4700::1111', 80)))
refused('a name', lambda: socket.getaddrinfo('example.com', 80) and True)
for path in ['/run/docker.sock', '/var/run/docker.sock', '/run/dbus/system_bus_socket', '\0/tmp/.X11-unix/X0']:
    refused('socket ' + path, lambda: connect(socket.AF_UNIX, path))
interfaces = [n for _, n in socket.if_nameindex() if n != 'lo']
if interfaces:
    escaped.append(('interfaces', interfaces))

for name, r in escaped:
    print('NOT REFUSED:', name, r)
print('refused everywhere' if not escaped else 'escaped')
`
