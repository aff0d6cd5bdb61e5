package collectors

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/bpf"
	"github.com/exhibit-dfir/exhibit/internal/footprint"
	"golang.org/x/sys/unix"
)

const (
	maxPins  = 1 << 16 // names looked at in bpf file systems
	maxDepth = 32      // of their folders
	bpffs    = 0xcafe4a11
)

// bpfObject names an eBPF object: "prog" 7.
type bpfObject struct {
	kind string // prog, map, link, btf
	id   int64
}

// bpfLook is one look at all eBPF objects.
type bpfLook struct {
	ctx  context.Context
	h    *collect.Host
	out  collect.Taker
	sets *sets

	owners map[bpfObject][]record.BPFHolder
	pins   map[bpfObject][]record.Bytes
	links  map[int64][]int64 // of a program
	listed map[bpfObject]bool
	tags   map[string]bool
}

func collectBPF(ctx context.Context, h *collect.Host, out collect.Taker) error {
	b := &bpfLook{
		ctx: ctx, h: h, out: out,
		sets:   newSets(record.BPFPrograms, record.BPFMaps, record.BPFLinks, record.BPFTypes),
		owners: map[bpfObject][]record.BPFHolder{}, pins: map[bpfObject][]record.Bytes{}, links: map[int64][]int64{},
		listed: map[bpfObject]bool{}, tags: map[string]bool{},
	}
	// What is compared with the list is read before it: what was there then
	// and is not listed may have ended, and is looked for again.
	b.lost(b.readOwners(), record.BPFPrograms)
	b.readPins()
	symbols := b.symbols()
	b.readLinks()
	if err := b.programs(); err != nil {
		return err
	}
	b.mapsAndTypes()
	b.tellHidden(symbols)
	return b.sets.write(ctx, out, "bpf")
}

func (b *bpfLook) lost(err error, path string) {
	switch {
	case errors.Is(err, bpf.ErrUnsupported):
		b.sets.absent[path] = err
	case err != nil:
		b.out.Problem(problemOf(err, path))
	}
}

func (b *bpfLook) readLinks() {
	list, err := bpf.Links()
	b.lost(err, record.BPFLinks)
	for _, l := range list {
		o := bpfObject{"link", int64(l.ID)}
		b.listed[o] = true
		b.links[int64(l.Prog)] = append(b.links[int64(l.Prog)], int64(l.ID))
		b.sets.put(record.BPFLinks, record.BPFLink{
			ID: o.id, Type: l.Type, Prog: int64(l.Prog), Target: record.Bytes(l.Target), Info: hex.EncodeToString(l.Info),
			Owners: b.owners[o], Pins: b.pins[o],
		})
	}
}

// programs writes the instructions of each as it is read. An error means
// that the run ends.
func (b *bpfLook) programs() error {
	var failed error
	clock, err := collect.ReadClock()
	b.lost(err, record.BPFPrograms)
	err = bpf.Programs(func(p bpf.Program) {
		if failed == nil {
			failed = b.program(p, clock)
		}
	})
	b.lost(err, record.BPFPrograms)
	return failed
}

func (b *bpfLook) program(p bpf.Program, clock record.Clock) error {
	o := bpfObject{"prog", int64(p.ID)}
	b.listed[o], b.tags[p.Tag] = true, true
	r := record.BPFProgram{
		ID: o.id, Type: p.Type, Name: p.Name, Tag: p.Tag, LoadedNS: int64(p.LoadTime), UID: int64(p.UID),
		GPL: p.GPL, Xlated: int64(p.XlatedLen), Jited: int64(p.JitedLen), BTF: int64(p.BTF), Ifindex: int64(p.Ifindex),
		Runs: p.RunCount, RunNS: p.RunTime, Maps: []int64{}, Owners: b.owners[o], Pins: b.pins[o], Links: b.links[o.id],
	}
	if clock.Boottime > 0 && p.LoadTime > 0 {
		r.Loaded = clock.Realtime - clock.Boottime + int64(p.LoadTime)
	}
	for _, id := range p.Maps {
		r.Maps = append(r.Maps, int64(id))
	}
	if len(p.Xlated) > 0 {
		r.Content = "live/bpf/prog-" + strconv.FormatUint(uint64(p.ID), 10) + ".xlated"
		it := evidence.Item{Kind: evidence.KindStream, Path: r.Content, Source: "bpf", Size: -1, Rule: "eBPF instructions"}
		if err := b.out.Stream(b.ctx, it, bytes.NewReader(p.Xlated)); err != nil {
			return err
		}
	}
	b.sets.put(record.BPFPrograms, r)
	return nil
}

func (b *bpfLook) mapsAndTypes() {
	list, err := bpf.Maps()
	b.lost(err, record.BPFMaps)
	for _, m := range list {
		o := bpfObject{"map", int64(m.ID)}
		b.listed[o] = true
		b.sets.put(record.BPFMaps, record.BPFMap{
			ID: o.id, Type: m.Type, Name: m.Name, KeySize: int64(m.KeySize), ValueSize: int64(m.ValueSize),
			MaxEntries: int64(m.MaxEntries), Flags: int64(m.Flags), BTF: int64(m.BTF), Owners: b.owners[o], Pins: b.pins[o],
		})
	}
	types, err := bpf.Types()
	b.lost(err, record.BPFTypes)
	for _, t := range types {
		o := bpfObject{"btf", int64(t.ID)}
		b.listed[o] = true
		b.sets.put(record.BPFTypes, record.BTF{ID: o.id, Name: t.Name, Size: int64(t.Size), Kernel: t.Kernel, Owners: b.owners[o]})
	}
}

