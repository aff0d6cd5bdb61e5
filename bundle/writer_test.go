package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// flaky fails at one place with EIO, but goes on by offset.
type flaky struct {
	b   []byte
	bad int64
	pos int64
}

func (f *flaky) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *flaky) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(f.b)) {
		return 0, io.EOF
	}
	if off/4096 == f.bad/4096 {
		return 0, syscall.EIO
	}
	if end := f.bad &^ 4095; off < end {
		p = p[:min(int64(len(p)), end-off)]
	}
	return copy(p, f.b[off:]), nil
}

func TestWhatCannotBeReadIsZeroAndListed(t *testing.T) {
	b := bytes.Repeat([]byte("0123456789abcdef"), 2<<16)
	cases := []struct {
		name string
		size int64
		in   Input
		want []evidence.Unread
		grew bool
	}{
		{"short", int64(len(b)) + 100, Input{R: bytes.NewReader(b)}, []evidence.Unread{{Offset: int64(len(b)), Length: 100, Reason: "short"}}, false},
		{"grown", int64(len(b)) - 100, Input{R: bytes.NewReader(b)}, nil, true},
		{"bad block, in order only", int64(len(b)), Input{R: &flaky{b: b, bad: 9000}}, []evidence.Unread{{Offset: 8192, Length: int64(len(b)) - 8192, Reason: "EIO"}}, false},
		{"bad block, by offset", int64(len(b)), Input{R: &flaky{b: b, bad: 9000}, At: &flaky{b: b, bad: 9000}}, []evidence.Unread{{Offset: 8192, Length: 4096, Reason: "EIO"}}, false},
		{"unknown length, broken", -1, Input{R: io.MultiReader(bytes.NewReader(b), &flaky{b: b})}, []evidence.Unread{{Offset: int64(len(b)), Length: -1, Reason: "EIO"}}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			w := newTestWriter(t, &out, testOptions())
			it, err := w.Add(context.Background(), evidence.Item{Kind: evidence.KindFile, Path: "/f", Size: c.size}, c.in)
			if err != nil {
				t.Fatal(err)
			}
			sealBundle(t, w)
			if fmt.Sprint(it.Unread) != fmt.Sprint(c.want) || it.Changed != c.grew {
				t.Errorf("unread %v, want %v; changed %t", it.Unread, c.want, it.Changed)
			}
			if r := verify(t, out.Bytes(), trustTest(t)); r.Verdict != Verified {
				t.Error(explain(r))
			}
			back, err := openBytes(t, out.Bytes()).Item(it.Index)
			if err != nil || fmt.Sprint(back.Unread) != fmt.Sprint(c.want) || back.SHA256 != it.SHA256 {
				t.Errorf("reads back as %+v: %v", back, err)
			}
		})
	}
}

func TestChangeWhileReadingIsRecorded(t *testing.T) {
	var out bytes.Buffer
	w := newTestWriter(t, &out, testOptions())
	before := evidence.Stat{Size: 3, Modified: testTime, Inode: 1}
	for name, c := range map[string]struct {
		after   evidence.Stat
		changed bool
	}{
		"same": {before, false},
		"read": {evidence.Stat{Size: 3, Modified: testTime, Inode: 1, Accessed: testTime}, false},
		"more": {evidence.Stat{Size: 9, Modified: testTime.Add(1), Inode: 1}, true},
		"new":  {evidence.Stat{Size: 3, Modified: testTime, Inode: 2}, true},
	} {
		it, err := w.Add(context.Background(), evidence.Item{Kind: evidence.KindFile, Path: "/" + name, Size: 3, Stat: &before},
			Input{R: strings.NewReader("abc"), After: func() (*evidence.Stat, error) { return &c.after, nil }})
		if err != nil {
			t.Fatal(err)
		}
		if it.Changed != c.changed || (it.After == nil) != (name == "same") {
			t.Errorf("%s: changed %t, after %v", name, it.Changed, it.After)
		}
	}
}

// stuck gives a few bytes and then nothing, for ever.
type stuck struct {
	first   io.Reader
	reached chan struct{}
	once    sync.Once
}

