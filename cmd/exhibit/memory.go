package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/kcore"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func memoryCommand() *cli.Command {
	output := &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the new `FILE`"}
	return &cli.Command{
		Name: "memory", Usage: "main memory and memory of processes in a bundle, as other programs read it", Category: catEvidence,
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "say what memory a bundle holds, and what is missing", ArgsUsage: "EXHIBIT|BUNDLE",
				Description: "Example:\n   exhibit memory list EX-001",
				Action:      memoryList,
			},
			{
				Name: "lime", Usage: "write main memory as one LiME file", ArgsUsage: "EXHIBIT|BUNDLE...",
				Description: "Example:\n   exhibit memory lime EX-001 -o web01.lime\n   exhibit memory lime EX-001 EX-002 -o web01.lime   (the second went on where the first had stopped)\n\n" +
					"Each chunk is checked against the seal of its bundle. What is missing between the ranges is said. With --padded\n" +
					"the file has no headers: an address is an offset, and what is missing is zeros.",
				Flags:  []cli.Flag{output, &cli.BoolFlag{Name: "padded", Usage: "a raw image: zeros for what is missing, no headers"}},
				Action: memoryLime,
			},
			{
				Name: "core", Usage: "write the memory of a process as an ELF core file", ArgsUsage: "EXHIBIT|BUNDLE PID",
				Description: "Example:\n   exhibit memory core EX-001 412 -o 412.core && gdb -c 412.core\n\n" +
					"Registers are those of a process that was stopped (--freeze); of others, program counter and stack pointer of\n" +
					"threads that waited in a system call, and zeros else.",
				Flags:  []cli.Flag{output},
				Action: memoryCore,
			},
		},
	}
}

// maxMemoryLine bounds a line of the record sets about memory.
const maxMemoryLine = 4 << 20

// linesOf calls one for each line of a record set, which is checked against
// the seal first: nothing where there is no such item.
func linesOf[T any](r *bundle.Reader, path string, one func(*T) error) error {
	var set *memoryChunk
	for it, err := range r.Items() {
		if err != nil {
			return err
		}
		if it.Path == path && it.Kind.HasContent() {
			set = &memoryChunk{r: r, item: it}
			break
		}
	}
	if set == nil {
		return nil
	}
	if err := set.check(); err != nil {
		return err
	}
	content, err := r.Open(set.item.Member)
	if err != nil {
		return err
	}
	defer content.Close()
	lines := bufio.NewScanner(content)
	lines.Buffer(nil, maxMemoryLine)
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return command.Fail(command.Failure, "exhibit cat BUNDLE "+path+" shows it", fmt.Errorf("%s: %w", path, err))
		}
		if err := one(&v); err != nil {
			return err
		}
	}
	return lines.Err()
}

// memorySpan is memory from Start on, before End.
type memorySpan struct {
	Start uint64 `json:"start"`
	End   uint64 `json:"end"`
	Why   string `json:"why,omitempty"`
}

func (s memorySpan) text() string {
	text := fmt.Sprintf("%#x-%#x  %s", s.Start, s.End, term.Size(int64(s.End-s.Start)))
	if s.Why != "" {
		text += "  " + term.Escape(s.Why)
	}
	return text
}

// memoryChunk is an item with memory.
type memoryChunk struct {
	r     *bundle.Reader
	item  evidence.Item
	start uint64
}

// chunksOf finds the items PREFIX + 16 hexadecimal digits + .lime, by address.
func chunksOf(r *bundle.Reader, prefix string) ([]memoryChunk, error) {
	var list []memoryChunk
	for it, err := range r.Items() {
		if err != nil {
			return nil, err
		}
		digits, ok := strings.CutPrefix(it.Path, prefix)
		digits, lime := strings.CutSuffix(digits, ".lime")
		if !ok || !lime || len(digits) != 16 || !it.Kind.HasContent() {
			continue
		}
		if start, err := strconv.ParseUint(digits, 16, 64); err == nil {
			list = append(list, memoryChunk{r, it, start})
		}
	}
	slices.SortStableFunc(list, func(a, b memoryChunk) int {
		return cmp.Compare(a.start, b.start)
	})
	return list, nil
}

const ramPrefix = "memory/ram-"

// check proves that a chunk's record is sealed and its content the recorded one.
func (m *memoryChunk) check() error {
	var p proven
	err := p.hashItem(m.r, m.item)
	if err == nil {
		_, err = m.r.Prove(m.item.Index)
	}
	if err != nil {
		return command.Fail(command.Integrity, "exhibit verify --explain says what is wrong with the bundle", fmt.Errorf("%s: %w", m.item.Path, err))
	}
	return nil
}

