package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

type converter func(context.Context, io.ReaderAt, int64, io.Writer) error

func convert(t testing.TB, file []byte, to converter) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := to(context.Background(), bytes.NewReader(file), int64(len(file)), &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var converters = map[string]converter{"tar": WriteTar, "tar.gz": WriteGzip}

func TestConvertedFilesAreTheSameEvidence(t *testing.T) {
	file, contents, seal := sample(t)
	tar := unpackAll(t, file)
	for name, to := range converters {
		t.Run(name, func(t *testing.T) {
			b := convert(t, file, to)
			if name == "tar" && !bytes.Equal(b, tar) {
				t.Error("the tar is not the one inside the bundle")
			}
			rep := verify(t, b, trustTest(t))
			if rep.Verdict != Verified || rep.Form != name || rep.SealID != seal.ID.String() {
				t.Fatalf("%s", explain(rep))
			}
			if !strings.Contains(strings.Join(rep.Sentences, " "), "converted file") {
				t.Errorf("the verdict does not say what kind of file it is about: %q", rep.Sentences)
			}
			r := openBytes(t, b)
			for it, err := range r.Items() {
				if err != nil {
					t.Fatal(err)
				}
				if it.Kind.HasContent() {
					checkContent(t, r, it, contents[it.Member])
				}
			}
			// And back again, by way of each other form.
			for other, to := range converters {
				if again := convert(t, b, to); other == "tar" && !bytes.Equal(again, tar) {
					t.Errorf("%s to %s gives another tar", name, other)
				}
			}
		})
	}
}

func TestConvertedFilesMayBeCutButNotChanged(t *testing.T) {
	file, _, _ := sample(t)
	for name, to := range converters {
		t.Run(name, func(t *testing.T) {
			b := convert(t, file, to)
			random := rand.New(rand.NewPCG(1, 2))
			for range 300 {
				bad := bytes.Clone(b)
				at := random.IntN(len(b))
				bad[at] ^= 1 << random.IntN(8)
				if rep := verify(t, bad, trustTest(t)); rep.Verdict == Verified || rep.Verdict == VerifiedPrefix && name == "tar" {
					t.Fatalf("byte %d changed: %s", at, explain(rep))
				}
			}
			prefixes := 0
			for range 100 {
				n := random.IntN(len(b))
				switch rep := verify(t, b[:n], trustTest(t)); rep.Verdict {
				case VerifiedPrefix:
					prefixes++
				case Unreadable:
				default:
					t.Fatalf("cut at %d of %d: %s", n, len(b), explain(rep))
				}
			}
			if prefixes == 0 {
				t.Error("no cut file is proven up to a checkpoint")
			}
			for _, n := range []int{1, tarBlock, 3 * tarBlock} {
				rep := verify(t, append(bytes.Clone(b), make([]byte, n)...), trustTest(t))
				if rep.Verdict != Altered {
					t.Errorf("%d bytes behind the end: %s", n, explain(rep))
				}
			}
			cut := b[:len(b)*2/3]
			var out bytes.Buffer
			if _, err := Recover(t.Context(), bytes.NewReader(cut), int64(len(cut)), &out); err != nil {
				t.Fatal(err)
			}
			if rep := verify(t, out.Bytes(), trustTest(t)); rep.Verdict != VerifiedPrefix {
				t.Errorf("recovered: %s", explain(rep))
			}
		})
	}
}

func TestADamagedGzipMemberLosesOnlyWhatLiesInIt(t *testing.T) {
	var file bytes.Buffer
	w := newTestWriter(t, &file, testOptions())
	for i := range 8 {
		addBytes(t, w, fmt.Sprintf("/noise/%d", i), noise(3<<20))
	}
	sealBundle(t, w)
	b := convert(t, file.Bytes(), WriteGzip)
	frames, err := gzipFrames(bytes.NewReader(b), int64(len(b)))
	if err != nil || frames.len() < 6 {
		t.Fatal(frames.len(), err)
	}
	for what, at := range map[string]int64{"data": 1000, "header": 3} {
		bad := bytes.Clone(b)
		bad[frames.at(2).file+at] ^= 1
		rep := verify(t, bad, trustTest(t))
		if rep.Verdict != Damaged || rep.Contents < 5 || rep.DamagedItems+rep.Unsealed == 0 && rep.LostRecords == 0 {
			t.Errorf("%s of a member damaged: %s", what, explain(rep))
		}
	}
}

func TestDamagedBundlesAreNotConverted(t *testing.T) {
	file, _, _ := sample(t)
	frames, err := readSeekTable(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(file)
	bad[frames.at(1).file+20] ^= 1
	for name, b := range map[string][]byte{"damaged": bad, "cut": file[:len(file)-30], "empty": nil, "other": noise(1000)} {
		for form, to := range converters {
			if err := to(t.Context(), bytes.NewReader(b), int64(len(b)), io.Discard); err == nil {
				t.Errorf("a %s file was converted to %s", name, form)
			}
		}
		if _, err := WriteZip(t.Context(), bytes.NewReader(b), int64(len(b)), io.Discard); err == nil {
			t.Errorf("a %s file was converted to zip", name)
		}
	}
	full := errors.New("disk full")
	if err := WriteGzip(t.Context(), bytes.NewReader(file), int64(len(file)), brokenSink{full}); !errors.Is(err, full) {
		t.Errorf("a failing sink: %v", err)
	}
	if _, err := WriteZip(t.Context(), bytes.NewReader(file), int64(len(file)), brokenSink{full}); !errors.Is(err, full) {
		t.Errorf("a failing sink: %v", err)
	}
}

type brokenSink struct{ err error }

func (b brokenSink) Write([]byte) (int, error) { return 0, b.err }

func writeZip(t *testing.T, dir string, file []byte) *ZipReport {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "b.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rep, err := WriteZip(t.Context(), bytes.NewReader(file), int64(len(file)), f)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestAnUnzippedBundlePassesItsOwnVerifier(t *testing.T) {
	testenv.Tool(t, "unzip")
	file, contents, _ := sample(t)
	dir := t.TempDir()
	rep := writeZip(t, dir, file)
	if rep.Expanded != 1 || len(rep.Stored) > 0 {
		t.Errorf("report %+v", rep)
	}
	mustRun(t, dir, "unzip", "-q", "b.zip", "-d", "out")
	out := filepath.Join(dir, "out")
	if text := mustRun(t, out, "python3", "exhibit/verify.py"); !strings.Contains(text, "12 records") {
		t.Errorf("says %q", text)
	}
	checkUnpacked(t, out, contents, false)
	info, err := os.Stat(filepath.Join(out, "files/file/etc/hosts"))
	if err != nil || info.ModTime().Unix() != testTime.Unix()-3600 || info.Mode().Perm()&0o222 != 0 {
		t.Errorf("modified %v, mode %v, %v", info.ModTime(), info.Mode(), err)
	}
}

func TestHugeHolesAreNotWrittenIntoAZip(t *testing.T) {
	testenv.Tool(t, "unzip")
	b := sparseBundle(t)
	dir := t.TempDir()
	rep := writeZip(t, dir, b)
	st, err := os.Stat(filepath.Join(dir, "b.zip"))
	if err != nil || st.Size() > 8<<20 || len(rep.Stored) == 0 {
		t.Fatalf("%d bytes, report %+v, %v", st.Size(), rep, err)
	}
	mustRun(t, dir, "unzip", "-q", "b.zip", "-d", "out")
	r := openBytes(t, b)
	checked := 0
	for it, err := range r.Items() {
		if err != nil {
			t.Fatal(err)
		}
		if !it.SumsStored {
			continue
		}
		got, err := os.ReadFile(filepath.Join(dir, "out", StoredFolder, it.Member))
		if err != nil || evidence.Sum(got) != it.SHA256 {
			t.Errorf("%s: the stored ranges have not the recorded SHA-256: %v", it.Member, err)
		}
		checked++
	}
	if checked != len(rep.Stored) {
		t.Errorf("%d items with stored ranges, the report lists %d", checked, len(rep.Stored))
	}
	text, err := run(t, filepath.Join(dir, "out"), "python3", "exhibit/verify.py")
	if err == nil || strings.Count(text, "CHANGED OR MISSING") != checked || strings.Contains(text, "ROOT") {
		t.Errorf("the verifier says %q", text)
	}
}

func TestAZipOfManyItemsUsesZip64(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: 70,000 files")
	}
	testenv.Tool(t, "unzip")
	var file bytes.Buffer
	w := newTestWriter(t, &file, testOptions())
	for i := range 70_000 {
		addBytes(t, w, fmt.Sprintf("/d%d/%d", i%300, i), []byte{byte(i)})
	}
	sealBundle(t, w)
	dir := t.TempDir()
	if rep := writeZip(t, dir, file.Bytes()); rep.Members < 70_000 {
		t.Errorf("report %+v", rep)
	}
	mustRun(t, dir, "unzip", "-q", "b.zip", "-d", "out")
	mustRun(t, filepath.Join(dir, "out"), "python3", "exhibit/verify.py")
}

func TestGunzipAndTarReadAConvertedFile(t *testing.T) {
	for _, tool := range []string{"zstd", "gunzip", "tar", "cmp"} {
		testenv.Tool(t, tool)
	}
	file, contents, _ := sample(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "b.tar.gz"), convert(t, file, WriteGzip), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b.tar.zst"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, dir, "sh", "-ec", "gunzip -c b.tar.gz > a.tar; zstd -dqc b.tar.zst > b.tar; cmp a.tar b.tar; mkdir out; tar xzf b.tar.gz -C out")
	checkUnpacked(t, filepath.Join(dir, "out"), contents, false)
}

func FuzzConverted(f *testing.F) {
	key := testKey(f)
	file := minimal(f, key)
	f.Add(convert(f, file, WriteTar))
	f.Add(convert(f, file, WriteGzip))
	f.Add([]byte(gzipMark + "\x20\x00\x00\x00\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if formOf(bytes.NewReader(b), int64(len(b))) == formZstd {
			return
		}
		rep, err := Verify(t.Context(), bytes.NewReader(b), int64(len(b)), VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := Open(bytes.NewReader(b), int64(len(b))); err == nil {
			for _, err := range r.Items() {
				if err != nil {
					break
				}
			}
		}
		// What verifies can be converted, and verifies again.
		if rep.Verdict == SignerUnknown {
			again := convert(t, b, WriteTar)
			if rep, err := Verify(t.Context(), bytes.NewReader(again), int64(len(again)), VerifyOptions{}); err != nil || rep.Verdict != SignerUnknown {
				t.Fatalf("%v, %v", rep.Verdict, err)
			}
		}
		_, _ = WriteZip(t.Context(), bytes.NewReader(b), int64(len(b)), io.Discard)
	})
}