func (s *stuck) Read(p []byte) (int, error) {
	if n, err := s.first.Read(p); err == nil {
		return n, nil
	}
	s.once.Do(func() { close(s.reached) })
	select {}
}

func TestSealingDoesNotWaitForASourceThatHangs(t *testing.T) {
	for name, size := range map[string]int64{"known": 12 << 20, "unknown": -1} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			w := newTestWriter(t, &out, testOptions())
			s := &stuck{first: bytes.NewReader(make([]byte, 9<<20)), reached: make(chan struct{})}
			go func() {
				it := evidence.Item{Kind: evidence.KindStream, Path: "fuse/file", Size: size}
				_, _ = w.Add(context.Background(), it, Input{R: s})
			}()
			<-s.reached
			addDone := make(chan struct{})
			if size < 0 {
				addBytes(t, w, "/meanwhile", []byte("others go on"))
			}
			close(addDone)
			sealBundle(t, w)
			if r := verify(t, out.Bytes(), trustTest(t)); r.Verdict != Verified {
				t.Error(explain(r))
			}
			r := openBytes(t, out.Bytes())
			leaf, err := r.Leaf("files/file/fuse/file")
			if err != nil {
				t.Fatal(err)
			}
			it, err := r.Item(leaf)
			if err != nil || len(it.Unread) != 1 || it.Unread[0].Reason != "unfinished" {
				t.Errorf("recorded as %+v: %v", it, err)
			}
		})
	}
}

func TestStalledItemIsEndedSoThatOthersGoOn(t *testing.T) {
	var out bytes.Buffer
	opt := testOptions()
	opt.Stall = 50 * time.Millisecond
	w := newTestWriter(t, &out, opt)
	s := &stuck{first: bytes.NewReader(make([]byte, 3<<20)), reached: make(chan struct{})}
	go func() {
		_, _ = w.Add(context.Background(), evidence.Item{Kind: evidence.KindFile, Path: "/mnt/nfs", Size: 4 << 20}, Input{R: s})
	}()
	<-s.reached
	addBytes(t, w, "/other", []byte("goes on"))
	sealBundle(t, w)
	if r := verify(t, out.Bytes(), trustTest(t)); r.Verdict != Verified || r.Contents != 2 {
		t.Error(explain(r))
	}
}

