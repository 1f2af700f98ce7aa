package hostimage

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"time"
)

// format is part of every stamp: it is another number for every change of what
// Make makes of the same host.
const format = 2

// Stamp is a name for the state of the host that Make would make an image of:
// the same stamp, the same image. Files are told by their number, size and
// times and are not read, which is a tenth of the work. It is empty when the
// clock cannot tell this state from the next. mounts are those of the image.
func Stamp(root, arch, repo string, labels map[string]string) (stamp string, mounts []string, err error) {
	// Times are those of a clock that may stand still for 10 ms.
	return stampAt(time.Now().Add(-time.Second), root, arch, repo, labels)
}

// stampAt is Stamp at a time after which nothing may have changed.
func stampAt(settled time.Time, root, arch, repo string, labels map[string]string) (stamp string, mounts []string, err error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return "", nil, err
	}
	defer r.Close()
	whole := sha256.New()
	sum := bufio.NewWriter(whole)
	fmt.Fprintf(sum, "%d %q %q %q", format, arch, repo, labels) // maps are printed in order
	l := &layer{sum: sum}
	if err := l.host(r); err != nil {
		return "", nil, fmt.Errorf("image of this host: %w", err)
	}
	if l.newest.After(settled) {
		return "", l.mounts, nil
	}
	sum.Flush()
	return hex.EncodeToString(whole.Sum(nil)), l.mounts, nil
}
