package pocketdock

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
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
}

// Snapshot makes an image, "name" or "name:tag", of the container's files and
// returns the image's ID. Processes and what is in memory or in volumes are
// not part of it; the container's environment is.
func (c *Container) Snapshot(ctx context.Context, image string, opts SnapshotOptions) (string, error) {
	if err := checkNewName(image); err != nil {
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
	repo, tag := splitTag(image)
	q := url.Values{"container": {c.id}, "repo": {repo}, "tag": {tag}, "comment": {opts.Comment},
		"pause": {strconv.FormatBool(!opts.NoPause)}, "changes": changes}
	var out struct {
		ID string `json:"Id"`
	}
	err = c.engine.JSON(ctx, "POST", "/commit", q, struct{}{}, &out)
	if se, ok := errors.AsType[*engine.StatusError](err); ok && strings.Contains(se.Message, "can not pause") {
		// Rootless Podman without cgroup v2 has no freezer: as with NoPause.
		q.Set("pause", "false")
		err = c.engine.JSON(ctx, "POST", "/commit", q, struct{}{}, &out)
	}
	if err == nil && out.ID == "" {
		return "", noID(c.engine, "snapshot container "+c.name)
	}
	return out.ID, c.apiErr(ctx, err, "snapshot")
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
