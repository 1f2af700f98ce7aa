package pocketdock

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pocketdock/pocketdock/internal/engine"
)

// SnapshotOptions are the optional properties of a snapshot.
type SnapshotOptions struct {
	// Comment is kept in the image's history.
	Comment string
	// Labels are added to the image.
	Labels map[string]string
	// NoPause leaves processes running while the files are copied: a file
	// that is being written may then be caught half. Where the engine cannot
	// pause (rootless Podman without cgroup v2) this is always so.
	NoPause bool
	// Exclude are absolute paths of the container that are left out, such as
	// "/tmp": of a directory its content, the directory stays with its mode; a
	// file itself. What was added or changed there since the container was
	// created is left out, what was deleted stays deleted, and what the image
	// has there stays. Links are not followed. Nil: nothing is left out.
	//
	// No engine can leave anything out, so the image is saved to the state
	// directory and loaded again without it. That takes its size on the disk
	// for the while, and some seconds for each gigabyte.
	Exclude []string
}

// Snapshot makes an image, "name" or "name:tag", of the container's files and
// returns the image's ID, "sha256:…". Processes and what is in memory or in volumes are
// not part of it, nor are the records and logs of processes; the container's
// environment is.
func (c *Container) Snapshot(ctx context.Context, image string, opts SnapshotOptions) (string, error) {
	if err := errors.Join(checkNewName(image), checkExclude(opts.Exclude)); err != nil {
		return "", err
	}
	in, err := c.inspect(ctx)
	if err != nil {
		return "", err
	}
	img, err := inspectImage(ctx, c.engine, in.Image)
	if err != nil {
		return "", err
	}
	quote := quoteInstruction
	if c.engine.Name == "podman" {
		quote = quotePodman
	}
	changes, err := snapshotChanges(in, img, opts.Labels, quote)
	if err != nil {
		return "", err
	}
	exclude, err := c.withoutAgent(ctx, in, opts.Exclude)
	if err != nil {
		return "", err
	}
	q := url.Values{"container": {c.ref()}, "comment": {opts.Comment},
		"pause": {strconv.FormatBool(!opts.NoPause)}, "changes": changes}
	var id string
	if len(exclude) == 0 {
		id, err = c.commit(ctx, image, q)
	} else {
		id, err = c.commitWithout(ctx, image, q, img, exclude)
	}
	if err == nil {
		c.client.made(ctx, c.engine, image, in.Config.Labels[labelProject])
	}
	return id, err
}

// commit has the engine make the image.
func (c *Container) commit(ctx context.Context, image string, q url.Values) (string, error) {
	repo, tag := splitTag(image)
	q.Set("repo", repo)
	q.Set("tag", tag)
	var out struct {
		ID string `json:"Id"`
	}
	err := c.engine.JSON(ctx, "POST", "/commit", q, struct{}{}, &out)
	if se, ok := errors.AsType[*engine.StatusError](err); ok && strings.Contains(se.Message, "can not pause") {
		// Rootless Podman without cgroup v2 has no freezer: as with NoPause.
		q.Set("pause", "false")
		err = c.engine.JSON(ctx, "POST", "/commit", q, struct{}{}, &out)
	}
	if err == nil && out.ID == "" {
		return "", noID(c.engine, "snapshot container "+c.name)
	}
	if err != nil {
		return "", c.apiErr(ctx, err, "snapshot")
	}
	return "sha256:" + bareID(out.ID), nil
}

// checkExclude refuses what is no path in a container.
func checkExclude(paths []string) error {
	for _, p := range paths {
		if !path.IsAbs(p) || path.Clean(p) == "/" || strings.ContainsRune(p, 0) {
			return invalidf("path %q to leave out: must be absolute and not the root", p)
		}
	}
	return nil
}

// withoutAgent adds the agent's directory to what is left out, if the
// container has it among its own files: its logs are what commands printed.
func (c *Container) withoutAgent(ctx context.Context, in *apiInspect, exclude []string) ([]string, error) {
	for _, m := range in.Mounts {
		if m.Destination == agentIO {
			return exclude, nil
		}
	}
	res, err := c.engine.Do(ctx, "HEAD", c.path("/archive"), url.Values{"path": {agentDir}}, nil, "")
	if se, ok := errors.AsType[*engine.StatusError](err); ok && se.NotFound() {
		return exclude, nil
	}
	if err != nil {
		return nil, c.apiErr(ctx, err, "snapshot")
	}
	res.Body.Close()
	return append(slices.Clone(exclude), agentDir), nil
}

// snapshotChanges are the Dockerfile instructions that give the new image the
// settings of the original one, in place of those that make a container ours.
// An engine adds the container's labels and cannot leave one out: ours are
// emptied, so that no container of the image is taken for one of ours.
func snapshotChanges(in *apiInspect, img *apiImage, labels map[string]string, quote func(string) string) ([]string, error) {
	all := map[string]string{}
	for k := range in.Config.Labels {
		if strings.HasPrefix(k, labelPrefix) {
			all[k] = ""
		}
	}
	maps.Copy(all, labels)
	var changes []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if strings.ContainsAny(k+all[k], "\n\r\x00") {
			return nil, invalidf("label %q: a snapshot's labels cannot have line breaks", k)
		}
		changes = append(changes, "LABEL "+quote(k)+"="+quote(all[k]))
	}
	user := img.Config.User
	if user == "" {
		user = "0"
	}
	command := img.Config.Cmd
	if len(command) == 0 && len(img.Config.Entrypoint) == 0 {
		command = []string{"/bin/sh"} // none at all would leave ours
	}
	return append(changes, "USER "+user, "ENTRYPOINT "+jsonList(img.Config.Entrypoint), "CMD "+jsonList(command)), nil
}

// quoteInstruction quotes a value of a Dockerfile instruction, where $ begins
// a variable.
func quoteInstruction(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(s) + `"`
}

// quotePodman: Podman 4.3 takes off the outer quotes and nothing else.
func quotePodman(s string) string { return `"` + s + `"` }

func jsonList(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(list) // strings always encode
	return string(b)
}
