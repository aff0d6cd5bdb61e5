package local_test

import (
	"testing"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/local"
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

func TestEngine(t *testing.T) {
	storetest.Run(t, func(t *testing.T, jobs []storetest.Job) timeline.Engine {
		dir := t.TempDir()
		build(t, dir, jobs, 3)
		e, err := local.Open(dir, local.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}
