package pyverify

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/klauspost/compress/zstd"
)

// batch judges all bundles of its arguments in one process: a verdict a line.
const batch = `
import sys
sys.path.insert(0, sys.argv[1])
import exhibit_verify as v
entries, now = v.signers(sys.argv[2]), v.nanoseconds(sys.argv[3])
for path in sys.argv[4:]:
    with open(path, "rb") as f:
        print(v.judged(v.bundle, f.read(), entries, now)[0])
`

// One byte of a good bundle is changed, in the file or in the tar inside it
// (then framed anew, so that no checksum of a frame gives it away). Neither
// program may call VERIFIED what the other does not.
func TestBundlesWithOneByteChangedAreVerifiedByBothOrNeither(t *testing.T) {
	tools(t)
	list, signers := known(t)
	random := rand.New(rand.NewPCG(8, 2026)) //nolint:gosec // the same changes in every run
	flip := func(b []byte) ([]byte, int) {
		at := random.IntN(len(b))
		c := bytes.Clone(b)
		c[at] ^= byte(1 + random.IntN(255))
		return c, at
	}

	var names []string
	var bundles [][]byte
	for _, vector := range []string{"minimal", "everything"} {
		file, err := os.ReadFile(vectors(t, "bundle", vector+".exhibit.tar.zst"))
		if err != nil {
			t.Fatal(err)
		}
		tar := unframed(t, file)
		names, bundles = append(names, vector+" framed anew"), append(bundles, framed(t, tar))
		for range 50 {
			b, at := flip(file)
			names, bundles = append(names, fmt.Sprintf("%s, byte %d of the file", vector, at)), append(bundles, b)
		}
		// Not in the middle, which is the content of one long item, where one change is like another.
		for i := range 60 {
			from := i % 2 * max(0, len(tar)-(24<<10))
			changed := bytes.Clone(tar)
			end, at := flip(tar[from:min(len(tar), from+(64<<10))])
			at += from
			copy(changed[from:], end)
			names, bundles = append(names, fmt.Sprintf("%s, byte %d of the tar", vector, at)), append(bundles, framed(t, changed))
		}
	}

	dir := t.TempDir()
	args := []string{"-B", "-c", batch, filepath.Join(testenv.Root(t), "test/pyverify"), list, now}
	for i, b := range bundles {
		path := filepath.Join(dir, fmt.Sprintf("%03d", i))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	cmd := exec.Command(testenv.Tool(t, "python3"), args...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.CombinedOutput()
	verdicts := strings.Fields(string(out))
	if err != nil || len(verdicts) != len(bundles) {
		t.Fatalf("%d verdicts about %d bundles, %v\n%s", len(verdicts), len(bundles), err, out)
	}
	sound, differ := 0, 0
	for i, theirs := range verdicts {
		ours := string(ours(t, bundles[i], signers).Verdict)
		if (ours == "VERIFIED") != (theirs == "VERIFIED") {
			t.Errorf("%s: ours %s, theirs %s", names[i], ours, theirs)
		}
		if ours == "VERIFIED" {
			sound++
		}
		if ours != theirs {
			differ++
			t.Logf("%s: ours %s, theirs %s", names[i], ours, theirs)
		}
	}
	if sound < 2 {
		t.Errorf("%d of %d VERIFIED: not even what was only framed anew", sound, len(bundles))
	}
	t.Logf("%d bundles, %d VERIFIED by both, %d in other words", len(bundles), sound, differ)
}

func unframed(t *testing.T, file []byte) []byte {
	t.Helper()
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	tar, err := r.DecodeAll(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tar
}

// framed is a bundle file of a tar: bundle.md, section 2.
func framed(t *testing.T, tar []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(true), zstd.WithEncoderCRC(true),
		zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	var file, table []byte
	n := uint32(0)
	for ; len(tar) > 0; n++ {
		size := min(len(tar), 4<<20)
		frame := w.EncodeAll(tar[:size], nil)
		table = binary.LittleEndian.AppendUint32(table, uint32(len(frame))) //nolint:gosec // a few MiB
		table = binary.LittleEndian.AppendUint32(table, uint32(size))       //nolint:gosec // at most 4 MiB
		file, tar = append(file, frame...), tar[size:]
	}
	file = binary.LittleEndian.AppendUint32(file, 0x184D2A5E)
	file = binary.LittleEndian.AppendUint32(file, uint32(len(table)+9)) //nolint:gosec // 8 bytes a frame
	file = binary.LittleEndian.AppendUint32(append(file, table...), n)
	return binary.LittleEndian.AppendUint32(append(file, 0), 0x8F92EAB1)
}
