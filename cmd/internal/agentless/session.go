package agentless

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
)

// Errors of Run. Before anything of a bundle came, ErrConnect and ErrHost leave
// nothing to be kept; ErrCut leaves what came until then.
var (
	ErrConnect = errors.New("no connection")
	ErrHost    = errors.New("the host cannot run the collector")
	ErrCut     = errors.New("the connection ended before the bundle did")
)

// Options say how a host is collected.
type Options struct {
	SSH      string   // program; "": ssh
	SSHArgs  []string // its options, before the host
	Batch    bool     // ask nobody for anything
	Sudo     bool     // become root
	Password func() (string, error)
	Disk     bool          // use a disk where there is no room in memory
	Stall    time.Duration // give up when nothing comes for so long; 0: never

	// Args returns the arguments of the collector, once the host has answered.
	Args func() ([]string, error)
	// Program returns the collector for a system and a machine, as uname calls
	// them.
	Program func(system, machine string) ([]byte, error)
	// Attend answers the collector's request for a signature with a line.
	Attend func(key []byte) ([]byte, error)

	Out  io.Writer         // gets the bundle
	Say  func(string)      // gets other lines that the host writes
	Step func(step string) // is told how far it is
}

// Result is what a run was.
type Result struct {
	Connection
	System  string `json:"system"`
	Machine string `json:"machine"`
	UID     string `json:"uid"`
	Place   string `json:"place"` // "memory /dev/shm": where the collector lay before it ran
	Exit    int    `json:"exit"`
	Bytes   int64  `json:"bytes"`
	Summary []byte `json:"-"` // the collector's own, JSON
}

// Bounds of what a host may say.
const (
	maxLine    = 256 << 10
	maxKeyLine = 4 << 10
)

// session is one connection.
type session struct {
	opt   Options
	res   *Result
	in    io.WriteCloser
	line  []byte
	last  string // other line that came last
	asked bool   // for a signature
	state int
	alive atomic.Int64 // when something came last, Unix nanoseconds
	err   error
}

// How far the remote shell is.
const (
	connecting = iota
	ready
	sized
	sending
	started
)

