package main

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/agentless"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// remoteFlags are those of collecting over SSH.
func remoteFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "hosts", Usage: "ssh: collect every host that `FILE` names, one a line"},
		&cli.IntFlag{Name: "parallel", Value: 8, Usage: "ssh: at most `N` hosts at a time"},
		&cli.IntFlag{Name: "retries", Value: 2, Usage: "ssh: try `N` times more where no connection came about"},
		&cli.StringFlag{Name: "jump", Usage: "ssh: go by way of `HOST`, or several with commas"},
		&cli.StringSliceFlag{Name: "ssh-option", Usage: "ssh: pass on `NAME=VALUE` as in ssh_config, for example IdentityFile=key"},
		&cli.StringFlag{Name: "ssh-config", Usage: "ssh: use this ssh_config `FILE`, for jump hosts, too"},
		&cli.BoolFlag{Name: "sudo", Usage: "ssh: become root with sudo"},
		&cli.StringFlag{Name: "sudo-password-file", Usage: "ssh: what sudo is answered stands in `FILE`", EnvVars: []string{"EXHIBIT_SUDO_PASSWORD_FILE"}},
		&cli.StringFlag{Name: "collector", Usage: "ssh: send this exhibit-collector, or the right one of the folder `PATH`", DefaultText: "the one beside this program"},
		&cli.BoolFlag{Name: "allow-disk", Usage: "ssh: let the collector lie on a disk for a moment where there is no room in memory"},
		&cli.DurationFlag{Name: "stall", Value: 15 * time.Minute, Usage: "ssh: give a host up when nothing came from it for `TIME`"},
	}
}

// fleet is a run over hosts.
type fleet struct {
	c        *cli.Context
	cs       *chainofcustody.Case // nil: one host, into a file
	id       *chainofcustody.Identity
	signers  chainofcustody.AllowedSigners
	to       []envelope.Recipient
	options  agentless.Options
	password string
	alone    string // file of a host outside of a case

	programs map[string][]byte // by path
	mu       sync.Mutex        // of the case, the key, the programs and what is printed
	board    *board
}

