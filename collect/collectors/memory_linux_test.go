package collectors

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/kcore"
	"github.com/exhibit-dfir/exhibit/internal/kcore/kcoretest"
)

// The memory of the synthetic host: two ranges, the second across the border
// of two chunks, which the core holds at these offsets of its file.
var (
	lowMemory    = kcore.Range{Start: 0x1000, End: 0x9f000}
	highMemory   = kcore.Range{Start: memoryChunk - 3<<20, End: memoryChunk + 2<<20}
	memoryOffset = map[kcore.Range]int64{lowMemory: 0x10000, highMemory: 0x200000}
)

// memoryHost makes a host with /proc/kcore and /proc/iomem, whose core ends
// cut bytes before the end of memory. It returns what each address holds.
func memoryHost(t *testing.T, cut int64) (*collect.Host, map[kcore.Range][]byte) {
	t.Helper()
	var segments []kcore.Segment
	iomem := "00000000-00000fff : Reserved\n"
	file := make([]byte, memoryOffset[highMemory]+int64(highMemory.End-highMemory.Start))
	holds := map[kcore.Range][]byte{}
	noise := rand.NewChaCha8([32]byte{1})
	for _, r := range []kcore.Range{lowMemory, highMemory} {
		at := memoryOffset[r]
		segments = append(segments, kcore.Segment{
			Offset: at, Virtual: 0xffff888000000000 + r.Start, Physical: r.Start, Size: r.End - r.Start,
		})
		iomem += fmt.Sprintf("%08x-%08x : System RAM\n", r.Start, r.End-1)
		data := file[at : at+int64(r.End-r.Start)]
		noise.Read(data)
		holds[r] = data
	}
	copy(file, kcoretest.Synthetic(kcoretest.AMD64, segments, []byte("OSRELEASE=6.1.0\n")))
	return hostOf(t, map[string][]byte{
		"proc/kcore": file[:int64(len(file))-cut], "proc/iomem": []byte(iomem),
		"proc/sys/kernel/osrelease": []byte("6.1.0\n"), "boot/System.map-6.1.0": []byte("ffffffff81000000 T _text\n"),
	}), holds
}

func hostOf(t *testing.T, files map[string][]byte) *collect.Host {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, text, 0o600))
	}
	h, err := collect.OpenHost(root, true)
	check(t, err)
	t.Cleanup(func() { h.Close() })
	return h
}

