package parsers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// atJob reads a job that at, or batch, has yet to run. Its file's name is a
// letter for the queue ("=" while it runs), five hexadecimal digits of its
// number and eight of the time when it is due, in minutes since 1970. Two
// events: the job at the time it is due, and at the last write of the file,
// of kind state, which is when it was given. cmdline is what it runs behind
// the preamble that restores environment and folder, user and uid are from the
// line "# atrun uid=…". Attributes: queue, job.
//
// Format: at, at.c (writefile) and atd.c.
var atJob = register(analyze.Parser{
	Name:    "at_job",
	Doc:     "jobs of at and batch that have yet to run",
	Version: 1,
	Family:  "state",
	Types:   []string{"linux:at:job"},
	Match: func(it *evidence.Item, head []byte) bool {
		_, ok := atName(it.Path)
		return ok && bytes.HasPrefix(head, []byte("#!/bin/sh\n# atrun uid="))
	},
	Parse: parseAtJob,
})

// atDue is what the name of a job's file states.
type atDue struct {
	queue        string
	job, minutes int64
}

func atName(path string) (d atDue, ok bool) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	if len(name) != 14 {
		return d, false
	}
	job, err1 := strconv.ParseInt(name[1:6], 16, 64)
	minutes, err2 := strconv.ParseInt(name[6:], 16, 64)
	c := name[0]
	return atDue{name[:1], job, minutes}, errors.Join(err1, err2) == nil && (c == '=' || c|0x20 >= 'a' && c|0x20 <= 'z')
}

// atMax bounds a job.
const atMax = 1 << 20

func parseAtJob(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	b, err := io.ReadAll(io.LimitReader(src, atMax+1))
	if err != nil && len(b) == 0 {
		return err
	}
	if len(b) > atMax {
		out.Problem(evidence.TooBig, atMax, -1, "the job is longer than is read")
		b = b[:atMax]
	}
	if len(b) == 0 {
		return nil
	}
	due, ok := atName(src.Item.Path)
	if !ok {
		out.Problem(evidence.Undated, -1, -1, "the file's name is not that of a job")
	}
	command, ok := atCommand(b)
	if !ok {
		out.Problem(evidence.Truncated, int64(len(b)), -1, "the job ends inside its preamble")
	}
	f := newStateFile(src, out, "linux:at:job", "at job", authmsg.Process)
	for _, planned := range []bool{true, false} {
		ev := f.event(0, int64(len(b)), 1, "scheduled-job-state")
		if planned {
			ev.TSDesc, ev.TSKind = "Scheduled Time", timeline.Recorded
			ev.TSState, ev.TS, ev.TSPrec, ev.TZSrc = timeline.TimeNone, timeline.None, "", ""
			if setEpoch(ev, due.minutes*60, 1); ev.TSState == timeline.TimeOK {
				ev.TSPrec = timeline.Minute
			}
		}
		if _, after, ok := bytes.Cut(b, []byte("# atrun uid=")); ok {
			uid, _, _ := bytes.Cut(after[:min(len(after), 16)], []byte(" "))
			if setInt(&ev.UID, uid) {
				ev.User = userName(src.Host, ev.UID)
			}
		}
		ev.Cmdline = out.Text(cutText(command))
		ev.Message = out.Join("at job ", out.Int(due.job), ": ", ev.Cmdline)
		out.AttrStr("queue", due.queue)
		out.AttrInt("job", due.job)
	}
	return nil
}

// atCommand returns what follows the preamble, whose last line is "}" behind
// the check that the folder is there.
func atCommand(b []byte) (command []byte, ok bool) {
	i := bytes.Index(b, []byte("\ncd "))
	if i < 0 {
		return nil, false
	}
	end := bytes.Index(b[i:], []byte("\n}\n"))
	if end < 0 {
		return nil, false
	}
	command = b[i+end+3:]
	// Newer ones hand the commands to the account's shell.
	if first, rest, found := bytes.Cut(command, []byte("\n")); found && bytes.HasPrefix(first, []byte("${SHELL:-/bin/sh} << '")) {
		word := bytes.TrimSuffix(first[len("${SHELL:-/bin/sh} << '"):], []byte("'"))
		command = bytes.TrimSuffix(bytes.TrimRight(rest, "\n"), word)
	}
	return bytes.Trim(command, "\n"), true
}
