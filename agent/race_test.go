//go:build linux && race

package agent

const raceEnabled = true
