package pocketdock

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// answerTime is how long the engine may take to answer once the caller has
// given up: it makes the container all the same, and only then can it be removed.
const answerTime = 5 * time.Second

// An unheardError says that a container may be made after all.
type unheardError struct {
	name string
	at   time.Time
}

// old: nor will it be made any more.
func (e *unheardError) old() bool { return time.Since(e.at) > buried }

func (e *unheardError) Error() string {
	return fmt.Sprintf("the engine did not tell whether it makes container %s; if it does, the next sweep removes it", e.name)
}

func (n *creation) undo(ctx context.Context) error {
	if n.made != nil {
		return n.made.Destroy(ctx)
	}
	if n.asked {
		// The answer was lost: whether the container exists is not known. It
		// is ours if it carries our directory.
		in, err := inspect(ctx, n.engine, n.opts.Name)
		if err == nil && in.Config.Labels[labelDataPath] == string(n.box) {
			box, err := n.client.container(n.engine, in)
			if err != nil {
				return err
			}
			return box.Destroy(ctx)
		}
		var unheard error
		if n.unheard {
			unheard = &unheardError{n.opts.Name, time.Now()}
		}
		if err != nil && !errors.Is(err, ErrContainerNotFound) {
			return unheard // the record stays: a sweep asks again
		}
		dir, err := n.client.stateDir()
		if err != nil {
			return errors.Join(unheard, err)
		}
		return errors.Join(unheard, dir.Bury(n.box)) // the engine may still make it
	}
	if n.box != "" {
		return n.box.Remove()
	}
	return nil
}
