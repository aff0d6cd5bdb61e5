package journal

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// row is an entry as journalctl -o json shows it: name to sorted values.
type row map[string][]string

func (r row) add(name, value string) {
	r[name] = append(r[name], value)
	sort.Strings(r[name])
}

func read(t testing.TB, b []byte) ([]row, []Damage, int) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	unlinked := 0
	for {
		e, err := r.Next()
		if err == io.EOF {
			return rows, r.Damage(), unlinked
		}
		if err != nil {
			t.Fatal(err)
		}
		if e.Unlinked {
			unlinked++
		}
		o := row{}
		o.add("__REALTIME_TIMESTAMP", strconv.FormatUint(e.Realtime, 10))
		o.add("__MONOTONIC_TIMESTAMP", strconv.FormatUint(e.Monotonic, 10))
		boot := hex.EncodeToString(e.BootID[:])
		for _, f := range e.Fields {
			if string(f.Name) == "_BOOT_ID" && string(f.Value) == boot {
				continue // shown once, from the entry
			}
			o.add(string(f.Name), string(f.Value))
		}
		o.add("_BOOT_ID", boot)
		rows = append(rows, o)
	}
}

// journalctl returns what the program shows of a file.
func journalctl(t testing.TB, path string) []row {
	t.Helper()
	cmd := exec.Command(testenv.Tool(t, "journalctl"), "--file", path, "--all", "--no-pager", "-o", "json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("journalctl: %v: %s", err, stderr.Bytes())
	}
	var rows []row
	dec := json.NewDecoder(bytes.NewReader(out))
	for dec.More() {
		var o map[string]any
		if err := dec.Decode(&o); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, rowOf(t, o))
	}
	return rows
}

// rowOf takes the shapes of journalctl's JSON: text, a list of numbers for
// bytes that are no text, a list of either for repeated fields.
func rowOf(t testing.TB, o map[string]any) row {
	t.Helper()
	r := row{}
	for name, v := range o {
		switch name {
		case "__CURSOR", "__SEQNUM", "__SEQNUM_ID":
			continue
		}
		switch v := v.(type) {
		case string:
			r.add(name, v)
		case []any:
			if _, raw := v[0].(float64); raw {
				r.add(name, rawBytes(v))
				continue
			}
			for _, one := range v {
				if s, ok := one.(string); ok {
					r.add(name, s)
				} else {
					r.add(name, rawBytes(one.([]any)))
				}
			}
		default:
			t.Fatalf("%s is a %T", name, v)
		}
	}
	return r
}

func rawBytes(v []any) string {
	b := make([]byte, len(v))
	for i := range v {
		b[i] = byte(v[i].(float64))
	}
	return string(b)
}

func sameRows(t testing.TB, got, want []row) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d entries, journalctl shows %d", len(got), len(want))
	}
	for i := range got {
		g, _ := json.Marshal(got[i])
		w, _ := json.Marshal(want[i])
		if !bytes.Equal(g, w) {
			t.Fatalf("entry %d differs\n got %s\nwant %s", i, g, w)
		}
	}
}

func TestEveryFieldEqualsJournalctl(t *testing.T) {
	dir := filepath.Join(testenv.Corpus(t), "journald", "journal")
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.journal"))
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		if filepath.Base(filepath.Dir(path)) == "velociraptor" {
			continue // cut short; journalctl refuses it
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rows, damage, unlinked := read(t, b)
			if len(damage) > 0 || unlinked > 0 {
				t.Errorf("%d unlinked; damage %v", unlinked, damage)
			}
			if bytes.Contains([]byte(path), []byte("_xz_")) {
				if len(rows) != 150 {
					t.Errorf("%d entries, journalctl 257 showed 150", len(rows))
				}
			}
			sameRows(t, rows, journalctl(t, path))
		})
	}
}

// wholeRows counts the rows that are in want as they are.
func wholeRows(got, want []row) int {
	known := map[string]int{}
	for _, w := range want {
		b, _ := json.Marshal(w)
		known[string(b)]++
	}
	n := 0
	for _, g := range got {
		b, _ := json.Marshal(g)
		if known[string(b)] > 0 {
			known[string(b)]--
			n++
		}
	}
	return n
}

func TestDamagedFilesGiveWhatIsBeforeAndAfterTheDamage(t *testing.T) {
	corpus := filepath.Join(testenv.Corpus(t), "journald")
	for _, c := range []struct {
		file, of    string
		rows, whole int // entries found; those that equal one of the undamaged file
		loss        Loss
	}{
		// 60 single bits: the headers of two ENTRY objects, data of 15 entries.
		{"bitflips__gen_zstd_keyed_compact.journal", "gen_zstd_keyed_compact.journal", 150, 135, Corrupt},
		// The cut is behind the last object: journalctl refuses what is all there.
		{"truncated_55__gen_lz4_jenkins_regular.journal", "gen_lz4_jenkins_regular.journal", 150, 150, Truncated},
		// Five ENTRY objects and a shared DATA object were overwritten.
		{"zero_entry_block__gen_zstd_keyed_compact.journal", "gen_zstd_keyed_compact.journal", 145, 144, Corrupt},
	} {
		t.Run(c.file, func(t *testing.T) {
			rows, damage, unlinked := read(t, load(t, corpus, "journal_damaged", c.file))
			want, _, _ := read(t, load(t, corpus, "journal/generated", c.of))
			if whole := wholeRows(rows, want); len(rows) != c.rows || whole != c.whole {
				t.Errorf("%d entries, %d of them whole; want %d and %d", len(rows), whole, c.rows, c.whole)
			}
			if unlinked != 0 {
				t.Errorf("%d entries are said to be unlinked", unlinked)
			}
			if len(damage) == 0 || damage[0].Loss != c.loss || damage[0].Offset < 0 {
				t.Errorf("damage %v", damage)
			}
		})
	}
}

func TestTheBeginningOfACutFileIsRead(t *testing.T) {
	// journalctl refuses this file; its only whole ENTRY object is yielded.
	rows, damage, _ := read(t, load(t, testenv.Corpus(t), "journald/journal/velociraptor", "system.journal"))
	if len(rows) != 1 || len(damage) == 0 || damage[0].Loss != Truncated {
		t.Errorf("%d entries, damage %v", len(rows), damage)
	}
}

func load(t testing.TB, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestJournalsOfARealHostEqualJournalctl(t *testing.T) {
	f, err := os.Open(filepath.Join(testenv.Lab(t), "trees.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := 0
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg || filepath.Ext(h.Name) != ".journal" {
			continue
		}
		files++
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "host.journal")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		rows, damage, unlinked := read(t, b)
		if len(damage) > 0 || unlinked > 0 {
			t.Errorf("%s: %d unlinked; damage %v", h.Name, unlinked, damage)
		}
		sameRows(t, rows, journalctl(t, path))
	}
	if files == 0 {
		t.Error("the laboratory's data has no journal")
	}
}
