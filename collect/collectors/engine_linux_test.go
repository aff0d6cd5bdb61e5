package collectors

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// collected runs collectors over a root into a bundle and opens it.
func collected(t testing.TB, root string, shelf ...collect.Collector) *bundle.Reader {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "b.exhibit.tar.zst"))
	check(t, err)
	t.Cleanup(func() { file.Close() })
	res, err := collect.Run(context.Background(), collect.Options{
		Case: "1", Exhibit: "E1", Root: root, Collectors: shelf, Out: file, OwnFiles: []*os.File{file},
	})
	check(t, err)
	if res.Partial {
		t.Fatalf("partial: %s", res.Reason)
	}
	st, err := file.Stat()
	check(t, err)
	r, err := bundle.Open(file, st.Size())
	check(t, err)
	return r
}

func TestHostileNamesAreInTheBundleByteForByte(t *testing.T) {
	h := plantHostile(t, "/var/log", "/etc/x", "/home/u/.ssh")
	r := collected(t, h.Root, linuxLogs, linuxPersistence, linuxUsers, filesystemWalk)
	items := map[string]evidence.Item{}
	for it, err := range r.Items() {
		check(t, err)
		if it.Path == record.Files || it.Kind != evidence.KindSkipped || items[it.Path].Path == "" {
			items[it.Path] = it
		}
	}
	for _, dir := range []string{"/var/log", "/etc/x", "/home/u/.ssh"} {
		for _, path := range everything(t, h, dir) {
			it, ok := items[path]
			if !ok {
				t.Errorf("%q is not in the bundle", path)
				continue
			}
			if base := filepath.Base(path); it.Kind == evidence.KindFile && slices.Contains(hostile, base) && it.SHA256 != evidence.Sum([]byte(base)) {
				t.Errorf("%q has the content of another", path)
			}
		}
	}
	walk, err := r.Open(items[record.Files].Member)
	check(t, err)
	defer walk.Close()
	text, err := io.ReadAll(walk)
	check(t, err)
	if n, want := bytes.Count(text, []byte{'\n'}), len(everything(t, h, "/"))+1; n != want {
		t.Errorf("the walk has %d lines, want %d", n, want)
	}
}

// plantLogTree makes logs of about so many bytes in 100 files, 3000 small
// configuration files and a lastlog that is almost all hole.
func plantLogTree(t testing.TB, size int) string {
	t.Helper()
	root := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	logs, etc := filepath.Join(root, "var/log"), filepath.Join(root, "etc/app")
	check(t, os.MkdirAll(logs, 0o755))
	check(t, os.MkdirAll(etc, 0o755))
	words := []string{"Accepted publickey for", "session opened for user", "Failed password for invalid user", "GET /index.php HTTP/1.1", "connection closed by", "kernel: [UFW BLOCK] IN=eth0"}
	for i := range 100 {
		var text bytes.Buffer
		for text.Len() < size/100 {
			fmt.Fprintf(&text, "Jan %2d %02d:%02d:%02d host proc[%d]: %s user%d from 10.%d.%d.%d port %d\n", i%28+1, random.IntN(24), random.IntN(60), random.IntN(60),
				random.IntN(30000), words[random.IntN(len(words))], random.IntN(500), random.IntN(256), random.IntN(256), random.IntN(256), random.IntN(65536))
		}
		check(t, os.WriteFile(filepath.Join(logs, fmt.Sprintf("app%d.log", i)), text.Bytes(), 0o640))
	}
	for i := range 3000 {
		check(t, os.WriteFile(filepath.Join(etc, fmt.Sprintf("c%d.conf", i)), fmt.Appendf(nil, "key%d = %x\n", i, random.Uint64()), 0o644))
	}
	last, err := os.Create(filepath.Join(logs, "lastlog"))
	check(t, err)
	defer last.Close()
	_, err = last.WriteAt(make([]byte, 292), 0)
	check(t, err)
	_, err = last.WriteAt(bytes.Repeat([]byte{1}, 292), 292*145_000_000)
	check(t, err)
	return root
}

// BenchmarkCollectLogTree collects and seals logs and configuration; CPU-s is
// of the whole process.
func BenchmarkCollectLogTree(b *testing.B) {
	const size = 555_000_000
	root := plantLogTree(b, size)
	b.SetBytes(size)
	cpu := 0.0
	for b.Loop() {
		before := cpuSeconds(b)
		_, err := collect.Run(context.Background(), collect.Options{
			Case: "1", Exhibit: "E1", Root: root, Out: io.Discard,
			Collectors: []collect.Collector{linuxLogs, linuxPersistence, linuxUsers},
		})
		check(b, err)
		cpu += cpuSeconds(b) - before
	}
	b.ReportMetric(cpu/float64(b.N), "CPU-s/op")
}

func cpuSeconds(t testing.TB) float64 {
	t.Helper()
	var u unix.Rusage
	check(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
