package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"

	"github.com/exhibit-dfir/exhibit/analyze/parsers"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// TestEveryParserOfTheShelf collects the samples of every parser, in every way
// in which content is stored, and resolves the rows of each to its bytes. A
// parser that is new on the shelf is covered by its samples, once it has a
// witness.
func TestEveryParserOfTheShelf(t *testing.T) {
	l := newLab(t)
	root := filepath.Join(l.work, "root")
	sealed := newSealed(t, filepath.Join(l.work, "records.exhibit.tar.zst"))
	var names []string
	for _, p := range parsers.All() {
		names = append(names, p.Name)
		for _, s := range parsertest.Load(t, filepath.Join(testenv.Root(t), "analyze/parsers/testdata", p.Name)) {
			it := s.Item()
			switch it.Kind {
			case evidence.KindFile:
				plantSample(t, root, p.Name, &s)
			case evidence.KindStream:
				// A record set has one name, and a bundle has it once.
				if !strings.HasPrefix(s.Name, "damaged") {
					sealed.stream(it.Path, s.Data)
				}
			}
		}
	}
	plantForms(t, root)
	sealed.stream(record.Sockets, manySockets()) // more than a stream's segment holds
	sealed.close()
	l.run(complete, "collect", "--root", root)
	l.run([]int{0}, "custody", "receive", sealed.path)
	l.run(complete, "timeline", "build")
	everyFormIsThere(t, everyRowResolves(t, l, names))
}

// plantSample writes a sample where its facts say that it lay, or, where
// another lies there already, below /var/log under the name it had.
func plantSample(t *testing.T, root, parser string, s *parsertest.Sample) {
	t.Helper()
	path := filepath.Join(root, s.Item().Path)
	if _, err := os.Lstat(path); err == nil || !strings.HasPrefix(s.Item().Path, "/") {
		path = filepath.Join(root, "var/log/samples", parser, s.Name, filepath.Base(s.Item().Path))
	}
	plant(t, path, s.Data)
	if at := s.Facts.Modified; !at.IsZero() {
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func plant(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// plantForms writes logs in the forms in which rotation and large files come.
func plantForms(t *testing.T, root string) {
	t.Helper()
	for n, form := range []struct {
		name  string
		write func(io.Writer) io.WriteCloser
	}{
		{"gz", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }},
		{"xz", func(w io.Writer) io.WriteCloser { x, _ := xz.NewWriter(w); return x }},
		{"zst", func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }},
		{"lz4", func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) }},
	} {
		var b bytes.Buffer
		w := form.write(&b)
		_, err := w.Write(syslogText(n*100, 200, 0))
		if err2 := w.Close(); err != nil || err2 != nil {
			t.Fatal(form.name, err, err2)
		}
		plant(t, filepath.Join(root, fmt.Sprintf("var/log/auth.log.%d.%s", n+2, form.name)), b.Bytes())
	}
	plant(t, filepath.Join(root, "var/log/syslog.1"), syslogText(1000, 4500, 2000))
	// Two accounts far apart: what is between them is a hole.
	path := filepath.Join(root, "var/log/lastlog-20261101")
	plant(t, path, lastLogin("pts/0", "203.0.113.7", 1_700_000_000))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(lastLogin("pts/1", "203.0.113.8", 1_700_000_060), 65_000*292); err != nil {
		t.Fatal(err)
	}
}

// syslogText is lines of sshd, each with a number of its own, padded.
func syslogText(first, lines, pad int) []byte {
	var b bytes.Buffer
	for i := range lines {
		at := time.Unix(1_763_000_000+int64(first+i)*7, 0).UTC()
		fmt.Fprintf(&b, "%s web1 sshd[%d]: Failed password for invalid user u%d from 198.51.100.%d port %d ssh2%s\n",
			at.Format("2006-01-02T15:04:05.000000-07:00"), 1000+i, first+i, i%250+1, 1024+i, strings.Repeat(" x", pad/2))
	}
	return b.Bytes()
}

func lastLogin(tty, host string, at uint32) []byte {
	rec := make([]byte, 292)
	binary.LittleEndian.PutUint32(rec, at)
	copy(rec[4:], tty)
	copy(rec[36:], host)
	return rec
}

// manySockets are the lines of more sockets than one segment holds.
func manySockets() []byte {
	var b bytes.Buffer
	for i := range 50_000 {
		fmt.Fprintf(&b, `{"taken":%d,"netns":"net:[4026531840]","family":"inet","proto":"tcp","state":"ESTAB","src_ip":"10.0.0.5","src_port":%d,`+
			`"dst_ip":"203.0.113.%d","dst_port":443,"inode":%d,"uid":0,"from":"sock_diag"}`+"\n", 1_763_900_000_000_000_000+int64(i), i%60000+1024, i%250+1, 10_000+i)
	}
	return b.Bytes()
}

// sealed is a bundle made by the writer itself, for what only a running host
// has.
type sealed struct {
	t    *testing.T
	path string
	file *os.File
	w    *bundle.Writer
	n    int
}

func newSealed(t *testing.T, path string) *sealed {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		t.Fatal(err)
	}
	w, err := bundle.NewWriter(f, bundle.Header{Host: bundle.Host{Hostname: "samples"}}, key, bundle.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &sealed{t: t, path: path, file: f, w: w}
}

// stream adds content whose length the writer does not know.
func (s *sealed) stream(path string, data []byte) {
	s.t.Helper()
	s.n++
	it := evidence.Item{
		Index: -1, Kind: evidence.KindStream, Source: "proc", Path: path, Collector: "samples",
		Rule: fmt.Sprint("sample ", s.n), Size: -1, Started: time.Now(),
	}
	if _, err := s.w.Add(s.t.Context(), it, bundle.Input{R: bytes.NewReader(data)}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sealed) close() {
	s.t.Helper()
	if _, err := s.w.Seal(bundle.Trailer{}); err != nil {
		s.t.Fatal(err)
	}
	if err := s.file.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// everyFormIsThere checks that rows were read from each form of storage.
func everyFormIsThere(t *testing.T, items []*content) {
	t.Helper()
	forms := map[string]bool{}
	for _, c := range items {
		forms[c.events[0].Source.Chain] = true
		if c.item.Member == "" {
			continue
		}
		proof, err := c.reader.Prove(c.item.Index)
		if err != nil {
			t.Fatal(err)
		}
		forms["sparse"] = forms["sparse"] || len(c.item.Holes) > 0
		forms["segments"] = forms["segments"] || bytes.Contains(proof.Meta, []byte(`"segs":`))
		forms["blocks"] = forms["blocks"] || bytes.Contains(proof.Content, []byte(`"blk":`))
	}
	for _, form := range []string{"", "gzip", "xz", "zstd", "lz4", "sparse", "segments", "blocks"} {
		if !forms[form] {
			t.Errorf("no row comes from an item of form %q", form)
		}
	}
}
