//go:build linux

package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

// events tells what happened to containers since a time, and what happens
// until another or until the client goes.
func (s *Server) events(w http.ResponseWriter, r *http.Request, _ string) error {
	q := r.URL.Query()
	f, err := filters(r)
	if err != nil {
		return err
	}
	since, err := instant(q.Get("since"))
	if err != nil {
		return err
	}
	until, err := instant(q.Get("until"))
	if err != nil {
		return err
	}
	list, err := monitor.OpenEvents(s.Store.EventsFile(), !since.IsZero())
	if err != nil {
		return err
	}
	defer list.Close()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	for {
		over := !until.IsZero() && time.Now().After(until) // then all is written
		http.NewResponseController(w).Flush()
		for {
			e, err := list.Next()
			if err != nil {
				return errSent
			}
			if e == nil {
				break
			}
			at := time.Unix(0, e.Time)
			if at.Before(since) || !until.IsZero() && at.After(until) || !told(f, e) {
				continue
			}
			actor := map[string]any{"ID": e.ID, "Attributes": e.Attributes}
			err = json.NewEncoder(w).Encode(map[string]any{"status": e.Action, "id": e.ID, "from": e.Attributes["image"], "Type": "container", "Action": e.Action,
				"Actor": actor, "scope": "local", "time": at.Unix(), "timeNano": e.Time})
			if err != nil {
				return errSent
			}
		}
		if over {
			return nil
		}
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return errSent
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// told reports whether the filters select an event.
func told(f map[string][]string, e *monitor.Event) bool {
	any := func(key string, ok func(string) bool) bool {
		return len(f[key]) == 0 || slices.ContainsFunc(f[key], ok)
	}
	for _, l := range f["label"] {
		k, v, hasValue := strings.Cut(l, "=")
		if got, ok := e.Attributes[k]; !ok || hasValue && got != v {
			return false
		}
	}
	return any("type", func(v string) bool { return v == "container" }) &&
		any("event", func(v string) bool { return v == e.Action }) &&
		any("container", func(v string) bool { return v == e.Attributes["name"] || v != "" && strings.HasPrefix(e.ID, v) }) &&
		any("image", func(v string) bool { return v == e.Attributes["image"] })
}
