//go:build linux

// Package clitest runs the scripts that prove the command line of both
// programs (testdata/script/*.txtar). It adds to testscript the words that
// our promises are made of: an exit code, a refusal in one line with a hint,
// output that cannot act on a terminal, JSON that parses, an interrupt at a
// known moment, a user without privileges.
package clitest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// Run runs every script of testdata/script against the programs that the
// test's own TestMain offers.
func Run(t *testing.T) {
	testenv.Tool(t, "setpriv") // a skip inside of a script would not name it
	// Written before the first script starts anything: a program that is started
	// while such a file is open for writing keeps it busy, and it cannot run.
	bin := t.TempDir()
	for name, text := range map[string]string{"unprivileged": unprivileged, "lab": lab} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	setup := func(env *testscript.Env) error { return setup(env, bin) }
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", Setup: setup, RequireExplicitExec: true, RequireUniqueNames: true,
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, errors.New("unknown condition " + cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"refuses":   refuses,
			"readers":   readers,
			"ended":     ended,
			"fakedist":  fakeDist,
			"json":      isJSON,
			"inert":     inert,
			"interrupt": interrupt,
			"onpty":     onPty,
			"rawnames":  rawNames,
			"flip":      flip,
			"fill":      fill,
			"snapshot":  snapshot,
			"unchanged": unchanged,
			"noformula": noFormula,
			"setglob":   setGlob,
		},
	})
}

// unprivileged runs a command as the same user without what root may do
// more: permissions then hold for root, too.
const unprivileged = `#!/bin/sh
[ "$(id -u)" = 0 ] || exec "$@"
exec setpriv --bounding-set=-all --inh-caps=-all -- "$@"
`

// lab makes what most scripts begin with: a key, a case and one exhibit,
// collected from the folder tree of the script.
const lab = `#!/bin/sh
set -e
exhibit key new "$HOME/key" --id alice@lab
exhibit case init case --title "a trial"
cd case
exhibit collect --root ../tree
`

// setup gives each script a home of its own and nothing of the tester's
// environment that the programs heed.
func setup(env *testscript.Env, bin string) error {
	home := filepath.Join(env.WorkDir, ".home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	env.Setenv("HOME", home)
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("TERM", "xterm")
	env.Setenv("TZ", "UTC")
	env.Values[shotsKey] = shots{}
	return nil
}

// code runs a command and returns its exit code.
func code(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%s: %v", args[0], err)
	}
	if exit != nil {
		return exit.ExitCode()
	}
	return 0
}

// exits CODE COMMAND…: the command ends with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := code(ts, args[1:]); got != want {
		ts.Fatalf("%q: exit code %d, want %d", args[1:], got, want)
	}
}

// refuses CODE COMMAND…: the command ends with that code, has no result, and
// says in one line what is wrong and in one more what to do.
func refuses(ts *testscript.TestScript, neg bool, args []string) {
	exits(ts, neg, args)
	refusal(ts, args[1:])
}

// failedLine is all that a refused collector may write to standard output: its
// last line there is its result, whatever becomes of it.
var failedLine = regexp.MustCompile(`^(result: failed exit=[0-9]+ error=.+|\{"result":"failed",.*\})\n$`)

func refusal(ts *testscript.TestScript, args []string) {
	out, said := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	if slices.Contains(args, "exhibit-collector") {
		out = failedLine.ReplaceAllString(out, "")
		if i := strings.Index(said, "\nresult: "); i >= 0 && out == "" { // a bundle would go to standard output
			said = said[:i+1] + failedLine.ReplaceAllString(said[i+1:], "")
		}
	}
	if out != "" {
		ts.Fatalf("%q: a refusal must leave standard output alone, it holds: %s", args, out)
	}
	lines := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "exhibit") || !strings.HasPrefix(lines[1], "hint: ") {
		ts.Fatalf("%q: want one line that says what is wrong and one hint, have:\n%s", args, strings.Join(lines, "\n"))
	}
	checkInert(ts, "stderr")
}

// readerCommands are the commands that read one bundle and refuse what is
// none; BUNDLE stands for it. verify has a verdict instead.
var readerCommands = []string{
	"ls BUNDLE", "cat BUNDLE /etc/hostname", "extract BUNDLE -d extracted", "recover BUNDLE -o recovered.exhibit.tar.zst",
	"--case case custody receive BUNDLE", "--case case timeline build BUNDLE",
}

// readers CODE BUNDLE: every command that reads a bundle refuses this one,
// changes nothing in the case and leaves nothing behind.
func readers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: readers CODE BUNDLE")
	}
	before := contents(ts, ts.MkAbs("case"))
	for _, line := range readerCommands {
		words := append([]string{args[0], "unprivileged", "exhibit"}, strings.Fields(line)...)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "BUNDLE", args[1])
		}
		refuses(ts, false, words)
		for _, left := range []string{"extracted", "recovered.exhibit.tar.zst", "recovered.exhibit.tar.zst.partial"} {
			if _, err := os.Lstat(ts.MkAbs(left)); err == nil {
				ts.Fatalf("%q left %s behind", words, left)
			}
		}
		if diff := difference(before, contents(ts, ts.MkAbs("case"))); diff != "" {
			ts.Fatalf("%q changed the case: %s", words, diff)
		}
	}
}

// setglob NAME PATTERN: the variable NAME becomes the one path that matches.
func setGlob(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setglob NAME PATTERN")
	}
	found, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%s matches %q, want one path", args[1], found)
	}
	ts.Setenv(args[0], found[0])
}
