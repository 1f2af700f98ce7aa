package imagestore

import (
	"context"
	"fmt"
	"strings"
)

// Remove removes a name of an image, and with its last name the image. Called
// by its ID an image goes with all its names, of which it may have several
// only with force. Layers stay as long as an image has them. What Docker
// refuses, to remove what another image was committed from, is possible:
// images share layers, and nothing else.
//
// Whether a container uses the image is the caller's to know. One that has its
// root file system by [Store.Rootfs] keeps it.
func (s *Store) Remove(ctx context.Context, name string, force bool) (untagged, deleted []string, err error) {
	err = s.exclusive(ctx, func(x *index) error {
		id, full, err := x.find(name)
		if err != nil {
			return err
		}
		names := x.names(id)
		switch {
		case full != "":
			names = []string{full}
		case len(names) > 1 && !force:
			return &kind{ErrConflict, fmt.Errorf("image %s has several names (%s): remove these, or force it",
				shortID(id), strings.Join(shortNames(names), ", "))}
		}
		for _, n := range names {
			delete(x.Names, n)
		}
		untagged = shortNames(names)
		if len(x.names(id)) == 0 {
			delete(x.Images, id)
			deleted = []string{id}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return untagged, deleted, nil
}

func shortNames(full []string) (short []string) {
	for _, n := range full {
		short = append(short, shortName(n))
	}
	return short
}

func shortID(id string) string { return hexOf(id)[:12] }
