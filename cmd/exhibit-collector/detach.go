package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// detachedOutput is set for a run in the background: where its bundle goes.
const detachedOutput = "EXHIBIT_DETACHED_OUTPUT"

// detached reports whether this process is the run in the background.
func detached() bool { return os.Getenv(detachedOutput) != "" }

// began is what a run in the background says once it collects, on the pipe to
// who started it.
const began = "began\n"

// startedJSON is what --detach --json prints.
type startedJSON struct {
	Result string `json:"result"`
	PID    int    `json:"pid"`
	Bundle string `json:"bundle"`
	Log    string `json:"log,omitempty"`
	Exit   int    `json:"exit"`
}

func (s startedJSON) print(c *cli.Context) error {
	if c.Bool("json") {
		return command.JSON(c.App.Writer, s)
	}
	if s.Log != "" {
		fmt.Fprintf(c.App.Writer, "It goes on in the background. To see how far it is: exhibit-collector status %s\n", term.Escape(s.Log))
	} else {
		fmt.Fprintf(c.App.Writer, "It goes on in the background, and leaves no log: it has ended when process %d has.\n", s.PID)
	}
	_, err := fmt.Fprintf(c.App.Writer, "result: %s pid=%d bundle=%s log=%s exit=0\n", s.Result, s.PID, quoted(s.Bundle), quoted(s.Log))
	return err
}

func statusCommand(r *result) *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "say how far a run in the background is", ArgsUsage: "LOG",
		Description: "Example:\n   ./exhibit-collector status host.exhibit.tar.zst.log\n\n" +
			"The exit code is that of the run once it has ended, 0 while it goes on, 1 where it was killed.",
		Action: func(c *cli.Context) error {
			r.other = true
			return status(c)
		},
	}
}

// statusJSON is what status --json prints.
type statusJSON struct {
	State  string          `json:"state"`            // running, ended, killed
	Last   string          `json:"last,omitempty"`   // line of the log
	Result json.RawMessage `json:"result,omitempty"` // of a run with --json
	Exit   int             `json:"exit"`
}

// maxLogTail bounds how much of a log is looked at: its last lines say it.
const maxLogTail = 1 << 20

func status(c *cli.Context) error {
	if c.NArg() != 1 {
		return command.Failf(command.Usage, "see: exhibit-collector status --help", "status needs the log of one run")
	}
	f, err := os.Open(c.Args().First())
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return command.Failf(command.Failure, "give the file that --detach named", "%s is no log", c.Args().First())
	}
	s := statusJSON{State: "killed", Exit: command.Failure}
	running, err := held(f)
	if err != nil {
		return err
	}
	if err := s.read(io.NewSectionReader(f, max(st.Size()-maxLogTail, 0), maxLogTail)); err != nil {
		return err
	}
	if running && s.State != "ended" {
		s.State, s.Exit = "running", command.OK
	}
	if c.Bool("json") {
		if err := command.JSON(c.App.Writer, s); err != nil {
			return err
		}
		return command.Exit(s.Exit)
	}
	fmt.Fprintf(c.App.Writer, "%-8s %s\n", s.State, term.Escape(s.Last))
	return command.Exit(s.Exit)
}

// read takes in the end of a log.
func (s *statusJSON) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLogTail)
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			continue
		}
		s.Last = line
		var end struct {
			Result string `json:"result"`
			Exit   int    `json:"exit"`
		}
		switch {
		case strings.HasPrefix(line, "result: "):
			for word := range strings.FieldsSeq(line) {
				if _, err := fmt.Sscanf(word, "exit=%d", &end.Exit); err == nil {
					s.State, s.Exit = "ended", end.Exit
				}
			}
		case strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &end) == nil && end.Result != "":
			s.State, s.Exit, s.Result, s.Last = "ended", end.Exit, json.RawMessage(line), ""
		}
	}
	return lines.Err()
}
