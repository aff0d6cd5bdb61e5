package bundle

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// TestCrashHelper is no test: it is the program that the crash tests kill.
func TestCrashHelper(t *testing.T) {
	path := os.Getenv("BUNDLE_CRASH_FILE")
	if path == "" {
		t.Skip("skipped: runs only as a subprocess of the crash tests")
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeUntilError(t, f, f.Sync); err != nil {
		t.Fatal(err)
	}
}

// writeUntilError adds items of mixed sizes until the sink refuses.
func writeUntilError(t *testing.T, sink io.Writer, sync func() error) error {
	t.Helper()
	opt := WriterOptions{CheckpointItems: 20, CheckpointBytes: 1 << 20, Sync: sync}
	w, err := NewWriter(sink, testHeader(), testKey(t), opt)
	if err != nil {
		return err
	}
	defer w.Close()
	random := rand.New(rand.NewPCG(5, 6))
	for i := 0; ; i++ {
		size := random.Int64N(1 << (8 + random.IntN(14)))
		it := evidence.Item{Kind: evidence.KindFile, Path: fmt.Sprintf("/data/%d", i), Size: size}
		if i%5 == 0 {
			it.Size = -1
		}
		if _, err := w.Add(context.Background(), it, Input{R: io.LimitReader(fixedRandom(byte(i)), size)}); err != nil {
			return err
		}
	}
}

func checkCutOff(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range verify(t, b, VerifyOptions{}).Sentences {
		if strings.Contains(s, "sealed") || strings.Contains(s, "seal code") {
			t.Errorf("of a bundle that was never sealed is said: %s", s)
		}
	}
	r := verify(t, b, trustTest(t))
	t.Logf("%d bytes: %d records proven by %d checkpoints, %d records and %d files behind them", len(b), r.Proven, r.Checkpoints, r.Unproven, r.Unsealed)
	if r.Verdict != VerifiedPrefix || r.Proven == 0 {
		t.Error(explain(r))
	}
	out, rep := recovered(t, b)
	if v := verify(t, out, trustTest(t)); v.Verdict != VerifiedPrefix || v.Proven != r.Proven {
		t.Errorf("recovered %+v: %s", rep, explain(v))
	}
}

func TestKilledWriterLeavesAPrefixThatVerifies(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(7, 8))
	for i := range 6 {
		path := filepath.Join(dir, fmt.Sprint(i))
		cmd := exec.Command(os.Args[0], "-test.run=^TestCrashHelper$")
		cmd.Env = append(os.Environ(), "BUNDLE_CRASH_FILE="+path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for range 2000 { // until the header is there
			if info, err := os.Stat(path); err == nil && info.Size() > 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(random.IntN(250)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		checkCutOff(t, path)
	}
}
