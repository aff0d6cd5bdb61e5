package parsers

import (
	"strconv"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// liveBPF reads the eBPF programs in the kernel. One event per program at the
// time it was loaded, which the kernel states by its clock since boot; where it
// does not, at the time of the look, action bpf-program-state. unit is the
// program's name, uid who loaded it, pid a process that holds it; attr owner
// names all of them, attr pin paths in a bpf file system.
var liveBPF = register(analyze.Parser{
	Name: "live_bpf", Doc: "eBPF programs in the kernel during collection, at the time they were loaded", Version: 1, Family: "live",
	Types: []string{"linux:bpf_program:state"}, Match: ofSet(record.BPFPrograms), Parse: liveSet("linux:bpf_program:state", bpfRow),
})

func bpfRow(s *stateSet, p *record.BPFProgram) error {
	if p.ID <= 0 {
		return errNoSubject
	}
	var ev *timeline.Event
	if p.Loaded > 0 {
		ev = s.dated(p.Loaded, "bpf-program-loaded", "driver", "Program Loaded")
	} else {
		ev = s.at(0, "bpf-program-state", "driver")
	}
	ev.Unit = s.bytes(p.Name)
	if p.UID >= 0 {
		ev.UID, ev.User = p.UID, userName(s.src.Host, p.UID)
	}
	if len(p.Owners) > 0 && p.Owners[0].PID > 0 {
		ev.PID = p.Owners[0].PID
	}
	ev.Message = s.out.Join("eBPF program ", s.out.Int(p.ID))
	if ev.Unit != "" {
		ev.Message = s.out.Join(ev.Message, " ", ev.Unit)
	}
	ev.Message = s.out.Join(ev.Message, " of type ", s.out.Str(p.Type))
	s.num("id", p.ID)
	s.str("type", p.Type)
	s.str("tag", p.Tag)
	s.num("loaded_boottime_ns", p.LoadedNS)
	s.yes("gpl", p.GPL)
	s.num("xlated_len", p.Xlated)
	s.str("content", p.Content)
	for _, h := range p.Owners[:min(len(p.Owners), listMax)] {
		s.num("owner", h.PID)
	}
	s.list("pin", p.Pins)
	for _, m := range p.Maps[:min(len(p.Maps), listMax)] {
		s.num("map", m)
	}
	for _, l := range p.Links[:min(len(p.Links), listMax)] {
		s.num("link", l)
	}
	s.unum("runs", p.Runs)
	return nil
}

// liveProbes reads the dynamic events of tracefs: where the kernel stops to
// look at its own code or at a program's. One event per probe at the time of
// the look: unit is group/event, attr target what it is set on; of a program
// file is its path.
var liveProbes = register(analyze.Parser{
	Name: "live_probes", Doc: "kernel and user probes that were set during collection", Version: 1, Family: "live",
	Types: []string{"linux:probe:state"}, Match: ofSet(record.Probes), Parse: liveSet("linux:probe:state", probeRow),
})

func probeRow(s *stateSet, p *record.Probe) error {
	if len(p.Event) == 0 {
		return errNoSubject
	}
	ev := s.at(0, "probe-state", "driver")
	ev.Unit = s.bytes(append(append(append(record.Bytes(nil), p.Group...), '/'), p.Event...))
	kind := p.Kind
	if kind == "" {
		kind = "probe"
	}
	ev.Message = s.out.Join(s.out.Str(kind), " ", ev.Unit, " on ", s.bytes(p.Target))
	if len(p.Target) > 0 && p.Target[0] == '/' {
		path := p.Target
		for i := len(path) - 1; i > 0; i-- { // path:0xoffset
			if path[i] == ':' {
				path = path[:i]
				break
			}
		}
		ev.File = s.bytes(path)
	}
	s.str("kind", p.Kind)
	s.text("target", p.Target)
	s.text("args", p.Args)
	s.str("source", p.Source)
	return nil
}

// liveFtrace reads the functions of the kernel that call something else when
// they are entered: by tracing, by live patches, by eBPF, or by a rootkit. One
// event per function at the time of the look: unit is the function, attr
// callback where it leads.
var liveFtrace = register(analyze.Parser{
	Name: "live_ftrace", Doc: "functions of the kernel that were hooked during collection", Version: 1, Family: "live",
	Types: []string{"linux:ftrace:state"}, Match: ofSet(record.Ftrace), Parse: liveSet("linux:ftrace:state", ftraceRow),
})

func ftraceRow(s *stateSet, f *record.TracedFunction) error {
	if len(f.Name) == 0 {
		return errNoSubject
	}
	ev := s.at(0, "function-hooked-state", "driver")
	ev.Unit = s.bytes(f.Name)
	ev.Message = s.out.Join("kernel function ", ev.Unit, " calls ", strconv.FormatInt(f.Count, 10), " more")
	if len(f.Callback) > 0 {
		ev.Message = s.out.Join(ev.Message, ": ", s.bytes(f.Callback))
	}
	s.text("module", f.Module)
	s.num("count", f.Count)
	s.str("flags", f.Flags)
	s.text("callback", f.Callback)
	return nil
}
