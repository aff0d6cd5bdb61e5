package gathering

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

var errHangup = errors.New("the terminal was hung up")

// untilHangup returns a context that SIGHUP cancels as well: a connection to
// the host that breaks must not cost what was collected until then. A program
// that was started to survive it (nohup) still does.
func untilHangup(parent context.Context) (context.Context, func()) {
	if signal.Ignored(syscall.SIGHUP) {
		return parent, func() {}
	}
	ctx, cancel := context.WithCancelCause(parent)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGHUP)
	go func() {
		if _, ok := <-ch; ok {
			cancel(errHangup)
		}
	}()
	return ctx, func() {
		signal.Stop(ch)
		close(ch)
		cancel(nil)
	}
}
