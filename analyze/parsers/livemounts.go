package parsers

import (
	"context"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// liveMounts reads the file systems that were mounted when the collector
// looked. One event per mount at that time: file is the mount point, file2
// what is mounted there.
var liveMounts = register(analyze.Parser{
	Name:    "live_mounts",
	Doc:     "file systems that were mounted during collection",
	Version: 1,
	Family:  "live",
	Types:   []string{"linux:mount:state"},
	Match: func(it *evidence.Item, head []byte) bool {
		return len(head) > 0 && head[0] == '{' && isRecordSet(it, record.Mounts)
	},
	Parse: func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		return eachRecord(src, out, func(m *record.Mount, off, length int64) error {
			return mountEvent(src, out, m, off, length)
		})
	},
})

func mountEvent(src *analyze.Source, out *timeline.Appender, m *record.Mount, off, length int64) error {
	if len(m.Point) == 0 {
		return errNoSubject
	}
	ev := stateEvent(src, out, off, length, 0, "linux:mount:state")
	ev.Action, ev.Category = "mount-state", "host"
	ev.File, ev.File2 = out.Text(cutText(m.Point)), out.Text(cutText(m.Source))
	fs := out.Str(m.FSType)
	ev.Message = out.Join(fs, " ", ev.File2, " mounted on ", ev.File)
	a := attrs{out}
	a.str("fstype", m.FSType)
	a.str("options", m.Options)
	a.text("super_options", m.SuperOpts)
	if string(m.Root) != "/" {
		a.text("root", m.Root)
	}
	a.str("dev", m.Dev)
	a.num("id", m.ID)
	a.num("parent", m.Parent)
	a.num("total_bytes", m.TotalBytes)
	a.num("free_bytes", m.FreeBytes)
	return nil
}
