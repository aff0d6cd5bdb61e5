package local_test

import (
	"context"
	"testing"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/local"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
	"github.com/exhibit-dfir/exhibit/timeline/storetest"
)

func build(t testing.TB, dir string, jobs []storetest.Job, workers int) {
	t.Helper()
	b, err := local.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Build(t, b, jobs, workers)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	jobs := storetest.Jobs(1, 20, 3000)
	build(t, dir, jobs, 2)
	e, err := local.Open(dir, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	events, _, _ := storetest.Collect(t, jobs)
	m := memory.New(events)
	for _, q := range []timeline.Query{{}, {Where: timeline.Match{Op: timeline.OpWord, Value: "mimikatz"}}} {
		a, err := e.Count(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := m.Count(context.Background(), q)
		if a != b {
			t.Errorf("count %d, want %d", a, b)
		}
	}
}
