package elfcore_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/elfcore"
)

func TestACoreIsReadBack(t *testing.T) {
	for machine, want := range map[int]elf.Machine{elfcore.AMD64: elf.EM_X86_64, elfcore.ARM64: elf.EM_AARCH64} {
		segments := []elfcore.Segment{{Start: 0x400000, Size: 4096, Flags: elfcore.Read | elfcore.Execute}, {Start: 0x7f0000000000, Size: 8192, Flags: elfcore.Read | elfcore.Write}}
		var file bytes.Buffer
		w, err := elfcore.NewWriter(&file, &elfcore.Process{
			Machine: machine, PID: 412, Comm: "a name of more than fifteen", Auxv: bytes.Repeat([]byte{1}, 17),
			Threads: []elfcore.Thread{{TID: 412, PC: 0x400010, SP: 0x7f0000000ff0}, {TID: 413}},
			Files:   []elfcore.File{{Start: 0x400000, End: 0x401000, Offset: 0x2000, Path: "/bin/x"}},
		}, segments)
		if err != nil {
			t.Fatal(err)
		}
		memory := append(bytes.Repeat([]byte("c"), 4096), bytes.Repeat([]byte("d"), 8192)...)
		if _, err := w.Write(memory[:100]); err != nil {
			t.Fatal(err)
		}
		if w.Close() == nil {
			t.Error("a core without its memory is whole")
		}
		if _, err := w.Write(memory[100:]); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte{1}); err == nil {
			t.Error("more memory than there is was taken")
		}
		f, err := elf.NewFile(bytes.NewReader(file.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if f.Type != elf.ET_CORE || f.Machine != want || len(f.Progs) != 3 {
			t.Fatalf("%+v", f)
		}
		for i, s := range segments {
			p := f.Progs[i+1]
			data, err := io.ReadAll(p.Open())
			if err != nil || p.Vaddr != s.Start || p.Memsz != s.Size || uint32(p.Flags) != s.Flags || !bytes.Equal(data, memory[4096*i:4096*i+int(s.Size)]) || p.Off%4096 != 0 {
				t.Errorf("segment %d: %+v, %v", i, p.ProgHeader, err)
			}
		}
		notes, err := io.ReadAll(f.Progs[0].Open())
		if err != nil || !bytes.Contains(notes, []byte("/bin/x\x00")) || !bytes.Contains(notes, []byte("a name of more \x00")) {
			t.Errorf("notes %q, %v", notes, err)
		}
		var kinds []uint32
		for len(notes) >= 20 {
			size := binary.LittleEndian.Uint32(notes[4:])
			kinds = append(kinds, binary.LittleEndian.Uint32(notes[8:]))
			notes = notes[20+(size+3)/4*4:]
		}
		if len(kinds) != 5 || kinds[0] != 1 || kinds[1] != 3 || kinds[2] != 6 || kinds[3] != 0x46494c45 || kinds[4] != 1 || len(notes) != 0 {
			t.Errorf("notes %x, %d bytes left", kinds, len(notes))
		}
	}
}

func TestACoreMayHaveMoreSegmentsThanItsHeaderCounts(t *testing.T) {
	segments := make([]elfcore.Segment, 70_000)
	for i := range segments {
		segments[i] = elfcore.Segment{Start: uint64(i) * 8192, Size: 1, Flags: elfcore.Read}
	}
	var file bytes.Buffer
	w, err := elfcore.NewWriter(&file, &elfcore.Process{Machine: elfcore.AMD64, PID: 1}, segments)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, len(segments))); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	b, le := file.Bytes(), binary.LittleEndian
	section := le.Uint64(b[40:])
	if le.Uint16(b[56:]) != 0xffff || le.Uint16(b[60:]) != 1 || le.Uint32(b[section+44:]) != 70_001 || section != 64+70_001*56 {
		t.Errorf("header % x", b[:64])
	}
	last := b[64+70_000*56:]
	if le.Uint32(last) != 1 || le.Uint64(last[16:]) != 69_999*8192 || int(le.Uint64(last[8:])) != len(b)-1 {
		t.Errorf("last program header % x", last[:56])
	}
}

func TestCoresOfOtherMachinesAreRefused(t *testing.T) {
	if _, err := elfcore.NewWriter(io.Discard, &elfcore.Process{Machine: 3}, nil); !errors.Is(err, elfcore.ErrMachine) {
		t.Errorf("i386: %v", err)
	}
}