// readOwners looks at the descriptors of all processes.
func (b *bpfLook) readOwners() error {
	proc, err := openProcesses(b.h)
	if err != nil {
		return err
	}
	defer proc.close()
	pids, err := proc.list()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		p, err := proc.process(pid)
		if err != nil {
			continue // ended meanwhile
		}
		b.ownedBy(p)
		p.close()
	}
	return nil
}

func (b *bpfLook) ownedBy(p *process) {
	fds, err := listNumbers(p.fd, "fd")
	if err != nil {
		return // ended, or not permitted: the processes collector says so
	}
	for _, fd := range fds {
		number := strconv.FormatInt(fd, 10)
		target, err := p.link("fd/" + number)
		if err != nil {
			continue
		}
		kind := strings.TrimLeft(strings.TrimPrefix(strings.TrimPrefix(target, "anon_inode:"), "bpf"), "-_")
		if target == "anon_inode:"+kind && kind != "btf" || kind != "prog" && kind != "map" && kind != "link" && kind != "btf" {
			continue
		}
		text, err := p.read("fdinfo/"+number, maxStatus)
		if err != nil {
			continue
		}
		if id, ok := bpfInfo(text)[kind+"_id"]; ok {
			o := bpfObject{kind, id}
			b.owners[o] = append(b.owners[o], record.BPFHolder{PID: p.pid, FD: fd})
		}
	}
}

// readPins walks the bpf file systems that the collector and process 1 see.
func (b *bpfLook) readPins() {
	seen := map[string]bool{}
	for _, of := range []string{"/proc/self/mountinfo", processOne} {
		text, err := os.ReadFile(of)
		if err != nil {
			continue // of process 1: not permitted
		}
		if of == processOne {
			footprint.ProcFile()
		}
		mounts, _ := collect.ParseMountInfo(text)
		for _, m := range mounts {
			if m.FSType == "bpf" && !seen[m.Point] {
				seen[m.Point] = true
				left := maxPins
				b.pinsIn(m.Point, 0, &left)
			}
		}
	}
}

func (b *bpfLook) pinsIn(dir string, depth int, left *int) {
	at := filepath.Join(b.h.Root, dir)
	var of unix.Statfs_t
	if unix.Statfs(at, &of) != nil || uint32(of.Type) != bpffs {
		return // covered by another mount, or not in our view
	}
	entries, err := b.h.ReadDir(dir)
	b.lost(err, dir)
	for _, e := range entries {
		path := dir + "/" + e.Name
		if *left--; *left < 0 || depth > maxDepth || b.ctx.Err() != nil {
			b.out.Problem(problemAt(evidence.TooBig, dir, "more pins than are looked at"))
			return
		}
		switch e.Type {
		case unix.S_IFDIR:
			b.pinsIn(path, depth+1, left)
		case unix.S_IFREG:
			kind, id, err := bpf.Pinned(filepath.Join(b.h.Root, path))
			if err != nil { // the kernel's own text files there are no objects
				b.lost(b.out.Note(b.ctx, evidence.Item{
					Kind: evidence.KindSkipped, Path: path, Source: "bpf", Rule: "eBPF pins", Detail: err.Error(),
				}), path)
				continue
			}
			o := bpfObject{kind, int64(id)}
			b.pins[o] = append(b.pins[o], record.Bytes(path))
		}
	}
}

// symbols returns the tags of the programs that /proc/kallsyms shows.
func (b *bpfLook) symbols() map[string]bool {
	tags := map[string]bool{}
	f, err := b.h.Open("/proc/kallsyms")
	if err != nil {
		return tags // none on a kernel without CONFIG_KALLSYMS
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if tag, ok := programSymbol(lines.Bytes()); ok {
			tags[tag] = true
		}
	}
	b.lost(lines.Err(), "/proc/kallsyms")
	return tags
}

// tellHidden says what the other views show and the list does not, unless
// it is gone from them, too.
func (b *bpfLook) tellHidden(symbols map[string]bool) {
	hidden := func(view, what string) {
		b.out.Problem(problemAt(evidence.Inconsistent, record.BPFPrograms,
			what+" is seen by "+view+", and bpf(2) does not list it"))
	}
	suspects := map[bpfObject]string{}
	for o := range b.owners {
		if !b.listed[o] {
			suspects[o] = "descriptors"
		}
	}
	for o := range b.pins {
		if !b.listed[o] {
			suspects[o] = "pins"
		}
	}
	for id := range b.links {
		if o := (bpfObject{"prog", id}); id != 0 && !b.listed[o] {
			suspects[o] = "links"
		}
	}
	missing := slices.DeleteFunc(slices.Sorted(maps.Keys(symbols)), func(tag string) bool { return b.tags[tag] })
	if len(suspects)+len(missing) == 0 || len(b.listed) == 0 { // nothing is listed without the privilege
		return
	}
	again := &bpfLook{
		ctx: b.ctx, h: b.h, out: b.out, sets: b.sets, owners: map[bpfObject][]record.BPFHolder{}, pins: map[bpfObject][]record.Bytes{},
	}
	if again.readOwners() != nil {
		return // the run ends
	}
	again.readPins()
	still := again.symbols()
	links := map[int64]bool{}
	list, _ := bpf.Links() // its errors are told already
	for _, l := range list {
		links[int64(l.Prog)] = true
	}
	for o, view := range suspects {
		if len(again.owners[o])+len(again.pins[o]) > 0 || o.kind == "prog" && links[o.id] {
			hidden(view, fmt.Sprintf("%s %d", o.kind, o.id))
		}
	}
	for _, tag := range missing {
		if still[tag] {
			hidden("/proc/kallsyms", "the program with tag "+tag)
		}
	}
}
