package pocketdock_test

import (
	"fmt"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// BenchmarkSession is one command in a session that is open, and what a client
// without one does: a shell per command.
func BenchmarkSession(b *testing.B) {
	benchEach(b, agentWays, func(b *testing.B, box *pocketdock.Container) {
		s, err := box.OpenSession(b.Context(), pocketdock.Command{})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close(b.Context())
		b.Run("send-and-wait", func(b *testing.B) {
			each(b, func() error {
				res, err := s.SendAndWait(b.Context(), "true", pocketdock.SendOptions{})
				if err == nil && !res.OK() {
					err = fmt.Errorf("exit code %d", res.ExitCode)
				}
				return err
			})
		})
		b.Run("shell-per-command", func(b *testing.B) {
			each(b, func() error { return second(box.Run(b.Context(), pocketdock.Shell("true"))) })
		})
	})
}
