package parsers

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestLinuxLastlog(t *testing.T) { parsertest.Run(t, linuxLastlog, "testdata/linux_lastlog") }

func FuzzLinuxLastlog(f *testing.F) { parsertest.Fuzz(f, linuxLastlog, "testdata/linux_lastlog") }

// lastlogRecord packs the record of one account.
func lastlogRecord(size int, order binary.ByteOrder, sec int64, line, host string) []byte {
	b := make([]byte, size)
	if size == 296 {
		order.PutUint64(b, uint64(sec))
	} else {
		order.PutUint32(b, uint32(sec))
	}
	copy(b[size-288:], line)
	copy(b[size-256:], host)
	return b
}

func lastlogSample(size int, order binary.ByteOrder) []byte {
	b := make([]byte, 101*size)
	copy(b, lastlogRecord(size, order, 1_763_900_000, "pts/0", "203.0.113.7"))
	copy(b[33*size:], lastlogRecord(size, order, 1_700_000_000, "tty1", ""))
	copy(b[100*size:], lastlogRecord(size, order, 1_763_900_500, "pts/1", "jump.example.org"))
	return b
}

func TestLastlogSamplesAreMade(t *testing.T) {
	if !*makeSamples {
		t.Skip("skipped: runs with -samples only")
	}
	le := lastlogSample(292, binary.LittleEndian)
	damaged := append(bytes.Clone(le[:101*292:101*292]), "half a record"...)
	copy(damaged[50*292:], "\xff\xff\xff\xff\x01\x02\x03")
	for name, b := range map[string][]byte{
		"lastlog.292le": le, "lastlog.296le": lastlogSample(296, binary.LittleEndian),
		"lastlog.292be": lastlogSample(292, binary.BigEndian), "lastlog.296be": lastlogSample(296, binary.BigEndian),
		"damaged.lastlog": damaged,
	} {
		path := filepath.Join("testdata", "linux_lastlog", name)
		facts := `{"path":"/var/log/lastlog","users":{"0":"root","33":"www-data"}}`
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+".item", []byte(facts+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLinuxLastlogEqualsTheLastlogProgram(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(testenv.Corpus(t), "linux-bin/lastlog/generated/lastlog"))
	if err != nil {
		t.Fatal(err)
	}
	res := parsertest.Parse(t, linuxLastlog, parsertest.Sample{Name: "lastlog", Data: data})
	var got []string
	for _, ev := range res.Events {
		tty, _ := ev.Attr("tty")
		host, _ := ev.Attr("host")
		got = append(got, fmt.Sprint(ev.UID, " ", tty, " ", host, " ", ev.TS/1e9))
	}
	// shadow 4.13's lastlog shows these three accounts, times and places.
	want := []string{"0 pts/0 203.0.113.9 1700000001", "1 tty1  1600000001", "33 pts/5 host.example.org 1710000001"}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(res.Problems) > 0 {
		t.Errorf("got %q, want %q; problems %v", got, want, res.Problems)
	}
}

// sparse is a file of mostly holes that counts the bytes read from it.
type sparse struct {
	size int64
	at   map[int64][]byte
	read int64
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	n := int(min(int64(len(p)), s.size-off))
	clear(p[:n])
	for at, b := range s.at {
		if at < off+int64(n) && at+int64(len(b)) > off {
			if at >= off {
				copy(p[at-off:n], b)
			} else {
				copy(p[:n], b[off-at:])
			}
		}
	}
	s.read += int64(n)
	return n, nil
}

func TestLinuxLastlogReadsNoHoles(t *testing.T) {
	// Account 4294967294 exists on hosts with a mapped nobody: 1.2 TB apparent size.
	const top = int64(4294967294)
	file := &sparse{size: (top + 1) * 292, at: map[int64][]byte{
		0:                 lastlogRecord(292, binary.LittleEndian, 1_763_900_000, "pts/0", "a.example"),
		1000 * 292:        lastlogRecord(292, binary.LittleEndian, 1_763_900_001, "pts/1", "b.example"),
		150_000_000 * 292: lastlogRecord(292, binary.LittleEndian, 1_763_900_002, "pts/2", "c.example"),
		top * 292:         lastlogRecord(292, binary.LittleEndian, 1_763_900_003, "pts/3", "d.example"),
	}}
	page := func(uid int64) int64 { return uid * 292 >> 12 << 12 }
	it := &evidence.Item{Path: "/var/log/lastlog", Size: file.size, Holes: []evidence.Extent{
		{Offset: page(1000) + 8192, Length: page(150_000_000) - page(1000) - 8192},
		{Offset: page(150_000_000) + 8192, Length: page(top) - page(150_000_000) - 8192},
		{Offset: 4096, Length: page(1000) - 4096},
	}}
	var uids []int64
	sink := timeline.SinkFunc(func(_ context.Context, b *timeline.Batch) error {
		for i := range b.Events {
			uids = append(uids, b.Events[i].UID)
		}
		return nil
	})
	src := analyze.NewSource(t.Context(), it, analyze.NewHost(), bytes.NewReader(nil), file, file.size)
	out := timeline.NewAppender(t.Context(), sink, &timeline.Source{}, linuxLastlog.Name, 1)
	if err := linuxLastlog.Parse(t.Context(), src, out); err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(uids) != fmt.Sprint([]int64{0, 1000, 150_000_000, top}) {
		t.Errorf("accounts %v", uids)
	}
	if file.read > 8<<20 {
		t.Errorf("%d bytes were read", file.read)
	}
}

func BenchmarkLinuxLastlog(b *testing.B) {
	data := bytes.Repeat(lastlogRecord(292, binary.LittleEndian, 1_763_900_000, "pts/0", "203.0.113.7"), 100_000)
	parsertest.Bench(b, linuxLastlog, parsertest.Sample{Name: "lastlog", Data: data})
}
