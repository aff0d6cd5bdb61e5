package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFilesAreTheSameToTheLastByteBehindAHole(t *testing.T) {
	dir := t.TempDir()
	const size = 1 << 32
	sparse := func(name, text string, at int64) string {
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first := sparse("a", "text", size/2)
	for _, c := range []struct {
		name, text string
		at         int64
		same       bool
	}{
		{"copy", "text", size / 2, true},
		{"other byte", "texT", size / 2, false},
		{"elsewhere", "text", size / 4, false},
		{"zeros there, data elsewhere", "x", 0, false},
	} {
		second := sparse("b", c.text, c.at)
		for _, args := range [][]string{{"same", first, second}, {"same", second, first}} {
			if err := run(t.Context(), args, nil); (err == nil) != c.same {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if err := os.Remove(second); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(sparse("b", "text", size/2), size+1); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"same", first, filepath.Join(dir, "b")}, nil); err == nil {
		t.Error("a longer file is the same")
	}
}
