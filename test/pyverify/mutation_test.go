package pyverify

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/crypto/ssh"
)

// judge is a Python program that prints the verdict on each file it is given
// as {name: verdict}; one process for all, because starting one takes longer
// than most bundles.
const judge = `
import json, sys
sys.path.insert(0, sys.argv[1])
from bundle_check import bundle
from primitives import signers, text_time
entries, now, out = signers(sys.argv[2]), text_time(sys.argv[3])[0], {}
for path in sys.stdin.read().split("\n"):
    with open(path, "rb") as f:
        data = f.read()
    try:
        out[path] = bundle(data, entries, now).verdict()
    except Exception as e:
        out[path] = "raised %r" % e
print(json.dumps(out))
`

// mutants are changes to a good bundle: single bytes of the file, bytes of the
// tar in new frames that are whole, and files cut short.
func mutants(t *testing.T, rng *rand.Rand, good []byte, n int) [][]byte {
	t.Helper()
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	tar, err := dec.DecodeAll(good, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for i := range n {
		switch i % 4 {
		case 0:
			b := bytes.Clone(good)
			b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
			out = append(out, b)
		case 1, 2: // the same in the tar, of which there are more kinds
			b := bytes.Clone(tar)
			b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
			out = append(out, frame(t, b))
		default:
			out = append(out, bytes.Clone(good[:rng.IntN(len(good))]))
		}
	}
	return out
}

// frame puts a tar into frames of 1 MiB, with a seek table that fits them.
func frame(t *testing.T, tar []byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(true), zstd.WithSingleSegment(true))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = enc.Close() }()
	var out, rows []byte
	for piece := range slices.Chunk(tar, 1<<20) {
		f := enc.EncodeAll(piece, nil)
		out = append(out, f...)
		rows = binary.LittleEndian.AppendUint32(rows, uint32(len(f)))
		rows = binary.LittleEndian.AppendUint32(rows, uint32(len(piece)))
	}
	out = binary.LittleEndian.AppendUint32(append(out, 0x5e, 0x2a, 0x4d, 0x18), uint32(len(rows)+9))
	out = binary.LittleEndian.AppendUint32(append(out, rows...), uint32(len(rows)/8))
	return append(out, 0, 0xb1, 0xea, 0x92, 0x8f)
}

// No change may be taken for verified by one of the two and not by the other,
// and none may make the Python program fail. EXHIBIT_MUTANTS is how many
// changes of each bundle are tried.
func TestNoMutantIsVerifiedByOneAlone(t *testing.T) {
	tools(t)
	list := vectors(t, "bundle", "allowed_signers")
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	signers, err := chainofcustody.ParseAllowedSigners(text)
	if err != nil {
		t.Fatal(err)
	}
	n := 60
	if s := os.Getenv("EXHIBIT_MUTANTS"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatal(err)
		}
	}
	rng, dir := rand.New(rand.NewPCG(1, 2)), t.TempDir()
	var paths []string
	want := map[string]string{}
	for _, name := range []string{"minimal", "everything"} {
		good, err := os.ReadFile(vectors(t, "bundle", name+".exhibit.tar.zst"))
		if err != nil {
			t.Fatal(err)
		}
		dec, err := zstd.NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		tar, err := dec.DecodeAll(good, nil)
		dec.Close()
		if err != nil {
			t.Fatal(err)
		}
		// Both say VERIFIED of what was only put in another frame, or the rest
		// of this test would compare nothing but damage.
		for i, b := range append([][]byte{frame(t, tar)}, mutants(t, rng, good, n)...) {
			path := filepath.Join(dir, fmt.Sprintf("%s-%05d", name, i))
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
			want[path] = verdictOf(b, signers, moment(t))
			if i == 0 && want[path] != "VERIFIED" {
				t.Fatalf("%s in another frame: %s", name, want[path])
			}
		}
	}
	cmd := exec.Command(testenv.Tool(t, "python3"), "-B", "-c", judge, filepath.Join(testenv.Root(t), "test/pyverify"), list, now)
	var in, stderr bytes.Buffer
	for i, p := range paths {
		if i > 0 {
			in.WriteByte('\n')
		}
		in.WriteString(p)
	}
	cmd.Stdin, cmd.Stderr = &in, &stderr
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var got map[string]string
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	same := 0
	for _, p := range paths {
		if want[p] == got[p] {
			same++
			continue
		}
		proven := func(v string) bool { return v == "VERIFIED" || v == "VERIFIED-PREFIX" }
		if proven(want[p]) || proven(got[p]) || !known[got[p]] {
			t.Errorf("%s: ours %s, theirs %s", filepath.Base(p), want[p], got[p])
		} else {
			t.Logf("%s: ours %s, theirs %s", filepath.Base(p), want[p], got[p])
		}
	}
	t.Logf("%d of %d get the very same verdict", same, len(paths))
}

var known = map[string]bool{
	"VERIFIED": true, "VERIFIED-PREFIX": true, "INTACT-SIGNER-UNKNOWN": true,
	"INTACT-TIME-UNPROVEN": true, "DAMAGED": true, "ALTERED": true, "UNREADABLE": true,
}

// verdictOf is ours; a bundle that is refused is one that cannot be read.
func verdictOf(b []byte, signers chainofcustody.AllowedSigners, at time.Time) string {
	r, err := bundle.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), bundle.VerifyOptions{
		Workers: 1, Now: func() time.Time { return at },
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
		return "UNREADABLE"
	}
	return string(r.Verdict)
}
