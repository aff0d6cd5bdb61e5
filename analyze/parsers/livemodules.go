package parsers

import (
	"context"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// liveModules reads the kernel modules by all views that the collector
// compared. One event per module at the time of the look; unit is the
// module's name, attr views the views that show it. A module that
// /proc/modules does not show while another view does has attr hidden; one that
// not all views agree on has attr views_differ, and the message says so.
var liveModules = register(analyze.Parser{
	Name:    "live_modules",
	Doc:     "kernel modules that were loaded during collection",
	Version: 2,
	Family:  "live",
	Types:   []string{"linux:module:state"},
	Match: func(it *evidence.Item, head []byte) bool {
		return len(head) > 0 && head[0] == '{' && isRecordSet(it, record.Modules)
	},
	Parse: func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		return eachRecord(src, out, func(m *record.Module, off, length int64) error {
			return moduleEvent(src, out, m, off, length)
		})
	},
})

func moduleEvent(src *analyze.Source, out *timeline.Appender, m *record.Module, off, length int64) error {
	if m.Name == "" {
		return errNoSubject
	}
	ev := stateEvent(src, out, off, length, 0, "linux:module:state")
	ev.Action, ev.Category = "module-state", "driver"
	ev.Unit = out.Str(m.Name)
	var views []string
	for _, v := range []struct {
		shown bool
		name  string
	}{{m.InProc, "proc"}, {m.InSysfs, "sysfs"}, {m.InKsyms, "kallsyms"}} {
		if v.shown {
			views = append(views, v.name)
		}
	}
	ev.Message = out.Join("kernel module ", ev.Unit, " seen in ", strings.Join(views, ", "))
	differ := m.InProc != m.InSysfs || !m.InProc
	if differ {
		ev.Message = out.Join(ev.Message, " only")
	}
	a := attrs{out}
	a.str("views", strings.Join(views, ","))
	a.yes("views_differ", differ)
	a.yes("hidden", !m.InProc)
	a.str("state", m.State)
	a.num("size", m.Size)
	a.num("refcount", m.RefCount)
	a.str("used_by", strings.Join(m.UsedBy, ","))
	a.str("address", m.Address)
	a.str("taint", m.Taint)
	for _, means := range m.TaintMeans[:min(len(m.TaintMeans), listMax)] {
		a.str("taint_means", means)
	}
	a.str("srcversion", m.Version)
	return nil
}