// lime joins the chunks of a run in the order of their names and reads the
// ranges back.
func lime(t *testing.T, streams map[string][]byte) map[kcore.Range][]byte {
	t.Helper()
	var names []string
	for name := range streams {
		if strings.HasSuffix(name, ".lime") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var text []byte
	for _, name := range names {
		text = append(text, streams[name]...)
	}
	got := map[kcore.Range][]byte{}
	var last kcore.Range
	for len(text) > 0 {
		le := binary.LittleEndian
		if len(text) < kcore.LimeHeaderSize || le.Uint32(text) != 0x4C694D45 || le.Uint32(text[4:]) != 1 {
			t.Fatalf("no LiME header: % x", text[:min(32, len(text))])
		}
		r := kcore.Range{Start: le.Uint64(text[8:]), End: le.Uint64(text[16:]) + 1}
		text = text[kcore.LimeHeaderSize:]
		if r.Start < last.End || r.End <= r.Start || uint64(len(text)) < r.End-r.Start {
			t.Fatalf("range %x after %x, %d bytes left", r, last, len(text))
		}
		got[r], last = text[:r.End-r.Start], r
		text = text[r.End-r.Start:]
	}
	return got
}

// sameMemory compares what was taken of a range with what it holds.
func sameMemory(t *testing.T, got map[kcore.Range][]byte, r kcore.Range, want []byte) {
	t.Helper()
	have := make([]byte, len(want))
	var n int
	for part, data := range got {
		if part.Start >= r.Start && part.End <= r.End {
			n += copy(have[part.Start-r.Start:], data)
		}
	}
	if n != len(want) || !bytes.Equal(have, want) {
		t.Errorf("memory %x: %d of %d bytes taken, or not as they were", r, n, len(want))
	}
}

func memoryMap(t *testing.T, out *memoryTaker) map[string][]MemoryRecord {
	t.Helper()
	byWhat := map[string][]MemoryRecord{}
	for line := range bytes.Lines(out.streams[MemoryMap]) {
		var r MemoryRecord
		check(t, json.Unmarshal(line, &r))
		byWhat[r.What] = append(byWhat[r.What], r)
	}
	return byWhat
}

func TestMemoryIsTakenWholeAsLime(t *testing.T) {
	h, holds := memoryHost(t, 0)
	out := newMemoryTaker(h)
	check(t, Memory(MemoryOptions{}).Run(context.Background(), h, out))
	got := lime(t, out.streams)
	for r, want := range holds {
		sameMemory(t, got, r, want)
	}
	if n := len(memoryMap(t, out)["taken"]); n != 2 || len(out.problems) != 0 {
		t.Errorf("%d chunks, want 2; problems %v", n, out.problems)
	}
	if string(out.streams[memoryNotes]) != "OSRELEASE=6.1.0\n" || len(out.content["/boot/System.map-6.1.0"]) == 0 {
		t.Errorf("notes %q, symbols %q", out.streams[memoryNotes], out.content["/boot/System.map-6.1.0"])
	}
}

func TestMemoryThatCannotBeReadIsZerosAndARecord(t *testing.T) {
	const lost = 3*kcore.PageSize - 1 // the last page begins within the file
	h, holds := memoryHost(t, lost)
	out := newMemoryTaker(h)
	check(t, Memory(MemoryOptions{}).Run(context.Background(), h, out))
	want := holds[highMemory]
	clear(want[len(want)-3*kcore.PageSize:])
	sameMemory(t, lime(t, out.streams), highMemory, want)
	unread := memoryMap(t, out)["unread"]
	if len(unread) != 1 || unread[0].Start != highMemory.End-3*kcore.PageSize || unread[0].End != highMemory.End {
		t.Errorf("unread: %+v", unread)
	}
	if len(out.problems) != 1 || out.problems[0].Code != evidence.IOError {
		t.Errorf("problems: %v", out.problems)
	}
}

// cutTaker ends the run once it has read so many bytes of memory.
type cutTaker struct {
	*memoryTaker
	left   int
	cancel context.CancelFunc
}

func (c *cutTaker) Stream(ctx context.Context, it evidence.Item, r io.Reader) error {
	return c.memoryTaker.Stream(ctx, it, readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		if c.left -= n; c.left < 0 {
			c.cancel()
		}
		return n, err
	}))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestMemoryGoesOnWhereAnEarlierRunStopped(t *testing.T) {
	h, holds := memoryHost(t, 0)
	ctx, cancel := context.WithCancel(context.Background())
	first := newMemoryTaker(h)
	if err := Memory(MemoryOptions{}).Run(ctx, h, &cutTaker{first, 3 << 20 / 2, cancel}); err == nil {
		t.Fatal("a run that was stopped said that it is whole")
	}
	left := memoryMap(t, first)["left"]
	if len(left) != 1 || left[0].End != highMemory.End || !strings.Contains(left[0].Why, fmt.Sprintf("--memory-from %#x", left[0].Start)) {
		t.Fatalf("left: %+v", left)
	}
	second := newMemoryTaker(h)
	check(t, Memory(MemoryOptions{From: left[0].Start}).Run(context.Background(), h, second))
	for name, text := range second.streams {
		if strings.HasSuffix(name, ".lime") {
			if len(first.streams[name]) > 0 {
				t.Errorf("%s is in both runs", name)
			}
			first.streams[name] = text
		}
	}
	got := lime(t, first.streams)
	for r, want := range holds {
		sameMemory(t, got, r, want)
	}
}

