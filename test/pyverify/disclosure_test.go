package pyverify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"golang.org/x/crypto/ssh"
)

// judgement is what exhibit_disclosure.py says of one file.
type judgement struct{ verdict, why string }

// disclosureBatch judges all files of its arguments in one process. What is
// printed of records is checked in tests of one file.
const disclosureBatch = `
import contextlib, io, json, pathlib, sys
sys.path.insert(0, sys.argv[1])
import exhibit_disclosure as d, exhibit_verify as v
entries, now = v.signers(sys.argv[3]), v.nanoseconds(sys.argv[4])
for path in sys.argv[5:]:
    with contextlib.redirect_stdout(io.StringIO()):
        verdict, why = v.judged(getattr(d, sys.argv[2]), pathlib.Path(path).read_bytes(), entries, now)
    print(json.dumps([verdict, why]))
`

// judged runs exhibit_disclosure.py over files of one kind: package or bundle.
func judged(t *testing.T, kind, list string, files [][]byte) []judgement {
	t.Helper()
	dir := t.TempDir()
	args := []string{"-B", "-c", disclosureBatch, filepath.Join(testenv.Root(t), "test/pyverify"), kind, list, now}
	for i, b := range files {
		path := filepath.Join(dir, fmt.Sprintf("%04d", i))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	cmd := exec.Command(testenv.Tool(t, "python3"), args...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.CombinedOutput()
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if err != nil || len(lines) != len(files) {
		t.Fatalf("%d verdicts about %d files, %v\n%s", len(lines), len(files), err, out)
	}
	var all []judgement
	for _, line := range lines {
		var one [2]string
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, judgement{one[0], one[1]})
	}
	return all
}

func signersOf(t *testing.T, list string) chainofcustody.AllowedSigners {
	t.Helper()
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	signers, err := chainofcustody.ParseAllowedSigners(text)
	if err != nil {
		t.Fatal(err)
	}
	return signers
}

// oursOfPackage is what this program says of a package.
func oursOfPackage(t *testing.T, b []byte, signers chainofcustody.AllowedSigners) *bundle.DisclosureReport {
	t.Helper()
	r, err := bundle.VerifyDisclosure(context.Background(), bytes.NewReader(b), int64(len(b)), bundle.VerifyOptions{
		Now: func() time.Time { return moment(t) },
		Trusted: func(key ssh.PublicKey, at time.Time) (string, bool) {
			for _, namespace := range []string{chainofcustody.NamespaceSeal, chainofcustody.NamespaceCustody} {
				if who, err := signers.Lookup(key, namespace, at); err == nil {
					return who, true
				}
			}
			return "", false
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readAll(t *testing.T, names []string, path func(string) string) [][]byte {
	t.Helper()
	var files [][]byte
	for _, name := range names {
		b, err := os.ReadFile(path(name))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, b)
	}
	return files
}

func TestDisclosuresGetTheSameVerdictFromBoth(t *testing.T) {
	tools(t)
	list := vectors(t, "disclosure", "allowed_signers")
	signers := signersOf(t, list)
	want := map[string]string{}
	for name, verdict := range verdicts(t, vectors(t, "disclosure", "bad", "verdicts.json")) {
		want["bad/"+name] = verdict
	}
	for _, name := range []string{"two", "unsigned", "with-custody", "every-form"} {
		want[name] = "VERIFIED"
	}
	there, err := filepath.Glob(vectors(t, "disclosure", "bad", "*.tar"))
	if err != nil || len(there)+4 != len(want) {
		t.Fatalf("%d files, %d verdicts, %v", len(there), len(want), err)
	}
	names := slices.Sorted(maps.Keys(want))
	files := readAll(t, names, func(name string) string { return vectors(t, "disclosure", name+".disclosure.tar") })
	for i, theirs := range judged(t, "package", list, files) {
		ours := string(oursOfPackage(t, files[i], signers).Verdict)
		if ours != want[names[i]] || theirs.verdict != want[names[i]] {
			t.Errorf("%s: ours %s, theirs %s (%s), want %s", names[i], ours, theirs.verdict, theirs.why, want[names[i]])
		}
	}
}

func TestErasedBundlesGetTheSameVerdictFromBoth(t *testing.T) {
	tools(t)
	list := vectors(t, "erasure", "allowed_signers")
	type stated struct {
		Verdict string `json:"verdict"`
	}
	want := map[string]string{}
	for _, folder := range []string{"", "bad/"} {
		b, err := os.ReadFile(vectors(t, "erasure", folder+"verdicts.json"))
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]stated
		if err := json.Unmarshal(b, &all); err != nil {
			t.Fatal(err)
		}
		for name, s := range all {
			want[folder+name] = s.Verdict
		}
	}
	there, err := filepath.Glob(vectors(t, "erasure", "bad", "*.zst"))
	if err != nil || len(there)+5 != len(want) {
		t.Fatalf("%d bad files, %d verdicts, %v", len(there), len(want), err)
	}
	names := slices.Sorted(maps.Keys(want))
	files := readAll(t, names, func(name string) string { return vectors(t, "erasure", name+".exhibit.tar.zst") })
	for i, theirs := range judged(t, "bundle", list, files) {
		if theirs.verdict != want[names[i]] {
			t.Errorf("%s: %s (%s), want %s", names[i], theirs.verdict, theirs.why, want[names[i]])
		}
	}
	// Who asks the other program must not be told that such a bundle is whole.
	if verdict, _, out := theirs(t, "bundle", vectors(t, "erasure", "content.exhibit.tar.zst"), "--signers", list); verdict != "ALTERED" {
		t.Errorf("exhibit_verify.py about an erased bundle: %s\n%s", verdict, out)
	}
}

// One byte of an erased bundle is changed, in the tar inside it. What is left of
// such a bundle is proven by both programs or by neither, and it is never whole.
func TestChangedErasedBundlesAreProvenByBothOrNeither(t *testing.T) {
	tools(t)
	random := rand.New(rand.NewPCG(10, 2026)) //nolint:gosec // the same changes in every run
	list := vectors(t, "erasure", "allowed_signers")
	signers := signersOf(t, list)
	var names []string
	var files [][]byte
	for _, name := range []string{"content", "metadata", "later"} {
		b, err := os.ReadFile(vectors(t, "erasure", name+".exhibit.tar.zst"))
		if err != nil {
			t.Fatal(err)
		}
		tar := unframed(t, b)
		names, files = append(names, name+" framed anew"), append(files, framed(t, tar))
		for range 60 {
			changed, at := bytes.Clone(tar), random.IntN(len(tar))
			changed[at] ^= byte(1 + random.IntN(255))
			names, files = append(names, fmt.Sprintf("%s, byte %d", name, at)), append(files, framed(t, changed))
		}
	}
	proven := 0
	for i, theirs := range judged(t, "bundle", list, files) {
		ours := ours(t, files[i], signers).Verdict
		if string(ours) != theirs.verdict && (ours == "VERIFIED-PREFIX" || theirs.verdict == "VERIFIED-PREFIX") || theirs.verdict == "VERIFIED" {
			t.Errorf("%s: ours %s, theirs %s (%s)", names[i], ours, theirs.verdict, theirs.why)
		}
		if theirs.verdict == "VERIFIED-PREFIX" {
			proven++
		}
	}
	if proven != 3 {
		t.Errorf("%d of %d are proven, want the three that were only framed anew", proven, len(files))
	}
}

// What the program prints is what a court reads: each record and what is
// proven of it, the basis, and the verdict last.
func TestTheirProgramSaysWhatIsProvenOfEachRecord(t *testing.T) {
	tools(t)
	for _, c := range []struct {
		kind, file, want string
		code             int
	}{
		{"package", vectors(t, "disclosure", "every-form.disclosure.tar"), `record 0: existence, no bytes, metadata
record 1: existence, content
record 2: existence, metadata
record 3: existence
record 4: existence, content, metadata
record 5: existence, content, metadata
for court of Bonn, basis order of 3 May, 7 Gs 12/26: signed, VERIFIED
6 of 9 records are shown
VERIFIED
`, 0},
		{"package", vectors(t, "disclosure", "unsigned.disclosure.tar"), `record 1: existence, content, metadata
record 2: existence, content
for court of Bonn, basis order of 3 May, 7 Gs 12/26: signed by nobody
2 of 9 records are shown
VERIFIED
`, 0},
		{"bundle", vectors(t, "erasure", "content.exhibit.tar.zst"), `2026-03-14T16:09:26.535897932Z: records 1, 4 erased by alice@lab, ` +
			`order Bonn court, 7 Gs 12/26, reason records of a lawyer: VERIFIED
9 records are proven
VERIFIED-PREFIX
`, 3},
	} {
		list := filepath.Join(filepath.Dir(c.file), "allowed_signers")
		program := filepath.Join(testenv.Root(t), "test/pyverify/exhibit_disclosure.py")
		cmd := exec.Command(testenv.Tool(t, "python3"), "-B", program, c.kind, c.file, "--signers", list, "--now", now)
		cmd.Env = append(os.Environ(), "TZ=UTC")
		out, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if string(out) != c.want || cmd.ProcessState.ExitCode() != c.code {
			t.Errorf("%s: exit %d\n%swant %d\n%s", filepath.Base(c.file), cmd.ProcessState.ExitCode(), out, c.code, c.want)
		}
	}
}

// tarPart is one member of a package: a header of one block, and its bytes.
type tarPart struct{ header, data []byte }

func (p tarPart) name() string { return string(bytes.TrimRight(p.header[:100], "\x00")) }

// tarParts takes a package apart; those here hold no extended headers.
func tarParts(t *testing.T, tar []byte) []tarPart {
	t.Helper()
	var parts []tarPart
	for ; tar[0] != 0; tar = tar[512:] {
		size, err := strconv.ParseInt(string(tar[124:135]), 8, 32)
		if err != nil || tar[156] != '0' {
			t.Fatalf("member of type %c: %v", tar[156], err)
		}
		parts = append(parts, tarPart{bytes.Clone(tar[:512]), bytes.Clone(tar[512 : 512+size])})
		tar = tar[(size+511)/512*512:]
	}
	return parts
}

// together joins parts with sizes and a list of members that fit, so that only
// what was changed can be found.
func together(parts []tarPart) []byte {
	var tar, sums []byte
	for _, p := range parts {
		if p.name() == "disclosure/members.sha256" {
			p.data = sums
		}
		sums = fmt.Appendf(sums, "%s  %s\n", evidence.Sum(p.data), p.name())
		h := bytes.Clone(p.header)
		copy(h[124:], fmt.Sprintf("%011o", len(p.data)))
		copy(h[148:], "        ")
		sum := 0
		for _, c := range h {
			sum += int(c)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		tar = append(append(tar, h...), p.data...)
		tar = append(tar, make([]byte, -len(p.data)&511)...)
	}
	return append(tar, make([]byte, 1024)...)
}

// packages are disclosures of every form and of every binding of a key, by the
// folder of vectors whose list knows who signed.
func packages(t *testing.T) map[string]map[string][]byte {
	t.Helper()
	disclose := func(path string, parts ...bundle.DisclosedPart) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := bundle.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := bundle.Disclose(context.Background(), &out, r, bundle.Disclosure{To: "x \"y\" \\ \u007f \u0001 ü", Basis: "b", Parts: parts}); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	header := bundle.DisclosedPart{Content: true, Meta: true}
	item := bundle.DisclosedPart{Leaf: 1, Content: true, Meta: true}
	mandate, vector := map[string][]byte{}, map[string][]byte{}
	for _, name := range []string{"attended", "attended-plain", "delegated", "of-another-exhibit", "before-its-window", "delegated-ended"} {
		path := vectors(t, "mandate", name+".exhibit.tar.zst")
		mandate[name] = disclose(path, item)
		mandate[name+", header shown"] = disclose(path, header, item)
	}
	for _, name := range []string{"two", "unsigned", "with-custody", "every-form"} {
		vector[name] = readAll(t, []string{name}, func(n string) string { return vectors(t, "disclosure", n+".disclosure.tar") })[0]
	}
	return map[string]map[string][]byte{"mandate": mandate, "disclosure": vector}
}

// One byte of a package is changed, or a member is taken out, put in twice,
// exchanged with the next or emptied, or a byte of one is changed, all with a
// list of members made again. Both programs must say the same.
func TestChangedPackagesGetTheSameVerdictFromBoth(t *testing.T) {
	tools(t)
	counts := map[string]int{}
	for folder, all := range packages(t) {
		changedPackages(t, vectors(t, folder, "allowed_signers"), all, counts)
	}
	t.Logf("packages: %v", counts)
	if counts["VERIFIED"] < 10 || counts["VERIFIED-PREFIX"] < 10 || counts["INTACT-SIGNER-UNKNOWN"] < 10 ||
		counts["INTACT-TIME-UNPROVEN"] < 2 || counts["DAMAGED"] < 5 || counts["ALTERED"] < 300 {
		t.Errorf("%v: the changes do not reach what they should", counts)
	}
}

func changedPackages(t *testing.T, list string, all map[string][]byte, counts map[string]int) {
	t.Helper()
	signers := signersOf(t, list)
	random := rand.New(rand.NewPCG(5, 2026)) //nolint:gosec // the same changes in every run
	var names []string
	var files [][]byte
	add := func(name string, b []byte) { names, files = append(names, name), append(files, b) }
	for _, name := range slices.Sorted(maps.Keys(all)) {
		good := all[name]
		add(name, good)
		for range 12 {
			b, at := bytes.Clone(good), random.IntN(len(good))
			b[at] ^= byte(1 + random.IntN(255))
			add(fmt.Sprintf("%s, byte %d", name, at), b)
		}
		add(name+", cut", good[:random.IntN(len(good))])
		if name == "every-form" {
			continue // it has members with extended headers: only bytes of it are changed
		}
		parts := tarParts(t, good)
		with := func(what string, change func([]tarPart) []tarPart) {
			copied := make([]tarPart, len(parts))
			for i, p := range parts {
				copied[i] = tarPart{p.header, bytes.Clone(p.data)}
			}
			add(name+", "+what, together(change(copied)))
		}
		for i, p := range parts {
			with(p.name()+" taken out", func(l []tarPart) []tarPart { return slices.Delete(l, i, i+1) })
			if len(p.data) > 0 {
				with(p.name()+" changed", func(l []tarPart) []tarPart {
					l[i].data[random.IntN(len(p.data))] ^= byte(1 + random.IntN(255))
					return l
				})
			}
		}
		with("a member emptied", func(l []tarPart) []tarPart { l[random.IntN(len(l))].data = nil; return l })
		with("a member twice", func(l []tarPart) []tarPart { i := random.IntN(len(l)); return slices.Insert(l, i, l[i]) })
		with("members exchanged", func(l []tarPart) []tarPart {
			i := random.IntN(len(l) - 1)
			l[i], l[i+1] = l[i+1], l[i]
			return l
		})
		with("all signatures of the seal taken out", func(l []tarPart) []tarPart {
			return slices.DeleteFunc(l, func(p tarPart) bool { return p.name() == "seal/seal.txt.sig" || p.name() == "seal/seal.cert.sig" })
		})
		with("binding and certificate taken out", func(l []tarPart) []tarPart {
			return slices.DeleteFunc(l, func(p tarPart) bool {
				return slices.Contains([]string{"seal/collector-key.sig", "seal/collector-cert.pub", "seal/seal.cert.sig"}, p.name())
			})
		})
	}
	for i, theirs := range judged(t, "package", list, files) {
		ours := oursOfPackage(t, files[i], signers)
		if string(ours.Verdict) != theirs.verdict {
			t.Errorf("%s: ours %s %v, theirs %s (%s)", names[i], ours.Verdict, ours.Problems, theirs.verdict, theirs.why)
		}
		counts[theirs.verdict]++
	}
}

// large is a bundle with an item in two and a half blocks and one with holes of
// 2 GiB, whose hash leaves them out, and the list that knows its key.
func large(t *testing.T) ([]byte, string) {
	t.Helper()
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := bundle.NewWriter(&out, bundle.Header{Case: "C", Exhibit: "EX-001", Grade: bundle.GradeUnattended, Started: moment(t)}, key,
		bundle.WriterOptions{CheckpointInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	image := make([]byte, 10<<20)
	copy(image[6<<20:], "a range of this is shown")
	for _, it := range []struct {
		evidence.Item
		in bundle.Input
	}{
		{evidence.Item{Path: "/disk.img", Size: int64(len(image))}, bundle.Input{R: bytes.NewReader(image)}},
		{evidence.Item{Path: "/sparse", Size: 2<<30 + 512, Holes: []evidence.Extent{{Length: 2 << 30}}}, bundle.Input{At: bytes.NewReader(nil)}},
	} {
		it.Kind, it.Source = evidence.KindFile, "file"
		if _, err := w.Add(context.Background(), it.Item, it.in); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Seal(bundle.Trailer{Reason: "completed", Complete: true, Finished: moment(t)}); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "allowed_signers")
	if err := os.WriteFile(list, append([]byte("run "), bundle.CollectorPub(key.PublicKey())...), 0o600); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), list
}

// A range by its list of blocks, and a content that travels by what is stored
// of it: no vector holds them, for their size.
func TestRangesGetTheSameVerdictFromBoth(t *testing.T) {
	tools(t)
	b, list := large(t)
	r, err := bundle.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := bundle.Disclose(context.Background(), &out, r, bundle.Disclosure{To: "x", Basis: "y", Parts: []bundle.DisclosedPart{
		{Leaf: 1, Content: true, Range: &evidence.Extent{Offset: 6 << 20, Length: 3 << 20}},
		{Leaf: 2, Content: true, Meta: true},
	}}); err != nil {
		t.Fatal(err)
	}
	files := [][]byte{out.Bytes()}
	split := tarParts(t, out.Bytes())
	for i, p := range split {
		if !strings.Contains(p.name(), "/blocks") && !strings.HasSuffix(p.name(), "/content") {
			continue
		}
		for _, change := range []func(*tarPart){
			func(p *tarPart) { p.data = bytes.Clone(p.data); p.data[len(p.data)/2] ^= 1 },
			func(p *tarPart) { p.data = p.data[:len(p.data)-1] },
			func(p *tarPart) { p.data = append(bytes.Clone(p.data), p.data[:65]...) },
		} {
			l := slices.Clone(split)
			change(&l[i])
			files = append(files, together(l))
		}
	}
	if len(files) != 10 {
		t.Fatalf("%d packages", len(files))
	}
	signers := signersOf(t, list)
	for i, theirs := range judged(t, "package", list, files) {
		ours := oursOfPackage(t, files[i], signers)
		if want := map[bool]string{true: "VERIFIED", false: "ALTERED"}[i == 0]; string(ours.Verdict) != want || theirs.verdict != want {
			t.Errorf("package %d: ours %s %v, theirs %s (%s), want %s", i, ours.Verdict, ours.Problems, theirs.verdict, theirs.why, want)
		}
	}
}
