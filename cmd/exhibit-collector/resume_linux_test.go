package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// A collection that is killed at any moment is finished by resume: what the
// two bundles hold together is what one whole collection would have taken.
func TestAKilledCollectionAndItsRestAreTheWhole(t *testing.T) {
	const files = 3000
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	logs := filepath.Join(root, "var", "log")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		t.Fatal(err)
	}
	noise := rand.NewChaCha8([32]byte{3})
	buf := make([]byte, 2000)
	for i := range files {
		_, _ = noise.Read(buf)
		if err := os.WriteFile(filepath.Join(logs, fmt.Sprintf("%04d.log", i)), buf, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	held := 0
	for i, at := range []int64{64 << 10, 128<<10 + rand.Int64N(2<<20), 1<<20 + rand.Int64N(1<<20), 2<<20 + rand.Int64N(2<<20)} {
		t.Run(strconv.FormatInt(at, 10), func(t *testing.T) {
			first, second := filepath.Join(dir, fmt.Sprintf("a%d.exhibit.tar.zst", i)), filepath.Join(dir, fmt.Sprintf("b%d.exhibit.tar.zst", i))
			cut := killed(t, at, first+gathering.Unfinished, "--root", root, "-o", first, "-c", "linux_logs", "--io-rate", "4M", "--max-size", "1G")
			// One file changes in between, although its size stays.
			changed := filepath.Join(logs, "0000.log")
			_, _ = noise.Read(buf)
			if err := os.WriteFile(changed, buf, 0o644); err != nil {
				t.Fatal(err)
			}
			said, err := exec.Command("exhibit-collector", "resume", cut, "-o", second, "--io-rate", "0").CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			n := union(t, root, cut, second, "/var/log/0000.log")
			t.Logf("killed at %d bytes: %d files of %d held", at, n, files)
			held += n
		})
	}
	if held == 0 {
		t.Error("nothing was ever left out: the test shows nothing")
	}
}

// killed kills a collection once its bundle has so many bytes.
func killed(t *testing.T, at int64, partial string, args ...string) string {
	t.Helper()
	cmd := exec.Command("exhibit-collector", args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if st, err := os.Stat(partial); err == nil && st.Size() >= at {
			break
		}
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("%s did not reach %d bytes: %s", partial, at, said.String())
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if _, err := os.Stat(partial); err != nil {
		t.Fatalf("it ended before it was killed: %s", said.String())
	}
	return partial
}

// union checks that every log of the root is in one of the two bundles, as it
// is now, and returns how many the second leaves to the first.
func union(t *testing.T, root, cut, rest, changed string) (held int) {
	t.Helper()
	before := recovered(t, cut)
	f, err := os.Open(rest)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	rep, err := bundle.Verify(t.Context(), f, st.Size(), bundle.VerifyOptions{})
	if err != nil || !rep.Sealed || !rep.Complete {
		t.Fatalf("the second bundle: %+v, %v", rep, err)
	}
	after, err := bundle.Open(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	if after.Header().Continues != before.seal {
		t.Errorf("it continues %s, the first ends at %s", after.Header().Continues, before.seal)
	}
	// The budget holds again, but for what was said anew.
	if o := after.Header().Options; o["max_size"] != "1073741824" || o["io_rate"] != "" || o["inherited"] != "max-size" {
		t.Errorf("options of the second run: %v", o)
	}
	found := map[string]bool{}
	for it, err := range after.Items() {
		if err != nil {
			t.Fatal(err)
		}
		where, isHeld := strings.CutPrefix(it.Detail, "unchanged since item ")
		sum := it.SHA256
		switch {
		case !strings.HasPrefix(it.Path, "/var/log/"), it.Kind == evidence.KindAbsent:
			continue
		case it.Kind == evidence.KindSkipped && isHeld:
			number, id, _ := strings.Cut(where, " of bundle ")
			leaf, err := strconv.ParseInt(number, 10, 64)
			if err != nil || id != before.Header().Bundle {
				t.Fatalf("%s: %q", it.Path, it.Detail)
			}
			old, err := before.Item(leaf)
			if err != nil || old.Path != it.Path {
				t.Fatalf("%s is said to be item %d: %+v, %v", it.Path, leaf, old, err)
			}
			sum = old.SHA256
			if it.Path == changed {
				t.Errorf("%s changed and is left to the first bundle", it.Path)
			}
			held++
		case it.Kind != evidence.KindFile:
			t.Errorf("%s: %s (%s)", it.Path, it.Kind, it.Detail)
		}
		text, err := os.ReadFile(filepath.Join(root, it.Path))
		if err != nil || evidence.Sum(text) != sum {
			t.Errorf("%s: not the content it has (%v)", it.Path, err)
		}
		found[it.Path] = true
	}
	names, err := os.ReadDir(filepath.Join(root, "var", "log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		if !found["/var/log/"+e.Name()] {
			t.Errorf("%s is in neither bundle", e.Name())
		}
	}
	return held
}

// oldBundle is a cut bundle, made readable.
type oldBundle struct {
	*bundle.Reader
	seal string
}

func recovered(t *testing.T, path string) oldBundle {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	rep, err := bundle.Recover(t.Context(), bytes.NewReader(b), int64(len(b)), &out)
	if err != nil {
		t.Fatal(err)
	}
	r, err := bundle.Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return oldBundle{r, rep.Original.SealID}
}
