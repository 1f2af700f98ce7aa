package state

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// A Record says whose a container's directory is. It is what is believed about
// a container: the engine's labels are anybody's text.
type Record struct {
	// Owner is the program that the container belongs to, Machine the machine
	// that the owner is a process of: a home directory may be on several.
	Owner, Machine string
	// Engine is the path of the socket of the engine that has the container.
	Engine string
	// Name that the container is created under.
	Name string
	// ID of the container, once it was handed to who wanted it. Without one,
	// its creation is under way or was never finished.
	ID string `json:",omitempty"`
	// Persist: the container does not end with its owner.
	Persist bool `json:",omitempty"`
	// Resident: the container is somebody else's, an agent was put into it.
	Resident bool `json:",omitempty"`
	// Program is the SHA-256 of the mounted agent, Arch the processor that it
	// is for; empty for one that was copied in.
	Program, Arch string `json:",omitempty"`
	// Replaces is the ID of the container in whose place this one came.
	Replaces string `json:",omitempty"`
	// Aside is set while another container takes the place of this one.
	Aside *Aside `json:",omitempty"`
}

// An Aside is a container that is to be replaced: it waits under another name.
type Aside struct {
	Name  string // that it had, and the new one gets
	Owner string // the program that replaces it
}

// Nobody is the owner of what outlives every program.
const Nobody = "none"

const (
	recordName = "owner"
	// maxRecord bounds a record, in bytes. Paths have at most 4096.
	maxRecord = 64 << 10
)

func (b Box) recordFile() string { return filepath.Join(string(b), recordName) }

// SetRecord writes the record, whole or not at all. That of a container that
// is meant to last is on the disk when this returns.
func (b Box) SetRecord(r Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return b.writeFile(recordName, text, r.Persist || r.Owner == Nobody, os.Rename)
}

// Record reads the record.
func (b Box) Record() (*Record, error) { return readRecord(b.recordFile()) }

func readRecord(path string) (*Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return nil, err
	}
	r := &Record{}
	if err := json.Unmarshal(text, r); err != nil || r.Owner == "" {
		return nil, fmt.Errorf("%s is damaged: %d bytes, %v", path, len(text), err)
	}
	return r, nil
}

// Step is called between the steps of making and removing a container, with
// the name of the one that was done. Tests end the program there.
var Step = func(string) {}
