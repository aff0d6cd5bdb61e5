package bundle

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// testTime is the clock of every fixed bundle.
var testTime = time.Date(2026, 3, 14, 15, 9, 26, 535897932, time.UTC)

func testKey(t testing.TB) *chainofcustody.RunKey {
	t.Helper()
	key, err := chainofcustody.RunKeyOf(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// fixedRandom is a stream of bytes that is the same every time.
func fixedRandom(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// tableOf reads the seek table of a file.
func tableOf(r io.ReaderAt, size int64) ([]frameAt, error) {
	list, err := readSeekTable(r, size)
	var frames []frameAt
	for i := range list.len() {
		frames = append(frames, list.at(i))
	}
	return frames, err
}

func testOptions() WriterOptions {
	return WriterOptions{
		Now: func() time.Time { return testTime }, Salt: fixedRandom(1), CheckpointInterval: -1,
	}
}

func testHeader() Header {
	return Header{
		Bundle: "0195a1c4-1f70-7abc-8def-0123456789ab", Case: "2026-031", Exhibit: "EX-7",
		Examiner: "alice@lab", Authority: "warrant 12/26", Profile: "triage",
		Host:    Host{Hostname: "web01", MachineID: "0123456789abcdef0123456789abcdef", OS: "linux", Kernel: "6.1.0", Arch: "amd64"},
		Tool:    Tool{Name: "exhibit-collector", Version: "1.0.0"},
		Started: testTime,
		Argv:    []string{"exhibit-collector", "collect"},
	}
}

func newTestWriter(t testing.TB, w io.Writer, opt WriterOptions) *Writer {
	t.Helper()
	out, err := NewWriter(w, testHeader(), testKey(t), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	return out
}

func addBytes(t testing.TB, w *Writer, path string, b []byte) evidence.Item {
	t.Helper()
	it, err := w.Add(context.Background(), evidence.Item{
		Kind: evidence.KindFile, Source: "file", Path: path, Size: int64(len(b)),
		Stat: &evidence.Stat{Mode: 0o100644, Inode: 42, Dev: "8:1", Nlink: 1, Size: int64(len(b)), Modified: testTime.Add(-time.Hour)},
	}, Input{R: bytes.NewReader(b)})
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func sealBundle(t testing.TB, w *Writer) Seal {
	t.Helper()
	s, err := w.Seal(Trailer{Reason: "completed", Complete: true, Finished: testTime.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sample is a bundle with one of everything.
func sample(t testing.TB) (file []byte, contents map[string][]byte, s Seal) {
	t.Helper()
	var out bytes.Buffer
	opt := testOptions()
	opt.MD5, opt.SHA1, opt.CheckpointItems = true, true, 4
	w := newTestWriter(t, &out, opt)
	contents = map[string][]byte{}
	put := func(it evidence.Item, b []byte) { contents[it.Member] = b }
	hosts := []byte("127.0.0.1 localhost\n")
	put(addBytes(t, w, "/etc/hosts", hosts), hosts)
	put(addBytes(t, w, "/etc/HOSTS", []byte("other\n")), []byte("other\n"))
	put(addBytes(t, w, "/tmp/bad\xff\n\x1b[31m name\\..", []byte("x")), []byte("x"))
	put(addBytes(t, w, "/empty", nil), nil)
	notes := []evidence.Item{
		{Kind: evidence.KindDir, Source: "file", Path: "/etc", Stat: &evidence.Stat{Mode: 0o40755, Xattrs: map[string][]byte{"user.a": {1}, "user.\xff": {2}}}},
		{Kind: evidence.KindSymlink, Source: "file", Path: "/etc/localtime", Link: "/usr/share/zoneinfo/Europe/Berlin"},
		{Kind: evidence.KindAbsent, Source: "file", Path: "/etc/shadow-", Detail: "ENOENT", Rule: "LinuxPasswdFile"},
	}
	for _, n := range notes {
		if err := w.Note(n); err != nil {
			t.Fatal(err)
		}
	}
	sparse := make([]byte, 100<<10)
	copy(sparse[8192:], "data in the middle")
	it, err := w.Add(context.Background(), evidence.Item{
		Kind: evidence.KindFile, Source: "file", Path: "/var/log/lastlog", Size: int64(len(sparse)),
		Holes: []evidence.Extent{{Offset: 0, Length: 8192}, {Offset: 12288, Length: int64(len(sparse)) - 12288}},
	}, Input{R: bytes.NewReader(sparse), At: bytes.NewReader(sparse)})
	if err != nil {
		t.Fatal(err)
	}
	put(it, sparse)
	stream := bytes.Repeat([]byte("packet "), 1400_000)
	it, err = w.Add(context.Background(), evidence.Item{
		Kind: evidence.KindStream, Source: "packet", Path: "network/capture.pcapng", Size: -1,
	}, Input{R: io.MultiReader(bytes.NewReader(stream))})
	if err != nil {
		t.Fatal(err)
	}
	put(it, stream)
	short := append([]byte("ten bytes!"), make([]byte, 20)...)
	it, err = w.Add(context.Background(), evidence.Item{
		Kind: evidence.KindFile, Source: "file", Path: "/var/log/truncated", Size: 30,
	}, Input{R: strings.NewReader("ten bytes!")})
	if err != nil {
		t.Fatal(err)
	}
	put(it, short)
	s = sealBundle(t, w)
	return out.Bytes(), contents, s
}

func openBytes(t testing.TB, b []byte) *Reader {
	t.Helper()
	r, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEverythingWrittenReadsBack(t *testing.T) {
	file, contents, seal := sample(t)
	if dir := os.Getenv("BUNDLE_KEEP"); dir != "" {
		_ = os.WriteFile(filepath.Join(dir, "sample.exhibit.tar.zst"), file, 0o644)
	}
	r := openBytes(t, file)
	if r.Seal().ID != seal.ID || !r.Sealed() {
		t.Errorf("seal differs: %s, want %s", r.Seal().Code(), seal.Code())
	}
	if r.Header().Exhibit != "EX-7" || r.Trailer().Reason != "completed" {
		t.Errorf("header %+v, trailer %+v", r.Header(), r.Trailer())
	}
	seen := 0
	for it, err := range r.Items() {
		if err != nil {
			t.Fatal(err)
		}
		if it.Kind.HasContent() {
			seen++
			checkContent(t, r, it, contents[it.Member])
		}
		p, err := r.Prove(it.Index)
		if err != nil {
			t.Fatalf("prove %d: %v", it.Index, err)
		}
		q, err := ParseProof(p.Text(), p.Content, p.Meta)
		if err != nil || q.Verify(seal) != nil {
			t.Fatalf("proof of %d does not survive its text form: %v", it.Index, err)
		}
		p.Content[0], p.Meta[0] = 'x', 'x' // the caller's own: the next look finds them as they were
	}
	if seen != len(contents) {
		t.Errorf("%d items with content, want %d", seen, len(contents))
	}
}

func checkContent(t *testing.T, r *Reader, it evidence.Item, want []byte) {
	t.Helper()
	c, err := r.Open(it.Member)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes, want %d: %v", it.Member, len(got), len(want), err)
	}
	if it.SHA256 != evidence.Sum(want) || it.Size != int64(len(want)) {
		t.Errorf("%s: digest or size differs", it.Member)
	}
	if leaf, err := r.Leaf(it.Member); err != nil || leaf != it.Index {
		t.Errorf("%s: leaf %d, want %d: %v", it.Member, leaf, it.Index, err)
	}
}
