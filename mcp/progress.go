package mcp

import (
	"context"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// report tells the client now and then that a call is at work, if it asked for
// that, until the returned function is called: many clients then wait longer.
func (c *call) report(ctx context.Context, message func() string) (stop func()) {
	token := c.req.Params.GetProgressToken()
	if token == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(c.srv.progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// A client that is gone shows elsewhere.
			_ = c.req.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{
				ProgressToken: token, Message: message(),
				Progress: seconds(time.Since(c.begun)), Total: seconds(c.srv.opts.AnswerWithin),
			})
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// seconds is a duration for a model.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