func TestMemoryThatIsNotThereIsARecordThatSaysWhy(t *testing.T) {
	iomem := []byte("00001000-0009ffff : System RAM\n")
	for name, c := range map[string]struct {
		files map[string][]byte
		want  []string
	}{
		"no kcore": {map[string][]byte{
			"proc/iomem": iomem, "sys/kernel/security/lockdown": []byte("none integrity [confidentiality]\n"),
			"proc/sys/kernel/osrelease": []byte("6.1.0\n"), "boot/config-6.1.0": []byte("# CONFIG_PROC_KCORE is not set\nCONFIG_STRICT_DEVMEM=y\n"),
		}, []string{"/proc/kcore: ", "/dev/crash: ", "/dev/mem: ", `lockdown: "confidentiality"`, "CONFIG_PROC_KCORE is not set", "CONFIG_STRICT_DEVMEM=y"}},
		"addresses hidden":      {map[string][]byte{"proc/iomem": []byte("00000000-00000000 : System RAM\n")}, []string{"shows no addresses"}},
		"no iomem":              {nil, []string{"which addresses are memory"}},
		"kcore is no core":      {map[string][]byte{"proc/iomem": iomem, "proc/kcore": []byte("hello")}, []string{"/proc/kcore: "}},
		"devices that are none": {map[string][]byte{"proc/iomem": iomem, "dev/mem": []byte("x"), "dev/crash": []byte("x")}, []string{"not the device of that name"}},
		"nothing readable": {map[string][]byte{"proc/iomem": iomem, "proc/kcore": kcoretest.Synthetic(kcoretest.AMD64, []kcore.Segment{
			{Offset: 1 << 20, Virtual: 0xffff888000001000, Physical: 0x1000, Size: 0x9f000},
		}, nil)}, []string{"/proc/kcore: EOF"}},
	} {
		h := hostOf(t, c.files)
		out := newMemoryTaker(h)
		if err := Memory(MemoryOptions{}).Run(context.Background(), h, out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		i := slices.IndexFunc(out.notes, func(it evidence.Item) bool { return it.Kind == evidence.KindSkipped && it.Path == MemoryName })
		if i < 0 {
			t.Errorf("%s: no record: %v", name, out.notes)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(out.notes[i].Detail, want) {
				t.Errorf("%s: %q is not in %q", name, want, out.notes[i].Detail)
			}
		}
	}
}

func TestMemoryOfAMountedSystemIsNotAsked(t *testing.T) {
	h, _ := memoryHost(t, 0)
	c := collecttest.Collect(context.Background(), t, collect.Options{
		Root: h.Root, Collectors: []collect.Collector{Memory(MemoryOptions{})},
	})
	if got := c.Result.Collectors[0].Outcome; got != collect.Skipped {
		t.Errorf("outcome %s: its /proc/kcore is a file that somebody left there", got)
	}
}

// Devices are tried in their order, and one that opens but gives nothing is
// passed over. A file stands for each: its offsets are physical addresses.
func TestTheFirstDeviceThatGivesMemoryIsUsed(t *testing.T) {
	ram := []kcore.Range{{Start: 0x1000, End: 0x9000}, {Start: 0x20000, End: 0x30000}}
	whole := make([]byte, 0x30000)
	rand.NewChaCha8([32]byte{2}).Read(whole)
	short := whole[:0x2c800] // the second range cannot be read to its end
	for _, c := range []struct {
		name       string
		crash, mem []byte // nil: not there
		used       string
		unread     uint64
	}{
		{"crash", whole, whole, "/dev/crash", 0},
		{"mem, without crash", nil, whole, "/dev/mem", 0},
		{"mem, where crash gives nothing", []byte{}, whole, "/dev/mem", 0},
		{"crash, in part", short, whole, "/dev/crash", 0x3800 + 0x800},
		{"none", nil, []byte{}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := hostOf(t, map[string][]byte{"proc/iomem": []byte("00001000-00008fff : System RAM\n00020000-0002ffff : System RAM\n")})
			out := newMemoryTaker(h)
			m := &memoryRun{out: out}
			device := func(name string, content []byte) physicalSource {
				return physicalSource{name, func(_ *collect.Host, ram []kcore.Range) (memoryImage, error) {
					path := filepath.Join(h.Root, filepath.Base(name))
					if content != nil {
						check(t, os.WriteFile(path, content, 0o600))
					}
					f, err := os.Open(path)
					if err != nil {
						return memoryImage{}, err
					}
					return deviceImage(name, f, ram), nil
				}}
			}
			m.sources = []physicalSource{{"/proc/kcore", m.openKcore}, device("/dev/crash", c.crash), device("/dev/mem", c.mem)}
			check(t, m.acquire(context.Background(), MemoryOptions{}, h, ""))
			check(t, m.finish(context.Background()))
			records := memoryMap(t, out)
			tried := []string{}
			for _, r := range records["source"] {
				if r.Used != (r.Source == c.used) {
					t.Errorf("source %+v, want %s", r, c.used)
				}
				tried = append(tried, r.Source)
			}
			if want := []string{"/proc/kcore", "/dev/crash", "/dev/mem"}; !slices.Equal(tried, want[:len(tried)]) || c.used == "" && len(tried) != 3 {
				t.Errorf("tried %q", tried)
			}
			got, unread := lime(t, out.streams), uint64(0)
			for _, r := range records["unread"] {
				unread += r.End - r.Start
			}
			if c.used == "" {
				if len(got) > 0 || len(out.notes) != 1 || out.notes[0].Kind != evidence.KindSkipped {
					t.Errorf("ranges %x, notes %+v", got, out.notes)
				}
				return
			}
			want := bytes.Clone(whole)
			if c.unread > 0 {
				clear(want[0x30000-c.unread:])
			}
			for _, r := range ram {
				sameMemory(t, got, r, want[r.Start:r.End])
			}
			if unread != c.unread {
				t.Errorf("%#x bytes unread, want %#x", unread, c.unread)
			}
		})
	}
}