func TestManyGoroutinesMayAddAtOnce(t *testing.T) {
	var out bytes.Buffer
	opt := testOptions()
	opt.CheckpointItems, opt.CheckpointBytes = 16, 1<<20
	w := newTestWriter(t, &out, opt)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				size := int64(i * i * 7919)
				if i%3 == 0 {
					size = -1
				}
				content := io.LimitReader(newPlenty(), int64(i*i*7919))
				if i == 9 {
					content = io.LimitReader(newPlenty(), 9<<20)
				}
				it := evidence.Item{Kind: evidence.KindFile, Path: fmt.Sprintf("/%d/%d", g, i), Size: size}
				if _, err := w.Add(context.Background(), it, Input{R: content}); err != nil {
					t.Error(err)
				}
				if err := w.Note(evidence.Item{Kind: evidence.KindDir, Path: fmt.Sprintf("/%d", i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	sealBundle(t, w)
	if r := verify(t, out.Bytes(), trustTest(t)); r.Verdict != Verified || r.Contents != 160 || r.Records != 322 {
		t.Error(explain(r))
	}
}

// full is a sink that takes so many bytes.
type full struct {
	bytes.Buffer
	room int
}

var errFull = errors.New("no space left")

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.room {
		n, _ := f.Buffer.Write(p[:f.room])
		f.room = 0
		return n, errFull
	}
	f.room -= len(p)
	return f.Buffer.Write(p)
}

func TestFailingSinkLeavesAVerifiablePrefixAndAnError(t *testing.T) {
	sink := &full{room: 40 << 10}
	opt := testOptions()
	opt.CheckpointItems, opt.FrameSize = 4, 16<<10
	w, err := NewWriter(sink, testHeader(), testKey(t), opt)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; err == nil && n < 1000; n++ {
		_, err = w.Add(context.Background(), evidence.Item{Kind: evidence.KindFile, Path: fmt.Sprint("/", n), Size: -1},
			Input{R: io.LimitReader(fixedRandom(byte(n)), 2000)})
	}
	if !errors.Is(err, errFull) {
		t.Fatalf("after %d items: %v", n, err)
	}
	if _, err := w.Seal(Trailer{}); !errors.Is(err, errFull) {
		t.Errorf("seal: %v", err)
	}
	if r := verify(t, sink.Bytes(), trustTest(t)); r.Verdict != VerifiedPrefix || r.Proven < 9 {
		t.Error(explain(r))
	}
	if err := w.Note(evidence.Item{Kind: evidence.KindDir}); err == nil {
		t.Error("a note was accepted after the failure")
	}
}

func TestSealedBundleTakesNothingMore(t *testing.T) {
	var out bytes.Buffer
	w := newTestWriter(t, &out, testOptions())
	sealBundle(t, w)
	size := out.Len()
	if _, err := w.Add(context.Background(), evidence.Item{Kind: evidence.KindFile}, Input{}); !errors.Is(err, ErrSealed) {
		t.Errorf("add: %v", err)
	}
	if _, err := w.Seal(Trailer{}); !errors.Is(err, ErrSealed) {
		t.Errorf("seal: %v", err)
	}
	if err := errors.Join(w.Close()); err != nil || out.Len() != size {
		t.Errorf("close: %v, %d bytes more", err, out.Len()-size)
	}
}

func TestLongLedgerBecomesAnItem(t *testing.T) {
	var out bytes.Buffer
	w := newTestWriter(t, &out, testOptions())
	tr := Trailer{Reason: "completed"}
	for i := range 10000 {
		tr.Ledger = append(tr.Ledger, Outcome{Rule: fmt.Sprint("rule", i), State: "done", Matched: int64(i)})
	}
	if _, err := w.Seal(tr); err != nil {
		t.Fatal(err)
	}
	r := openBytes(t, out.Bytes())
	c, err := r.Open(r.Trailer().LedgerMember)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil || bytes.Count(b, []byte("\n")) != 10000 || r.Trailer().Ledger != nil {
		t.Errorf("%d lines: %v", bytes.Count(b, []byte("\n")), err)
	}
}

func TestRecordThatWouldBeTooLongIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	var out bytes.Buffer
	w := newTestWriter(t, &out, testOptions())
	it := evidence.Item{Kind: evidence.KindFile, Path: strings.Repeat("x", 40<<10)}
	if _, err := w.Add(context.Background(), it, Input{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	many := map[string][]byte{}
	for i := range 30 {
		many[fmt.Sprint("user.", i)] = make([]byte, 60<<10)
	}
	if err := w.Note(evidence.Item{Kind: evidence.KindDir, Path: "/d", Stat: &evidence.Stat{Xattrs: many}}); err != nil {
		t.Fatal(err)
	}
	sealBundle(t, w)
	r := openBytes(t, out.Bytes())
	back, err := r.Item(1)
	if err != nil || !strings.Contains(back.Detail, "30 extended attributes left out") {
		t.Errorf("recorded as %q: %v", back.Detail, err)
	}
	if v := verify(t, out.Bytes(), trustTest(t)); v.Verdict != Verified {
		t.Error(explain(v))
	}
}

func TestMemoryStaysBoundedByTheNumberOfItems(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: writes 300,000 records")
	}
	// Other tests leave pools behind: what counts is what this writer adds.
	runtime.GC()
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	opt := testOptions()
	w := newTestWriter(t, io.Discard, opt)
	const items = 300_000
	for i := range items {
		addBytes(t, w, fmt.Sprintf("/home/u/%d/%d", i/1000, i), nil)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	used := int64(m.HeapAlloc) - int64(before.HeapAlloc)
	if limit := int64(64<<20 + 48*items); used > limit {
		t.Errorf("%d bytes of heap in use, limit %d", used, limit)
	}
	t.Logf("%d items: %d MiB of heap in use", items, used>>20)
}
