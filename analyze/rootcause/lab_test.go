package rootcause_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/parsers"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
)

// labEvidence is the laboratory's tree and capture as analysis sees evidence.
type labEvidence struct {
	items []evidence.Item
	data  map[string][]byte
}

func (l *labEvidence) Items() iter.Seq2[evidence.Item, error] {
	return func(yield func(evidence.Item, error) bool) {
		for _, it := range l.items {
			if !yield(it, nil) {
				return
			}
		}
	}
}

type labContent struct{ *bytes.Reader }

func (labContent) Close() error  { return nil }
func (c labContent) Size() int64 { return c.Reader.Size() }

func (l *labEvidence) Open(member string) (evidence.Content, error) {
	b, ok := l.data[member]
	if !ok {
		return nil, fmt.Errorf("open %s: no such member", member)
	}
	return labContent{bytes.NewReader(b)}, nil
}

func (l *labEvidence) add(it evidence.Item, b []byte) {
	it.Index, it.Member = int64(len(l.items)), strconv.Itoa(len(l.items))
	it.Size, it.Stored, it.SHA256 = int64(len(b)), int64(len(b)), evidence.Sum(b)
	l.items = append(l.items, it)
	l.data[it.Member] = b
}

func decompressed(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b, err := d.DecodeAll(raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// loadLab reads the tree, the capture and the file list of the laboratory's
// scenario. What kind says is left out: "audit", "pcap", "fs".
func loadLab(t testing.TB, without ...string) *labEvidence {
	t.Helper()
	dir := testenv.Lab(t)
	skip := func(kind string) bool {
		for _, w := range without {
			if w == kind {
				return true
			}
		}
		return false
	}
	l := &labEvidence{data: make(map[string][]byte)}
	var walk bytes.Buffer
	tr := tar.NewReader(bytes.NewReader(decompressed(t, filepath.Join(dir, "trees.tar.zst"))))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		path := "/" + strings.TrimSuffix(h.Name, "/")
		labStat(&walk, h, path)
		if h.Typeflag != tar.TypeReg || skip("audit") && strings.HasPrefix(path, "/var/log/audit/") {
			continue
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		l.add(evidence.Item{
			Kind: evidence.KindFile, Source: "root", Path: path, Collector: "files",
			Stat: &evidence.Stat{
				Mode: uint32(h.Mode), UID: uint32(h.Uid), GID: uint32(h.Gid), Owner: h.Uname, Group: h.Gname, Size: h.Size,
				Accessed: h.AccessTime, Modified: h.ModTime, Changed: h.ChangeTime,
			},
		}, b)
	}
	if !skip("fs") {
		l.add(evidence.Item{Kind: evidence.KindStream, Source: "root", Path: record.Files, Collector: "walk"}, walk.Bytes())
	}
	if !skip("pcap") {
		l.add(evidence.Item{Kind: evidence.KindStream, Source: "packet", Path: "network/capture.pcap", Collector: "capture"}, decompressed(t, filepath.Join(dir, "veth.pcap.zst")))
	}
	return l
}

// eventBuilder keeps all events of a run in memory.
type eventBuilder struct {
	mu     sync.Mutex
	events []*timeline.Event
}

func (*eventBuilder) Done(string) bool { return false }
func (b *eventBuilder) Begin(context.Context, timeline.Job) (timeline.JobWriter, error) {
	return b, nil
}
func (*eventBuilder) Close() error                 { return nil }
func (*eventBuilder) Commit(context.Context) error { return nil }
func (*eventBuilder) Abort()                       {}

func (b *eventBuilder) Append(_ context.Context, batch *timeline.Batch) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range batch.Events {
		b.events = append(b.events, batch.Events[i].Clone())
	}
	return nil
}

// labTimeline parses the laboratory's evidence into a memory engine.
func labTimeline(t testing.TB, l *labEvidence) *memory.Engine {
	t.Helper()
	b := &eventBuilder{}
	if _, err := analyze.Run(t.Context(), l, b, analyze.Options{Parsers: parsers.All()}); err != nil {
		t.Fatal(err)
	}
	return memory.New(b.events)
}

// truth is one line of the laboratory's ground truth.
type truth struct {
	Type, ID, Name, Why string
	From, To            string
	Start               int64 `json:"start_ns"`
	End                 int64 `json:"end_ns"`
	Files               []string
	Remote              string
	Processes           []struct {
		PID  int64
		Exec int64 `json:"exec_ns"`
	}
}

func readTruth(t testing.TB) []truth {
	t.Helper()
	f, err := os.Open(filepath.Join(testenv.Lab(t), "truth.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []truth
	dec := json.NewDecoder(f)
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		var v truth
		if json.Unmarshal(raw, &v) == nil {
			out = append(out, v)
		}
	}
	return out
}

// labStat writes the line of the file system walk for a member of the tree.
func labStat(w io.Writer, h *tar.Header, path string) {
	ns := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixNano()
	}
	line, err := json.Marshal(record.File{
		Path: record.Bytes(path), Mode: uint32(h.Mode) | 0o100000, UID: uint32(h.Uid), GID: uint32(h.Gid), Owner: h.Uname, Size: h.Size,
		Nlink: 1, Dev: "254:0", Atime: ns(h.AccessTime), Mtime: ns(h.ModTime), Ctime: ns(h.ChangeTime),
	})
	if err == nil {
		w.Write(append(line, '\n'))
	}
}
