package local_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/local"
	"github.com/exhibit-dfir/exhibit/timeline/storetest"
)

// ask runs every kind of question and returns the first error.
func ask(e *local.Engine) error {
	ctx := context.Background()
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	for _, err := range e.Events(ctx, timeline.Query{}, nil) {
		if err != nil {
			add(err)
		}
	}
	where := timeline.Query{Where: timeline.Or{
		timeline.Match{Op: timeline.OpContains, Value: "zzz"},
		timeline.Match{Field: "pid", Op: timeline.OpEqual, Value: "1"},
		timeline.Match{Field: "facility", Op: timeline.OpExists},
		timeline.Match{Field: "user", Op: timeline.OpWord, Value: "root"},
	}}
	_, err := e.Count(ctx, where)
	add(err)
	_, err = e.Hist(ctx, timeline.Query{}, 3600e9)
	add(err)
	_, err = e.Top(ctx, timeline.Query{}, "user", 5)
	add(err)
	_, err = e.Get(ctx, timeline.ID{9})
	if !errors.Is(err, timeline.ErrNoEvent) {
		add(err)
	}
	_, err = e.Explain(ctx, where)
	add(err)
	for _, err := range e.Problems(ctx) {
		add(err)
	}
	return errors.Join(errs...)
}

func TestDamagedSegmentIsNamedAndTheOthersAnswer(t *testing.T) {
	dir := t.TempDir()
	jobs := storetest.Jobs(41, 8, 500)
	build(t, dir, jobs, 1)
	names := segments(t, dir)
	victim := filepath.Join(dir, names[1])
	good, err := os.ReadFile(victim)
	if err != nil {
		t.Fatal(err)
	}
	before, err := open(t, dir).Count(context.Background(), timeline.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string]func(){
		"missing":   func() { os.Remove(victim) },
		"truncated": func() { os.WriteFile(victim, good[:len(good)-9], 0o644) },
		"empty":     func() { os.WriteFile(victim, nil, 0o644) },
		"no footer": func() { os.WriteFile(victim, append(bytes.Clone(good[:len(good)-4]), "XXXX"...), 0o644) },
		"flipped":   func() { b := bytes.Clone(good); b[len(b)/3] ^= 1; os.WriteFile(victim, b, 0o644) },
	} {
		damage()
		e := open(t, dir)
		named := 0
		_, err := e.Verify(context.Background(), func(err error) {
			var file *local.FileError
			if errors.As(err, &file) && file.Name == names[1] {
				named++
			}
		})
		if named != 1 || err != nil {
			t.Errorf("%s: verify named it %d times, %v", what, named, err)
		}
		err = ask(e)
		var file *local.FileError
		if what != "flipped" && (!errors.As(err, &file) || file.Name != names[1]) {
			t.Errorf("%s: error %v, want one that names %s", what, err, names[1])
		}
		asked := 0
		on, err := local.Open(dir, local.Options{Workers: 1, OnDamage: func(error) bool { asked++; return true }})
		if err != nil {
			t.Fatal(err)
		}
		n := int64(len(storetest.Slice(t, on.Events(context.Background(), timeline.Query{}, nil))))
		if what != "flipped" && (n == 0 || n >= before || asked == 0) {
			t.Errorf("%s: %d of %d events, asked %d times", what, n, before, asked)
		}
		if err := ask(on); err != nil {
			t.Errorf("%s: %v though it should go on", what, err)
		}
		on.Close()
		os.WriteFile(victim, good, 0o644)
	}
}

func TestMissingWordFilterCostsTimeNotAnswers(t *testing.T) {
	dir := t.TempDir()
	build(t, dir, storetest.Jobs(42, 6, 400), 1)
	q := timeline.Query{Where: timeline.Match{Op: timeline.OpWord, Value: "mimikatz"}}
	want, err := open(t, dir).Count(context.Background(), q)
	if err != nil || want == 0 {
		t.Fatal(want, err)
	}
	n := 0
	for name := range files(t, dir) {
		if strings.HasSuffix(name, ".tok") {
			os.Remove(filepath.Join(dir, name))
			n++
		}
	}
	e := open(t, dir)
	if got, err := e.Count(context.Background(), q); got != want || err != nil {
		t.Errorf("%d, %v; want %d", got, err, want)
	}
	v, _ := e.Verify(context.Background(), func(error) {})
	if v.Damaged != n {
		t.Errorf("verify found %d missing files, want %d", v.Damaged, n)
	}
}

func TestEveryChangeOfTheManifestIsSeen(t *testing.T) {
	dir := t.TempDir()
	build(t, dir, storetest.Jobs(43, 5, 200), 1)
	path := filepath.Join(dir, "MANIFEST")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(good, []byte("\n"))
	if len(lines) < 8 {
		t.Fatalf("%d lines", len(lines))
	}
	tries := map[string][]byte{
		"line removed":  bytes.Join(append(append([][]byte{}, lines[:2]...), lines[3:]...), nil),
		"lines swapped": bytes.Join([][]byte{lines[0], lines[2], lines[1], bytes.Join(lines[3:], nil)}, nil),
		"last line cut": good[:len(good)-5],
		"no line feed":  good[:len(good)-1],
		"empty":         {},
		"not ours":      []byte("{}\n"),
		"newer":         bytes.Replace(good, []byte("timeline.v1"), []byte("timeline.v9"), 1),
	}
	for what, text := range tries {
		os.WriteFile(path, text, 0o644)
		if e, err := local.Open(dir, local.Options{}); err == nil {
			e.Close()
			t.Errorf("%s: opened", what)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	last := len(good) - len(lines[len(lines)-2]) // what no later line covers
	for range 300 {
		b := bytes.Clone(good)
		b[r.IntN(last)] ^= byte(1 + r.IntN(255))
		os.WriteFile(path, b, 0o644)
		e, err := local.Open(dir, local.Options{})
		if err == nil {
			e.Close()
			t.Fatal("a changed byte before the last line was not seen")
		}
	}
}

// A change of the last line is seen from outside: by its hash.
func TestHeadStandsForTheWholeManifest(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	jobs := storetest.Jobs(44, 3, 100)
	build(t, a, jobs, 1)
	build(t, b, jobs[:2], 1)
	if open(t, a).Head() == open(t, b).Head() {
		t.Error("two timelines have one head")
	}
}

// Flipped bits anywhere in a segment give an error or an answer, never a
// panic or a hang.
func TestFlippedSegmentsNeverPanic(t *testing.T) {
	dir := t.TempDir()
	jobs := storetest.Jobs(45, 1, 0)
	jobs[0].Events = 300
	build(t, dir, jobs, 1)
	victim := filepath.Join(dir, segments(t, dir)[0])
	good, err := os.ReadFile(victim)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(2, 2))
	failed := 0
	for i := range 256 {
		b := bytes.Clone(good)
		at := r.IntN(len(b))
		if i%2 == 0 {
			at = len(b) - 1 - r.IntN(min(len(b), 12000)) // footer and indexes
		}
		b[at] ^= 1 << r.IntN(8)
		os.WriteFile(victim, b, 0o644)
		e, err := local.Open(dir, local.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if ask(e) != nil {
			failed++
		}
		e.Close()
	}
	if failed < 100 {
		t.Errorf("only %d of 256 damaged files gave an error", failed)
	}
}
