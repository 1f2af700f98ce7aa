package pocketdock

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/images"
	"github.com/pocketdock/pocketdock/internal/pattern"
)

// A Profile is a kind of sandbox: the image that its containers are made from,
// and whether they have a network unless told otherwise. See [Profiles] for
// the built-in ones.
type Profile struct {
	// Name: lower-case letters, digits and single '-' between them, at most 63.
	Name string
	// Description is one line for a list.
	Description string
	// Network is the default for the profile's containers. [Client.BuildProfile]
	// writes it on the image of a profile with a Dir, so that it holds
	// wherever the image goes.
	Network bool
	// Dir is the directory of a user's own profile: a Dockerfile and what it
	// copies. Empty: a built-in profile.
	Dir string
}

// ProfileHost is the profile that has no image to build: the host's own
// system directories, read-only, with a filtered copy of /etc. It needs an
// engine on this machine. Home directories, /root, /run and /var are not there.
const ProfileHost = "host"

// Image is the name of the profile's image.
func (p Profile) Image() string { return profileImage(p.Name) }

const (
	profileRepo = "pocketdock/"
	// What a profile's image is marked with. Not the labels of containers:
	// engines give an image's labels to every container of it.
	labelImageProfile = labelPrefix + "image.profile"
	labelImageNetwork = labelPrefix + "image.network"
)

func profileImage(name string) string { return profileRepo + name + ":latest" }

// Profiles are the built-in profiles. All have a user sandbox with the user ID
// 1000 and the home directory /home/sandbox.
func Profiles() []Profile {
	var list []Profile
	for _, p := range images.Profiles() {
		list = append(list, Profile{Name: p.Name, Description: p.Description, Network: p.Network})
	}
	return append(list, Profile{Name: ProfileHost, Description: "this machine's own programs, read-only; nothing to build"})
}

// builtin finds a built-in profile.
func builtin(name string) (Profile, bool) {
	for _, p := range Profiles() {
		if p.Name == name {
			return p, true
		}
	}
	return Profile{}, false
}

var profileName = pattern.New(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// checkProfileName accepts what can be part of an image's name on both engines.
func checkProfileName(name string) error {
	if len(name) > 63 || !profileName.MatchString(name) {
		return invalidf("profile %q: use lower-case letters, digits and single '-' between them, at most 63", name)
	}
	return nil
}

// Check reports what makes a profile unusable: a bad name, a directory for
// one that is built in, or none for one that is not.
func (p Profile) Check() error {
	if err := checkProfileName(p.Name); err != nil {
		return err
	}
	_, known := builtin(p.Name)
	switch {
	case known && p.Dir != "":
		return invalidf("profile %s is built in; give your own another name", p.Name)
	case !known && p.Dir == "":
		return invalidf("no profile %s; there are %s, and those that the project's configuration names", p.Name, builtinNames())
	}
	return nil
}

func builtinNames() string {
	var names []string
	for _, p := range Profiles() {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// ProfileInfo describes a profile as one engine has it.
type ProfileInfo struct {
	Profile
	Image string // the name of its image
	// Built says that the engine has the image. That of [ProfileHost] is made
	// when it is needed: Built says that this machine and engine can.
	Built   bool
	ImageID string
	Size    int64     // bytes, layers shared with other images included
	Created time.Time // of the image
}

// Profiles describes the built-in profiles and a user's own ones.
func (c *Client) Profiles(ctx context.Context, own ...Profile) ([]ProfileInfo, error) {
	var list []ProfileInfo
	for _, p := range append(Profiles(), own...) {
		if err := p.Check(); err != nil {
			return nil, err
		}
		info := ProfileInfo{Profile: p, Image: p.Image()}
		if p.Name == ProfileHost {
			info.Built, info.Image = runtime.GOOS == "linux" && !c.NoMounts, hostRepo
			list = append(list, info)
			continue
		}
		img, err := c.Image(ctx, p.Image())
		switch {
		case err == nil:
			info.Built, info.ImageID, info.Size, info.Created = true, img.ID, img.Size, img.Created
		case !errors.Is(err, ErrImageNotFound):
			return nil, err
		}
		list = append(list, info)
	}
	return list, nil
}

// networkOf is whether a container has a network: what was asked for, else
// what its profile says. A built-in profile's own word counts, not that of an
// image which may have come from anywhere.
func networkOf(o *CreateOptions, img *apiImage) bool {
	if o.Network || o.NoNetwork || o.Profile == "" {
		return o.Network
	}
	if p, ok := builtin(o.Profile); ok {
		return p.Network
	}
	on, err := strconv.ParseBool(img.Config.Labels[labelImageNetwork])
	return err == nil && on && img.Config.Labels[labelImageProfile] == o.Profile
}
