//go:build !race

package pocketdock_test

const raceEnabled = false
