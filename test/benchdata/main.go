// Command benchdata writes the input of scripts/bench-peers.sh: made-up
// evidence of a chosen size, in the formats of the real thing. The same
// arguments give the same bytes on every machine, so that figures measured at
// different times and places are about the same work.
//
//	benchdata tree DIR       logs, configuration, programs and a sparse lastlog: 95,163 names
//	benchdata syslog N       N bytes of syslog text
//	benchdata journal N      N entries in journald's export format, for systemd-journal-remote
//	benchdata audit N        N lines of an auditd log
//	benchdata wtmp N         N records of utmp
//	benchdata walk N DIR     the same N files as DIR/walk.jsonl and DIR/body
//	benchdata pcap N         N packets
//	benchdata events N DIR   logs and a walk that give about N events
//	benchdata bundle OUT PATH=FILE...   a sealed bundle of files; a PATH without
//	                         a leading slash is a record set of the collector
//
// and measures:
//
//	benchdata parse BUNDLE   reads a bundle with every parser and keeps nothing
//	benchdata verify BUNDLE  verifies a bundle, as the programs do
//	benchdata measure FILE COMMAND...   appends a command's "user system KiB wall written" to FILE
//	benchdata same A B       whether two files, sparse ones too, have the same bytes
//
// What has no DIR goes to standard output.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"time"
)

func main() {
	err := run(context.Background(), os.Args[1:], os.Stdout)
	var exit *exec.ExitError
	if errors.As(err, &exit) { // the command that was measured has said why
		os.Exit(max(exit.ExitCode(), 1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchdata:", err)
		os.Exit(1)
	}
}

// start is the first moment of all records.
var start = time.Date(2026, 3, 14, 0, 0, 0, 0, time.UTC)

var errUsage = errors.New("usage: benchdata tree DIR | syslog N | journal N | audit N | wtmp N | walk N DIR | pcap N | events N DIR | bundle OUT PATH=FILE... | measure FILE COMMAND... | same A B | parse BUNDLE | verify BUNDLE")

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) < 2 {
		return errUsage
	}
	switch args[0] {
	case "tree":
		return tree(args[1])
	case "bundle":
		return seal(ctx, args[1], args[2:])
	case "parse":
		return parse(ctx, args[1], stdout)
	case "verify":
		return verify(ctx, args[1], stdout)
	case "same":
		if len(args) != 3 {
			return errUsage
		}
		return same(args[1], args[2])
	case "measure":
		if len(args) < 3 {
			return errUsage
		}
		return measure(ctx, args[1], args[2:])
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || n < 0 {
		return fmt.Errorf("%w: %q is no count", errUsage, args[1])
	}
	switch {
	case args[0] == "walk" && len(args) == 3:
		return walk(n, args[2])
	case args[0] == "events" && len(args) == 3:
		return manyEvents(n, args[2])
	}
	write := map[string]func(*bufio.Writer, int) error{
		"syslog": syslogText, "journal": journalExport, "audit": auditLog, "wtmp": wtmp, "pcap": packets,
	}[args[0]]
	if write == nil {
		return errUsage
	}
	out := bufio.NewWriterSize(stdout, 1<<20)
	if err := write(out, n); err != nil {
		return fmt.Errorf("write %s: %w", args[0], err)
	}
	return out.Flush()
}

// random returns the numbers of one kind of data.
func random(kind uint64) *rand.Rand { return rand.New(rand.NewPCG(2026, kind)) }

// toFile writes one file through a buffer.
func toFile(path string, write func(*bufio.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	return errors.Join(write(out), out.Flush(), f.Close())
}
