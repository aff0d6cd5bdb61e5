package sinktest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// freeAddress returns an address of this machine that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// listening starts a server and waits until it listens. It ends with the test;
// what it says is told where it does not come up.
func listening(t *testing.T, cmd *exec.Cmd, addr string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() //nolint:errcheck // gone already
		_ = cmd.Wait()         //nolint:errcheck // killed
		log.Close()
	})
	for range 1000 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	why, _ := os.ReadFile(log.Name()) //nolint:errcheck // for the message
	t.Fatalf("%s does not listen: %s", filepath.Base(cmd.Path), why)
}
