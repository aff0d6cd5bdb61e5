package intake

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func FuzzLayout(f *testing.F) {
	f.Add("[root]/etc/passwd\nuac.log")
	f.Add("uploads/auto/C%3A/..%2Fx\nuploads/ntfs/%5C%5C.%5CC%3A/$MFT\nclient_info.json")
	f.Add("a/C/Windows/x\nfs/$rootfs$/etc\nfs/C:/Users\n./etc/passwd\n/var/log/x")
	f.Fuzz(func(t *testing.T, names string) {
		d := newDetector()
		for n := range strings.SplitSeq(names, "\n") {
			d.see(n)
		}
		for _, want := range append(Layouts(), "") {
			l := d.layout(want)
			for n := range strings.SplitSeq(names, "\n") {
				p := l.place(n)
				if p.host && oddName(p.path) != "" {
					t.Errorf("%q in layout %s is taken for %q of the host", n, l.name, p.path)
				}
			}
		}
	})
}

func FuzzVelociraptorMetadata(f *testing.F) {
	f.Add([]byte(`{"SourceFile":"\\\\.\\C:\\$MFT","Modified":"2021-08-21T20:04:11.32606Z"}`))
	f.Add([]byte(`{"SourceFile":"C","Created":"0001-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		all := map[string]times{}
		metadataRow(all, line)
		for _, v := range all {
			if !v.modified.IsZero() && v.modified.Year() <= 1601 {
				t.Errorf("modified %s", v.modified)
			}
		}
	})
}

// discard is a Sink that reads everything and keeps nothing.
type discard struct{ n int64 }

func (d *discard) Add(_ context.Context, it evidence.Item, r io.Reader) (evidence.Item, error) {
	it.Size, _ = io.Copy(io.Discard, r) //nolint:errcheck // what there is counts
	it.Index = d.n
	d.n++
	return it, nil
}

func (d *discard) Note(evidence.Item) error { return nil }

func FuzzTake(f *testing.F) {
	inner := zipOf(f, file{"[root]/etc/passwd", "x"}, file{"uac.log", "y"})
	f.Add("a.zip", zipOf(f, file{"in.zip", string(inner)}, file{"b.log", "z"}))
	f.Add("a.tar", tarOf(f, file{"in.zip", string(inner)}, file{"../b.log", "z"}))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		path := filepath.Join(t.TempDir(), "in")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		opt := Options{TempDir: t.TempDir(), Limits: Limits{Bytes: 1 << 20, Entries: 1000}}
		sink := &discard{}
		rep, err := Take(t.Context(), Source{Name: name, File: in, Size: int64(len(b))}, sink, opt)
		if err == nil && rep.Members == 0 {
			t.Error("an import without any item")
		}
	})
}
