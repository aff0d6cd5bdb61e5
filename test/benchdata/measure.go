package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// measure runs a command to its end and appends a line to the file record:
// processor seconds of the user and of the system, peak resident KiB, seconds
// that passed and bytes written to disks, the command's descendants included as
// far as it waited for them. The peak is that of the largest single process, and
// never below this program's own: the kernel carries it over into what is started.
func measure(ctx context.Context, record string, args []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	began := time.Now()
	err := cmd.Run()
	wall := time.Since(began)
	st := cmd.ProcessState
	if st == nil {
		return err
	}
	out, openErr := os.OpenFile(record, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if openErr != nil {
		return openErr
	}
	peak, written := usage(st)
	_, writeErr := fmt.Fprintf(out, "%.3f %.3f %d %.3f %d\n", st.UserTime().Seconds(), st.SystemTime().Seconds(), peak, wall.Seconds(), written)
	return errors.Join(err, writeErr, out.Close())
}
