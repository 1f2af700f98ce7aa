package pocketdock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/pocketdock/pocketdock/internal/hostimage"
)

// hostRepo names the images of [ProfileHost], one for each state of the host.
const hostRepo = profileRepo + ProfileHost

// resolve finds the image, and what else follows from the profile.
func (n *creation) resolve(ctx context.Context) (err error) {
	n.wanted = n.image
	switch {
	case n.opts.Profile == ProfileHost:
		err = n.resolveHost(ctx)
	case n.image == "" && n.opts.Profile != "":
		n.image = profileImage(n.opts.Profile)
	}
	if err != nil {
		return err
	}
	if n.img == nil {
		if n.img, err = inspectImage(ctx, n.engine, n.image); err != nil {
			return err
		}
	}
	n.network = networkOf(&n.opts, n.img)
	if len(n.opts.Ports) > 0 && !n.network {
		return errPortsNeedNetwork()
	}
	return nil
}

// resolveHost makes the image of this host, if the engine does not have it,
// and the list of what is mounted over it. An image that was named, such as a
// snapshot, stays.
func (n *creation) resolveHost(ctx context.Context) error {
	if n.noMounts || runtime.GOOS != "linux" {
		return fmt.Errorf("profile %s: the engine does not share this machine's file system: %w", ProfileHost, ErrUnsupported)
	}
	labels := map[string]string{labelImageProfile: ProfileHost, labelImageNetwork: "false"}
	stamp, mounts, err := hostimage.Stamp("/", runtime.GOARCH, hostRepo, labels)
	if err != nil {
		return err
	}
	if n.host, err = hostMounts(mounts); err != nil {
		return err
	}
	if n.image != "" {
		return nil
	}
	var img *hostimage.Image
	make := func() (string, error) {
		if img, err = hostimage.Make("/", runtime.GOARCH, hostRepo, labels); err != nil {
			return "", err
		}
		return img.Name, nil
	}
	if n.image, err = n.hostImage(stamp, make); err != nil {
		return err
	}
	if n.img, err = inspectImage(ctx, n.engine, n.image); !errors.Is(err, ErrImageNotFound) {
		return err
	}
	if img == nil {
		if n.image, err = make(); err != nil {
			return err
		}
	}
	if err := n.client.LoadImages(ctx, bytes.NewReader(img.Archive)); err != nil {
		return err
	}
	n.client.made(ctx, n.engine, img.Name, "")
	return nil
}

// hostImage is the name of this host's image, which is made only if this state
// of the host was not seen before: to read all of it takes some 50 ms.
func (n *creation) hostImage(stamp string, make func() (string, error)) (string, error) {
	dir, err := n.client.stateDir()
	if err != nil || stamp == "" {
		return make()
	}
	return dir.Remember("host image "+stamp, make)
}

// hostMounts are the host's system directories and what is mounted in them,
// read-only.
func hostMounts(dirs []string) ([]apiMount, error) {
	info, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer info.Close()
	below, err := hostimage.Below(info, dirs)
	if err != nil {
		return nil, fmt.Errorf("reading this host's mounts: %w", err)
	}
	var mounts []apiMount
	for _, d := range append(dirs, below...) {
		mounts = append(mounts, apiMount{"bind", d, d, true})
	}
	return mounts, nil
}
