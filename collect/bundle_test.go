//go:build linux

package collect_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

func TestARunEndsInASealedBundleThatVerifies(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"etc/hostname": "suspect\n", "f\xff": "raw name"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	big, err := os.Create(filepath.Join(root, "big"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := big.WriteAt([]byte("end"), 64<<20); err != nil {
		t.Fatal(err)
	}
	big.Close()
	out, err := os.Create(filepath.Join(dir, "b.exhibit.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c := collect.Collector{Name: "c", Run: func(ctx context.Context, _ *collect.Host, taker collect.Taker) error {
		for _, p := range []string{"/f\xff", "/big", "/none"} {
			if err := taker.File(ctx, p, "rule"); err != nil {
				return err
			}
		}
		taker.Seen("rule", 3)
		return nil
	}}
	res, err := collect.Run(context.Background(), collect.Options{
		Case: "2026-1", Exhibit: "E1", Root: root, Collectors: []collect.Collector{c}, Out: out, OwnFiles: []*os.File{out},
	})
	if err != nil || res.Partial || res.Seal.Size == 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	st, err := out.Stat()
	if err != nil || st.Size() != res.Written {
		t.Fatalf("bundle has %d bytes, result says %d (%v)", st.Size(), res.Written, err)
	}
	r, err := bundle.Open(out, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	if h := r.Header(); h.Case != "2026-1" || h.Host.Hostname != "suspect" || h.Tool.SHA256 == "" {
		t.Errorf("header %+v", h)
	}
	if tr := r.Trailer(); !tr.Complete || len(tr.Ledger) != 2 || tr.Ledger[1].Matched != 3 {
		t.Errorf("trailer %+v", tr)
	}
	kinds := map[string]evidence.Item{}
	for it, err := range r.Items() {
		if err != nil {
			t.Fatal(err)
		}
		kinds[it.Path] = it
	}
	if it := kinds["/f\xff"]; it.Kind != evidence.KindFile || it.SHA256 != evidence.Sum([]byte("raw name")) {
		t.Errorf("file %+v", it)
	}
	if it := kinds["/big"]; it.Size != 64<<20+3 || it.Stored > 1<<20 {
		t.Errorf("sparse file stored with %d of %d bytes", it.Stored, it.Size)
	}
	if it := kinds["/none"]; it.Kind != evidence.KindAbsent {
		t.Errorf("absent file %+v", it)
	}
}
