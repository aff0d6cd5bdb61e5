package bundle

import (
	"fmt"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func TestMemberNamesAreInert(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"/etc/passwd", "files/file/etc/passwd"},
		{"/../../etc//./x", "files/file/%2E%2E/%2E%2E/etc/%2E/x"},
		{"", "files/file/%2F"},
		{"/", "files/file/%2F"},
		{"/tmp/a b\n\x1b[31m", "files/file/tmp/a%20b%0A%1B%5B31m"},
		{"/tmp/\u202egpj.exe", "files/file/tmp/%E2%80%AEgpj.exe"},
		{"/x/nul.txt", "files/file/x/%6Eul.txt"},
		{"/x/COM1", "files/file/x/%43OM1"},
		{"/x/ends.", "files/file/x/ends%2E"},
		{"/x/ends ", "files/file/x/ends%20"},
		{"/-rf", "files/file/%2Drf"},
		{"/a.seg00001", "files/file/a%2Eseg00001"},
		{"/50%", "files/file/50%25"},
		{`C:\x`, "files/file/C%3A%5Cx"},
	} {
		if got := MemberName("file", c.path); got != c.want || !inertName(got) {
			t.Errorf("%q gives %q, want %q", c.path, got, c.want)
		}
	}
}

func TestLongNamesStayShortAndApart(t *testing.T) {
	a := MemberName("file", "/"+strings.Repeat("x", 255)+"a")
	b := MemberName("file", "/"+strings.Repeat("x", 255)+"b")
	if a == b || len(a) > 220 {
		t.Errorf("%q and %q", a, b)
	}
	deep := strings.Repeat("/folder-name", 300)
	if c, d := MemberName("file", deep+"1"), MemberName("file", deep+"2"); c == d || len(c) > maxName || !inertName(c) {
		t.Errorf("%q and %q", c, d)
	}
}

func TestNamesThatWouldMeetAreKeptApart(t *testing.T) {
	var table nameTable
	seen := map[string]bool{}
	reserve := func(name string, serial int64) string {
		got := table.reserve(name, serial)
		if seen[strings.ToLower(got)] || !inertName(got) {
			t.Errorf("%q gives %q", name, got)
		}
		seen[strings.ToLower(got)] = true
		return got
	}
	if got := reserve("files/file/README", 1); got != "files/file/README" {
		t.Errorf("first is %q", got)
	}
	for i := range int64(1000) {
		reserve("files/file/readme", 2+i)
	}
	reserve("files/file/readme/below", 2000) // a folder where a file is
	reserve("files/file/dir/a", 2001)
	if got := reserve("files/file/DIR", 2002); got == "files/file/DIR" { // a file where a folder is
		t.Errorf("a file took the name of a folder")
	}
}

func TestNameTableFindsWhatItHolds(t *testing.T) {
	var table nameTable
	for i := range uint32(50_000) {
		table.put(nameKey(fmt.Sprint("files/", i)), i)
	}
	for i := range uint32(50_000) {
		if leaf, ok := table.get(nameKey(fmt.Sprint("files/", i))); !ok || leaf != i {
			t.Fatalf("%d gives %d, %t", i, leaf, ok)
		}
	}
	if list := table.sorted(); len(list) != 50_000 {
		t.Errorf("%d entries", len(list))
	}
}

func TestHolesAreAlignedAndNeverGrow(t *testing.T) {
	ext := func(v ...int64) (list []evidence.Extent) {
		for i := 0; i < len(v); i += 2 {
			list = append(list, evidence.Extent{Offset: v[i], Length: v[i+1]})
		}
		return list
	}
	for _, c := range []struct {
		holes []evidence.Extent
		size  int64
		want  []evidence.Extent
	}{
		{ext(0, 4096), 8192, ext(0, 4096)},
		{ext(100, 4096), 8192, ext(512, 3584)},
		{ext(100, 300), 8192, nil},
		{ext(4096, 999999), 5000, ext(4096, 904)},
		{ext(0, 512, 512, 512), 2048, ext(0, 1024)},
		{ext(-5, 512, 600, -1), 2048, nil},
	} {
		if got := alignHoles(c.holes, c.size); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v of %d gives %v, want %v", c.holes, c.size, got, c.want)
		}
	}
	var many []evidence.Extent
	for i := range int64(20_000) {
		many = append(many, evidence.Extent{Offset: i * 8192, Length: 512 * (1 + i%7)})
	}
	if got := alignHoles(many, 20_000*8192); len(got) != maxHoles || checkRanges(got, 20_000*8192) != nil {
		t.Errorf("%d holes kept", len(got))
	}
}
