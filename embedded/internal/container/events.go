//go:build linux

package container

import (
	"maps"
	"path/filepath"

	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

// EventsFile is where events of all containers are.
func (s *Store) EventsFile() string { return filepath.Join(s.Dir, "events") }

func (c *Container) event() *monitor.Event {
	attributes := maps.Clone(c.Config.Labels)
	if attributes == nil {
		attributes = map[string]string{}
	}
	attributes["name"], attributes["image"] = c.Name, c.Config.Image
	return &monitor.Event{ID: c.ID, Attributes: attributes}
}

// Tell records what was done to a container. Its start and its end its monitor
// records.
func (s *Store) Tell(c *Container, action string, more map[string]string) {
	c.event().Tell(s.EventsFile(), action, more)
}