// Run collects a host. Whatever came of the bundle until an error has been
// written to Out. When ctx ends the host is told to seal what it has; Run goes
// on until it did.
func Run(ctx context.Context, t Target, opt Options) (*Result, error) {
	dir, err := os.MkdirTemp("", "exhibit-ssh-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	log := filepath.Join(dir, "log")
	s := &session{opt: opt, res: &Result{}}
	if err := s.run(ctx, t, log); err != nil {
		return s.res, fmt.Errorf("collect %s: %w", t, err)
	}
	return s.res, nil
}

// arguments are those of the ssh program.
func (s *session) arguments(t Target, log string) []string {
	args := []string{"-T", "-v", "-E", log, "-o", "ForwardAgent=no", "-o", "ClearAllForwardings=yes", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4", "-o", "ConnectTimeout=30"}
	if s.opt.Batch {
		args = append(args, "-o", "BatchMode=yes")
	}
	// ssh takes the first value of an option: those of the caller win.
	args = append(append([]string{}, s.opt.SSHArgs...), args...)
	if t.User != "" {
		args = append(args, "-l", t.User)
	}
	if t.Port != 0 {
		args = append(args, "-p", strconv.Itoa(t.Port))
	}
	return append(args, "--", t.Host, command(s.opt.Sudo))
}

func (s *session) run(ctx context.Context, t Target, log string) error {
	name := s.opt.SSH
	if name == "" {
		name = "ssh"
	}
	cmd := exec.Command(name, s.arguments(t, log)...) //nolint:gosec // the user's own ssh; names are checked by ParseTarget
	var err error
	if s.in, err = cmd.StdinPipe(); err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	front := apart(cmd, !s.opt.Batch)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", ErrConnect, err)
	}
	s.touch()
	s.step("connecting")
	over := make(chan struct{})
	go s.watch(ctx, cmd, over)
	copied := make(chan error, 1)
	go func() {
		err := s.copyBundle(stdout)
		if err != nil {
			_ = cmd.Process.Kill() //nolint:errcheck // nobody takes what it would send
		}
		copied <- err
	}()
	err = s.listen(stderr, front)
	if err != nil {
		_ = cmd.Process.Kill() //nolint:errcheck // it may have ended already
	}
	if e := <-copied; err == nil {
		err = e
	}
	waited := cmd.Wait()
	close(over)
	front()
	s.res.Exit = cmd.ProcessState.ExitCode()
	if f, err := os.Open(log); err == nil {
		s.res.Connection = readLog(f)
		f.Close()
	}
	if s.err != nil {
		return s.err
	}
	if err != nil {
		return err
	}
	// ssh ends with 255 when it was ssh that failed, and with the status of what
	// it ran otherwise.
	lost := s.res.Exit < 0 || s.res.Exit == 255
	switch why := s.why(orEOF(waited)); {
	case s.state == connecting && lost:
		return fmt.Errorf("%w: %w", ErrConnect, why)
	case s.state < started:
		return fmt.Errorf("%w: %w", ErrHost, why)
	case lost:
		return fmt.Errorf("%w: %w", ErrCut, why)
	}
	return nil
}

// why finds the reason that helps most: ssh's own, or what the host said last.
func (s *session) why(err error) error {
	switch {
	case s.res.failure != "":
		return errors.New(s.res.failure)
	case s.last != "" && s.state < started:
		return errors.New(s.last)
	}
	return err
}

func orEOF(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// watch ends what does not end by itself.
func (s *session) watch(ctx context.Context, cmd *exec.Cmd, over chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	done := ctx.Done()
	for {
		select {
		case <-over:
			return
		case <-done:
			done = nil
			// The collector takes the end of its input for a wish to end.
			_ = s.in.Close() //nolint:errcheck // the connection may be gone
		case <-tick.C:
			if s.opt.Stall > 0 && time.Since(time.Unix(0, s.alive.Load())) > s.opt.Stall {
				_ = cmd.Process.Kill() //nolint:errcheck // it may have ended already
			}
		}
	}
}

func (s *session) touch() { s.alive.Store(time.Now().UnixNano()) }

func (s *session) step(what string) {
	if s.opt.Step != nil {
		s.opt.Step(what)
	}
}

func (s *session) copyBundle(r io.Reader) error {
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			s.touch()
			s.res.Bytes += int64(n)
			if _, err := s.opt.Out.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// listen follows what the host says until it says no more.
func (s *session) listen(r io.Reader, authenticated func()) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			if b == '\n' {
				line := strings.TrimRight(string(s.line), "\r")
				s.line = s.line[:0]
				if err := s.said(line, authenticated); err != nil {
					return err
				}
				continue
			}
			if len(s.line) < maxLine {
				s.line = append(s.line, b)
			}
			if s.state == connecting && bytes.HasSuffix(s.line, []byte(passwordPrompt)) {
				s.line = s.line[:0]
				if err := s.password(); err != nil {
					return err
				}
			}
		}
		if n > 0 {
			s.touch()
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// password answers sudo, once: it would take a second answer for the script.
func (s *session) password() error {
	if s.opt.Password == nil {
		return fmt.Errorf("%w: sudo wants a password there: --sudo-password-file FILE", ErrHost)
	}
	text, err := s.opt.Password()
	s.opt.Password = nil
	if err != nil {
		return err
	}
	return s.send([]byte(text + "\n"))
}

func (s *session) send(b []byte) error {
	if _, err := s.in.Write(b); err != nil {
		return fmt.Errorf("%w: %w", ErrCut, err)
	}
	return nil
}

// said takes one line from the host.
func (s *session) said(line string, authenticated func()) error {
	word, rest, ok := strings.Cut(line, marker)
	if !ok || word != "" || s.state == started {
		return s.other(line)
	}
	verb, rest, _ := strings.Cut(rest, " ")
	switch {
	case verb == "ready" && s.state == connecting:
		s.state = ready
		authenticated()
		s.step("looking for room")
		args, err := s.opt.Args()
		if err != nil {
			return err
		}
		text := remoteScript(args, s.opt.Disk)
		return s.send(fmt.Appendf(nil, "%d\n%s", len(text), text))
	case verb == "system" && s.state == ready:
		s.state = sized
		return s.chosen(strings.Fields(rest))
	case verb == "send" && s.state == sized:
		s.state, s.res.Place = sending, rest
		s.step("sending the collector")
		program, err := s.opt.Program(s.res.System, s.res.Machine)
		if err != nil {
			return err
		}
		return s.send(program)
	case verb == "start" && s.state == sending:
		s.state = started
		s.step("collecting")
		return nil
	case verb == "nowhere":
		s.err = fmt.Errorf("%w: no file system in memory from which programs may be run; --allow-disk takes a disk", ErrHost)
	case verb == "full":
		s.err = fmt.Errorf("%w: no room for it in %s", ErrHost, rest)
	default:
		return s.other(line)
	}
	return nil
}

// chosen picks the program for the host and announces its size.
func (s *session) chosen(fields []string) error {
	if len(fields) != 3 {
		return fmt.Errorf("%w: uname says %q", ErrHost, strings.Join(fields, " "))
	}
	s.res.System, s.res.Machine, s.res.UID = fields[0], fields[1], fields[2]
	program, err := s.opt.Program(s.res.System, s.res.Machine)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHost, err)
	}
	return s.send(fmt.Appendf(nil, "%d\n", len(program)))
}

// other takes a line that is not the remote shell's.
func (s *session) other(line string) error {
	if key, ok := strings.CutPrefix(line, gathering.AttendPrefix); ok && s.state == started && !s.asked && s.opt.Attend != nil && len(key) < maxKeyLine {
		s.asked = true
		answer, err := s.opt.Attend([]byte(key))
		if err != nil {
			return err
		}
		return s.send(append(answer, '\n'))
	}
	if s.state == started && strings.HasPrefix(line, "{") {
		s.res.Summary = []byte(line)
		return nil
	}
	if line == "" || strings.HasPrefix(line, "debug") || strings.HasPrefix(line, "OpenSSH_") {
		return nil
	}
	s.last = line
	if s.opt.Say != nil {
		s.opt.Say(line)
	}
	return nil
}