// ranges calls block for the memory of a chunk, at most 1 MiB at a time,
// because a header may promise more than there is. cut says that the chunk
// ends in the middle of a range.
func (m *memoryChunk) ranges(c *cli.Context, block func(start uint64, data []byte) error) (cut bool, err error) {
	content, err := m.r.Open(m.item.Member)
	if err != nil {
		return false, err
	}
	defer content.Close()
	lime := kcore.NewLimeReader(untilDone{c.Context, content})
	buf := make([]byte, 1<<20)
	for {
		r, err := lime.Next()
		switch {
		case err == io.EOF:
			return false, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return true, nil
		case errors.Is(err, kcore.ErrLime):
			return false, command.Fail(command.Integrity, "exhibit extract writes it as it is", fmt.Errorf("%s: %w", m.item.Path, err))
		case err != nil:
			return false, err
		}
		for at := r.Start; at < r.End; {
			n, err := io.ReadFull(lime, buf[:min(r.End-at, uint64(len(buf)))])
			if n > 0 {
				if err := block(at, buf[:n]); err != nil {
					return false, err
				}
			}
			at += uint64(n)
			if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
				return true, nil
			}
			if err != nil {
				return false, err
			}
		}
	}
}

// ramFacts are what is known of main memory.
type ramFacts struct {
	Chunks  int          `json:"chunks"`
	Bytes   uint64       `json:"bytes"`
	Source  string       `json:"source,omitempty"`
	Unread  []memorySpan `json:"unread,omitempty"` // zeros, or not in any chunk
	Left    []memorySpan `json:"left,omitempty"`   // after the point where the run was stopped
	Gaps    []memorySpan `json:"gaps,omitempty"`   // between the ranges of the file
	Reasons []string     `json:"not_used,omitempty"`
	Cut     []string     `json:"cut,omitempty"`     // chunks that end in the middle of a range
	Overlap uint64       `json:"overlap,omitempty"` // bytes that a later chunk has once more

	end uint64 // of what was written
}

// known reads what the map says.
func (f *ramFacts) known(r *bundle.Reader) error {
	return linesOf(r, collectors.MemoryMap, func(m *collectors.MemoryRecord) error {
		span := memorySpan{m.Start, m.End, m.Why}
		switch {
		case len(f.Unread)+len(f.Left)+len(f.Reasons) > 1<<18:
		case m.What == "source" && m.Used:
			f.Source = m.Source
		case m.What == "source":
			f.Reasons = append(f.Reasons, m.Source+": "+m.Why)
		case m.What == "unread":
			f.Unread = append(f.Unread, span)
		case m.What == "left":
			f.Left = append(f.Left, span)
		}
		return nil
	})
}

// processFacts are what is known of the memory of one process.
type processFacts struct {
	PID     int64    `json:"pid"`
	Start   int64    `json:"start_ticks"`
	Name    string   `json:"name"`
	Exe     string   `json:"exe"`
	Chosen  []string `json:"chosen"`
	Frozen  bool     `json:"frozen"`
	Ranges  int      `json:"ranges"`
	Skipped int      `json:"ranges_skipped"`
	Bytes   uint64   `json:"bytes"`
	Unread  uint64   `json:"unread_bytes"`
	State   string   `json:"state"`
	Why     string   `json:"why,omitempty"`
}

// memoryFacts is what memory list shows.
type memoryFacts struct {
	RAM       *ramFacts       `json:"ram,omitempty"`
	Processes []*processFacts `json:"processes,omitempty"`
}

func memoryList(c *cli.Context) error {
	o, err := openArgument(c, 1, "one bundle")
	if err != nil {
		return err
	}
	defer o.file.Close()
	facts := &memoryFacts{}
	chunks, err := chunksOf(o.Reader, ramPrefix)
	if err != nil {
		return err
	}
	ram := &ramFacts{Chunks: len(chunks)}
	for _, m := range chunks {
		ram.Bytes += uint64(max(m.item.Size, 0))
	}
	if err := ram.known(o.Reader); err != nil {
		return err
	}
	if ram.Chunks > 0 || len(ram.Reasons) > 0 {
		facts.RAM = ram
	}
	if facts.Processes, err = processesOf(o.Reader); err != nil {
		return err
	}
	if c.Bool("json") {
		err = command.JSON(c.App.Writer, facts)
	} else {
		facts.print(c.App.Writer)
	}
	return errors.Join(err, o.note("listed its memory"))
}

