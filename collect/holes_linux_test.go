package collect

import (
	"os"
	"path/filepath"
	"testing"
)

// holey makes a file of so many pages of data, stride apart, that ends in a
// hole.
func holey(t *testing.T, pages int, stride int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "holey"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	for i := range int64(pages) {
		if _, err := f.WriteAt([]byte("data"), i*stride); err != nil {
			t.Skipf("skipped: no file of %d bytes here: %v", i*stride, err)
		}
	}
	if err := f.Truncate(int64(pages) * stride); err != nil {
		t.Skipf("skipped: %v", err)
	}
	return f
}

func TestHolesBeyondTheLimitOfTheFormat(t *testing.T) {
	t.Run("small ones are read", func(t *testing.T) {
		const stride = 128 << 10
		f := holey(t, 3*maxHoles, stride)
		holes, end := holesOf(f.Fd(), 3*maxHoles*stride)
		if len(holes) == 0 {
			t.Skip("skipped: this file system knows no holes")
		}
		if end != 3*maxHoles*stride || len(holes) > maxHoles {
			t.Errorf("%d holes, ends at %d", len(holes), end)
		}
		for i := 1; i < len(holes); i++ {
			if holes[i].Offset < holes[i-1].Offset+holes[i-1].Length {
				t.Fatalf("hole %d at %d overlaps or is out of order", i, holes[i].Offset)
			}
		}
	})
	t.Run("a file of holes without end is cut", func(t *testing.T) {
		const stride = 1 << 20
		f := holey(t, 3*maxHoles, stride)
		holes, end := holesOf(f.Fd(), 3*maxHoles*stride)
		if len(holes) == 0 {
			t.Skip("skipped: this file system knows no holes")
		}
		data := end
		for _, h := range holes {
			data -= h.Length
		}
		if end >= 3*maxHoles*stride || len(holes) > maxHoles || data > maxFilled {
			t.Errorf("%d holes, ends at %d, %d bytes to read", len(holes), end, data)
		}
	})
}
