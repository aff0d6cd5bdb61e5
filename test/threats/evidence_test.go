package threats

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// hostileNames are paths that would do harm if they were believed.
var hostileNames = []string{
	"/etc/../../../root/.ssh/authorized_keys", "../../outside", "/-rf", "/con", "/NUL.txt", "/a\nb", "/bell\a\x1b[2J\x1b]0;owned\a",
	"/\u202egnp.exe", "/<script>alert(1)</script>", `/=cmd|' /C calc'!A0`, "/\xff\xfe\x00bytes", "/" + strings.Repeat("deep/", 3000), "/" + strings.Repeat("x", 5000),
	"/exhibit/seal.txt", "/case", "/CASE", "/dir", "/dir/below", "/file.seg00000",
}

func TestAuthorOfHostileEvidenceNamesFilesToDoHarm(t *testing.T) {
	h := host{}
	for _, name := range hostileNames {
		h[name] = "content of " + name
	}
	var file bytes.Buffer
	seal := run{key: runKey(t, "run")}.collect(t, h, &file)
	rep := verify(t, file.Bytes(), bundle.VerifyOptions{Confirmed: func(s bundle.Seal) (string, bool) { return "paper", s.ID == seal.ID }})
	want(t, "hostile names", rep.Verdict, bundle.Verified)
	r, err := bundle.Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
	must(t, err)
	above := t.TempDir()
	must(t, os.Mkdir(filepath.Join(above, "out"), 0o700))
	root, err := os.OpenRoot(filepath.Join(above, "out"))
	must(t, err)
	defer root.Close()
	must(t, bundle.Extract(t.Context(), r, root, nil, bundle.ExtractOptions{}))
	found := 0
	must(t, filepath.WalkDir(above, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		found++
		rel, _ := filepath.Rel(above, path)
		switch {
		case !d.Type().IsRegular():
			t.Errorf("%q is no regular file", rel)
		case !strings.HasPrefix(rel, filepath.Join("out", "files")+string(filepath.Separator)):
			t.Errorf("%q was written outside", rel)
		}
		for _, c := range []byte(rel) {
			if c < 0x20 || c >= 0x7f || strings.IndexByte(`<>|"*?\`, c) >= 0 {
				t.Errorf("%q is no inert name", rel)
				break
			}
		}
		return nil
	}))
	if found < len(hostileNames) {
		t.Errorf("%d files of %d were extracted", found, len(hostileNames))
	}
	// What the program shows is text: nothing in it acts on a terminal.
	code, out := exhibit(t, "ls", put(t, "hostile.exhibit.tar.zst", file.Bytes()))
	if code != 0 || strings.ContainsAny(out, "\x1b\a\u202e") {
		t.Errorf("exit code %d, shown with what acts on terminals: %q", code, out[:min(len(out), 300)])
	}
}

// gapless is a file that claims to be huge and is nothing.
type gapless struct{}

func (gapless) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

// Content that is small here and huge there costs what it has, not what it claims.
func TestAuthorOfHostileEvidencePacksBombs(t *testing.T) {
	var out bytes.Buffer
	w, err := bundle.NewWriter(&out, bundle.Header{Case: "CASE-7", Started: started}, runKey(t, "run"), bundle.WriterOptions{CheckpointInterval: -1})
	must(t, err)
	defer w.Close()
	for _, size := range []int64{1 << 50, 1 << 60} {
		it := evidence.Item{Kind: evidence.KindFile, Path: "/sparse", Size: size, Holes: []evidence.Extent{{Offset: 0, Length: size - 512}}}
		_, err := w.Add(context.Background(), it, bundle.Input{At: gapless{}})
		must(t, err)
	}
	it := evidence.Item{Kind: evidence.KindFile, Path: "/zeros", Size: 64 << 20}
	_, err = w.Add(context.Background(), it, bundle.Input{R: io.LimitReader(zeroes{}, 64<<20)})
	must(t, err)
	_, err = w.Seal(bundle.Trailer{Reason: "completed", Complete: true, Finished: started})
	must(t, err)
	if out.Len() > 1<<20 {
		t.Errorf("the bundle takes %d bytes", out.Len())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	rep, err := bundle.Verify(ctx, bytes.NewReader(out.Bytes()), int64(out.Len()), bundle.VerifyOptions{})
	must(t, err)
	want(t, "files of petabytes", rep.Verdict, bundle.SignerUnknown)
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Numbers in what is not signed lead nowhere and allocate nothing much.
func TestAuthorOfHostileEvidenceClaimsHugeSizes(t *testing.T) {
	var file bytes.Buffer
	run{key: runKey(t, "run")}.collect(t, truth, &file)
	good := file.Bytes()
	for at := len(good) - 64; at < len(good); at++ {
		bad := bytes.Clone(good)
		bad[at] = 0xff
		size := int64(len(bad))
		if r, err := bundle.Open(bytes.NewReader(bad), size); err == nil {
			for _, err := range r.Items() {
				if err != nil {
					break
				}
			}
		}
		if v := verify(t, bad, bundle.VerifyOptions{}).Verdict; v == bundle.Verified {
			t.Errorf("byte %d: %s", at, v)
		}
	}
	tar := unpack(t, good)
	for _, claim := range []string{"77777777777", "37777777777", "99999999999"} {
		for _, m := range members(t, tar) {
			bad := bytes.Clone(tar)
			copy(bad[m.from+124:], claim)
			if v := verify(t, repack(t, bad), bundle.VerifyOptions{}).Verdict; v != bundle.Altered && v != bundle.Unreadable && v != bundle.Damaged {
				t.Errorf("%s claims %s bytes: %s", m.name, claim, v)
			}
		}
	}
}