// processesOf sums up the record set of processes.
func processesOf(r *bundle.Reader) ([]*processFacts, error) {
	var list []*processFacts
	type key struct{ pid, start int64 }
	by := map[key]*processFacts{}
	err := linesOf(r, collectors.ProcessMemoryMap, func(m *collectors.ProcessMemoryRecord) error {
		if m.What == "selection" {
			return nil
		}
		k := key{m.PID, m.StartTicks}
		p := by[k]
		if p == nil {
			if len(by) == 1<<16 {
				return nil
			}
			p = &processFacts{PID: m.PID, Start: m.StartTicks}
			by[k], list = p, append(list, p)
		}
		switch m.What {
		case "process":
			p.Name, p.Exe, p.Chosen, p.Frozen = string(m.Comm), string(m.Exe), m.Chosen, m.Frozen
		case "range":
			p.Ranges++
			if m.Why != "" {
				p.Skipped++
			}
		case "unread":
			p.Unread += m.End - m.Start
		case "end":
			p.State, p.Why, p.Bytes = m.State, m.Why, m.Stored
		}
		return nil
	})
	return list, err
}

func (f *memoryFacts) print(w io.Writer) {
	if f.RAM == nil {
		fmt.Fprintln(w, "no main memory")
	} else {
		f.RAM.print(w)
	}
	f.printProcesses(w)
	if len(f.Processes) == 0 {
		fmt.Fprintln(w, "no memory of processes")
	}
}

func (f *memoryFacts) printProcesses(w io.Writer) {
	for _, p := range f.Processes {
		fmt.Fprintf(w, "process %d  %s  %s: %s in %d mappings, %d skipped, %s unread; %s", p.PID, term.Escape(p.Name), term.Escape(p.Exe),
			term.Size(int64(p.Bytes)), p.Ranges, p.Skipped, term.Size(int64(p.Unread)), term.Escape(p.State))
		if p.Why != "" {
			fmt.Fprintf(w, " (%s)", term.Escape(p.Why))
		}
		fmt.Fprintln(w)
		for _, why := range p.Chosen {
			fmt.Fprintf(w, "    %s\n", term.Escape(why))
		}
	}
}

func (f *ramFacts) print(w io.Writer) {
	fmt.Fprintf(w, "main memory: %s in %d chunks", term.Size(int64(f.Bytes)), f.Chunks)
	if f.Source != "" {
		fmt.Fprintf(w, " from %s", term.Escape(f.Source))
	}
	fmt.Fprintln(w)
	for _, why := range f.Reasons {
		fmt.Fprintf(w, "  not used: %s\n", term.Escape(why))
	}
	for _, list := range []struct {
		what  string
		spans []memorySpan
	}{{"could not be read", f.Unread}, {"left by a run that was stopped", f.Left}, {"between the ranges", f.Gaps}} {
		const shown = 20
		for i, s := range list.spans {
			if i == shown {
				fmt.Fprintf(w, "  and %d more %s; --json lists all\n", len(list.spans)-shown, list.what)
				break
			}
			fmt.Fprintf(w, "  %s: %s\n", list.what, s.text())
		}
	}
	for _, path := range f.Cut {
		fmt.Fprintf(w, "  ends in the middle of a range: %s\n", term.Escape(path))
	}
	if f.Overlap > 0 {
		fmt.Fprintf(w, "  %s are in two chunks: they are of the one that begins first\n", term.Size(int64(f.Overlap)))
	}
}

// memorySource is a bundle that memory is taken from.
type memorySource struct {
	file   *bundleFile
	reader *bundle.Reader
	record func(kind chainofcustody.EventKind, out *outFile, what string) error
}

func openMemory(c *cli.Context, arg string) (*memorySource, error) {
	path, record, err := recorder(c, arg)
	if err != nil {
		return nil, err
	}
	f, r, err := openBundle(c, path)
	if err != nil {
		return nil, err
	}
	return &memorySource{f, r, record}, nil
}

// writtenMemory is what lime and core report.
type writtenMemory struct {
	File    string        `json:"file"`
	Size    int64         `json:"size"`
	SHA256  string        `json:"sha256"`
	RAM     *ramFacts     `json:"ram,omitempty"`
	Process *processFacts `json:"process,omitempty"`
}

// finished records and prints a file that was made.
func finished(c *cli.Context, out *outFile, sources []*memorySource, what string, w *writtenMemory) error {
	for _, s := range sources {
		if err := s.record(chainofcustody.EventDerived, out, what); err != nil {
			return err
		}
	}
	w.File, w.Size, w.SHA256 = out.path, out.size, out.digest().String()
	code := command.OK
	if w.RAM != nil && len(w.RAM.Left)+len(w.RAM.Cut) > 0 || w.Process != nil && w.Process.State != "complete" {
		code = command.Partial
	}
	if c.Bool("json") {
		return errors.Join(command.JSON(c.App.Writer, w), command.Exit(code))
	}
	fmt.Fprintf(c.App.Writer, "%s: %s, SHA-256 %s\n", term.Escape(w.File), term.Size(w.Size), w.SHA256)
	if w.RAM != nil {
		w.RAM.print(c.App.Writer)
	}
	if w.Process != nil {
		(&memoryFacts{Processes: []*processFacts{w.Process}}).printProcesses(c.App.Writer)
	}
	return command.Exit(code)
}