// targets are the hosts that arguments and --hosts name; none: this machine.
func targets(c *cli.Context) ([]agentless.Target, error) {
	var list []agentless.Target
	for _, arg := range c.Args().Slice() {
		if !strings.HasPrefix(arg, agentless.Scheme) {
			return nil, command.Failf(command.Usage, "see: exhibit collect --help", "collect takes hosts as ssh://[USER@]HOST[:PORT], got %q", arg)
		}
		t, err := agentless.ParseTarget(arg)
		if err != nil {
			return nil, command.Fail(command.Usage, "see: exhibit collect --help", err)
		}
		list = append(list, t)
	}
	path := c.String("hosts")
	if path == "" {
		return list, nil
	}
	if len(list) > 0 {
		return nil, command.Failf(command.Usage, "put all of them into the file", "hosts are named both by --hosts and as arguments")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if list, err = agentless.ParseHosts(f); err != nil {
		return nil, command.Fail(command.Failure, "one host a line: [USER@]HOST[:PORT]", fmt.Errorf("%s: %w", path, err))
	}
	return list, nil
}

// keptHere are the flags of collecting that say nothing to the host.
var keptHere = map[string]bool{
	"output": true, "root": true, "order": true, "outside-order": true, "recipient": true, "recipients-file": true, "authority": true, "continues": true,
	// files of this machine, and where a bundle goes from the machine that makes it
	"definitions": true, "artifact": true, "capture-filter-ddd": true, "allow-evidence-volume": true,
	"fallback": true, "patience": true, "known-hosts": true, "server-key": true, "client-key": true, "receipt": true,
	"header-file": true, "put-parts": true, "ca": true, "s3-endpoint": true, "s3-region": true,
}

// passedOn are the flags of collecting as the collector is given them there.
func passedOn(c *cli.Context) []string {
	var args []string
	for _, f := range gathering.Flags() {
		name := f.Names()[0]
		if keptHere[name] || !c.IsSet(name) {
			continue
		}
		switch f.(type) {
		case *cli.BoolFlag:
			args = append(args, fmt.Sprintf("--%s=%t", name, c.Bool(name)))
		case *cli.StringSliceFlag:
			for _, v := range c.StringSlice(name) {
				args = append(args, "--"+name+"="+v)
			}
		default:
			args = append(args, fmt.Sprintf("--%s=%v", name, c.Value(name)))
		}
	}
	return args
}

// checkRemote refuses what cannot be done over SSH.
func checkRemote(c *cli.Context, hosts int) error {
	if _, err := gathering.Select(c); err != nil {
		return err
	}
	if _, err := gathering.ParseSize(c.String("max-file-size")); err != nil {
		return err
	}
	for _, name := range []string{"root", "order", "outside-order", "continues", "split", "capture-filter-ddd", "definitions", "artifact", "fallback", "receipt", "put-parts", "header-file"} {
		if c.IsSet(name) {
			return command.Failf(command.Usage, "run exhibit-collector on the host for that", "--%s is not for hosts that are collected over SSH", name)
		}
	}
	switch {
	case c.String("output") == "-":
		return command.Failf(command.Usage, "name a file: -o FILE", "a bundle from another host is verified before it has its name: it does not go to standard output")
	case sink.IsURL(c.String("output")):
		return command.Failf(command.Usage, "name a file: -o FILE", "a bundle from another host is verified here: it is not sent on to %s", c.String("output"))
	case c.String("output") != "" && hosts > 1:
		return command.Failf(command.Usage, "collect them inside a case: each becomes an exhibit there", "-o is for one host, %d are named", hosts)
	case c.Int("parallel") < 1 || c.Int("retries") < 0:
		return command.Failf(command.Usage, "see: exhibit collect --help", "--parallel is at least 1, --retries at least 0")
	}
	return nil
}

// collectHosts collects over SSH: in a case each host becomes an exhibit with a
// custody log of its own, outside of one a single host becomes a file.
func collectHosts(c *cli.Context, hosts []agentless.Target) error {
	if err := checkRemote(c, len(hosts)); err != nil {
		return err
	}
	f := &fleet{c: c, alone: c.String("output"), programs: map[string][]byte{}}
	var err error
	if f.to, err = recipients(c); err != nil {
		return err
	}
	if f.alone == "" {
		if f.cs, err = openCase(c); err != nil {
			return err
		}
		if f.id, err = signerFor(c, f.cs); err != nil {
			return err
		}
		if f.signers, err = f.cs.Signers(); err != nil {
			return err
		}
	} else if f.id, err = identity(c); err != nil {
		f.id = nil // the run is unattended then
	}
	if path := c.String("sudo-password-file"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f.password, _, _ = strings.Cut(string(b), "\n")
	}
	if _, err := f.collector("Linux", "x86_64"); err != nil && c.IsSet("collector") {
		if _, armed := f.collector("Linux", "aarch64"); armed != nil {
			return err // before any host is spoken to
		}
	}
	f.options = agentless.Options{Sudo: c.Bool("sudo"), Disk: c.Bool("allow-disk"), Stall: c.Duration("stall"), Batch: len(hosts) > 1 || c.Bool("json"), Program: f.collector}
	if path := c.String("ssh-config"); path != "" {
		f.options.SSHArgs = append(f.options.SSHArgs, "-F", path)
	}
	if jump := c.String("jump"); jump != "" {
		f.options.SSHArgs = append(f.options.SSHArgs, "-o", "ProxyJump="+jump)
	}
	for _, o := range c.StringSlice("ssh-option") {
		f.options.SSHArgs = append(f.options.SSHArgs, "-o", o)
	}
	return f.run(hosts)
}

// run collects the hosts, at most --parallel at a time.
func (f *fleet) run(hosts []agentless.Target) error {
	f.board = newBoard(f.c, hosts)
	next := make(chan int)
	var wait sync.WaitGroup
	for range min(f.c.Int("parallel"), len(hosts)) {
		wait.Go(func() {
			for i := range next {
				f.host(f.board.rows[i], hosts[i])
				f.board.settled(f.board.rows[i])
			}
		})
	}
	for i := range hosts {
		if f.c.Context.Err() != nil {
			f.board.rows[i].set("not begun")
			f.board.rows[i].fail(context.Cause(f.c.Context))
			f.board.settled(f.board.rows[i])
			continue
		}
		next <- i
	}
	close(next)
	wait.Wait()
	return f.board.end()
}

// host collects one host, again where no connection came about.
func (f *fleet) host(row *row, t agentless.Target) {
	for try := 0; ; try++ {
		err := f.attempt(row, t)
		if err == nil {
			return
		}
		again := errors.Is(err, agentless.ErrConnect) && try < f.c.Int("retries") && f.c.Context.Err() == nil
		if !again {
			row.fail(err)
			return
		}
		row.set(fmt.Sprintf("waiting, then try %d", try+2))
		select {
		case <-time.After(time.Duration(1<<min(try, 5)) * time.Second):
		case <-f.c.Context.Done():
		}
	}
}

// collector reads the program for a host: the one that was named, or lies
// beside ours.
func (f *fleet) collector(system, machine string) ([]byte, error) {
	arch := map[string]string{"x86_64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386", "armv6l": "arm", "armv7l": "arm"}[machine]
	want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "386": elf.EM_386, "arm": elf.EM_ARM}
	if system != "Linux" || arch == "" {
		return nil, fmt.Errorf("there is no collector for %s %s", term.Escape(system), term.Escape(machine))
	}
	path := f.c.String("collector")
	if path == "" {
		own, err := os.Executable()
		if err != nil {
			return nil, err
		}
		path = filepath.Dir(own)
	}
	tried := []string{path}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		tried = []string{filepath.Join(path, "exhibit-collector-linux-"+arch), filepath.Join(path, "exhibit-collector")}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range tried {
		b, known := f.programs[name]
		if !known {
			var err error
			if b, err = os.ReadFile(name); err != nil {
				continue
			}
			f.programs[name] = b
		}
		file, err := elf.NewFile(bytes.NewReader(b))
		if err == nil && file.Machine == want[arch] {
			return b, nil
		}
	}
	return nil, command.Failf(command.Failure, "make dist builds them for every machine; --collector names the file or the folder",
		"no exhibit-collector for Linux %s: tried %s", term.Escape(machine), strings.Join(tried, ", "))
}

// digestOf is the SHA-256 of the collector that a host was sent.
func (f *fleet) digestOf(res *agentless.Result) evidence.Digest {
	b, err := f.collector(res.System, res.Machine)
	if err != nil {
		return evidence.Digest{}
	}
	return evidence.Sum(b)
}
