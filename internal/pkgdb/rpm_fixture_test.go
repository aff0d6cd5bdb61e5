package pkgdb

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// rpmSpec is a package with every kind of file, one whose header is longer
// than any page, and many small ones.
func rpmSpec(many int) string {
	var b strings.Builder
	b.WriteString(`Name: alpha
Epoch: 2
Version: 1.0
Release: 1
Summary: t
License: none
BuildArch: noarch
%description
t
%package files
Summary: t
%description files
t
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc/dir %{buildroot}/usr/share/f
echo kept > %{buildroot}/usr/bin/kept
echo 'sp ace' > "%{buildroot}/usr/bin/sp ace"
ln -s kept %{buildroot}/usr/bin/link
echo conf > %{buildroot}/etc/alpha.conf
echo loose > %{buildroot}/etc/loose
for i in $(seq 1 2000); do : > %{buildroot}/usr/share/f/a-file-with-a-name-$i; done
%files
/usr/bin/kept
"/usr/bin/sp ace"
/usr/bin/link
%dir /etc/dir
%config(noreplace) /etc/alpha.conf
%config(missingok) %verify(not md5) /etc/loose
%ghost /usr/bin/ghost
%files files
/usr/share/f
`)
	for i := range many {
		fmt.Fprintf(&b, "%%package p%d\nSummary: t\n%%description p%d\nt\n%%files p%d\n/usr/bin/kept\n", i, i, i)
	}
	return b.String()
}

// rpmDB is a folder with rpmdb.sqlite, made by rpm itself; none of its
// packages was unpacked.
func rpmDB(t *testing.T, many int) (dir string) {
	t.Helper()
	rpm, build := testenv.Tool(t, "rpm"), testenv.Tool(t, "rpmbuild")
	top, dir := t.TempDir(), t.TempDir()
	spec := filepath.Join(top, "alpha.spec")
	if err := os.WriteFile(spec, []byte(rpmSpec(many)), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "", build, "--define", "_topdir "+top, "--define", "_build_id_links none", "-bb", spec)
	packages, err := filepath.Glob(top + "/RPMS/noarch/*.rpm")
	if err != nil || len(packages) != many+2 {
		t.Fatalf("%d packages, %v", len(packages), err)
	}
	args := append([]string{"--dbpath", dir, "--justdb", "--nodeps", "--nosignature", "--force", "-i"}, packages...)
	run(t, "", rpm, args...)
	return dir
}

func run(t testing.TB, in, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), name, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, errs.String())
	}
	return out.String()
}

// rpmSays is what rpm itself reads from a database, a line for each file:
// package, version, path, digest, flags.
func rpmSays(t *testing.T, dir, backend string) string {
	t.Helper()
	return run(t, "", testenv.Tool(t, "rpm"), "--define", "_db_backend "+backend, "--dbpath", dir, "-qa", "--qf",
		`[%{=NAME} %{=EVR} %{=INSTALLTIME} %{FILEMODES:octal} %{FILENAMES} |%{FILEDIGESTS}| %{FILEFLAGS} %{FILEVERIFYFLAGS}\n]`)
}

// blobs are the headers of rpmdb.sqlite, each with its number, as SQLite's own
// library reads them.
func blobs(t *testing.T, db string) map[uint32][]byte {
	t.Helper()
	text := run(t, "", testenv.Tool(t, "python3"), "-c", `import sqlite3,sys
for n,b in sqlite3.connect(sys.argv[1]).execute("select hnum,blob from Packages"): print(n,b.hex())`, db)
	all := map[uint32][]byte{}
	for line := range strings.Lines(text) {
		var n uint32
		var blob []byte
		if _, err := fmt.Sscanf(line, "%d %x", &n, &blob); err != nil {
			t.Fatal(err)
		}
		all[n] = blob
	}
	return all
}

// bdbOf writes headers with Berkeley DB's own library.
func bdbOf(t *testing.T, all map[uint32][]byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var b strings.Builder
	b.WriteString("VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\nHEADER=END\n 00000000\n 01000000\n")
	for n, blob := range all {
		fmt.Fprintf(&b, " %x\n %x\n", binary.LittleEndian.AppendUint32(nil, n), blob)
	}
	b.WriteString("DATA=END\n")
	run(t, b.String(), testenv.Tool(t, "db5.3_load"), "-t", "hash", filepath.Join(dir, "Packages"))
	return dir
}

// ndbOf writes headers as rpm's ndb does: no program of Debian can.
func ndbOf(all map[uint32][]byte) []byte {
	file := make([]byte, 2*ndbPage)
	copy(file, "RpmP")
	binary.LittleEndian.PutUint32(file[12:], 2)
	for at := 32; at < len(file); at += 16 {
		copy(file[at:], "Slot")
	}
	at := 32
	for n, blob := range all {
		start := len(file)
		head := append([]byte("BlbS"), make([]byte, 12)...)
		binary.LittleEndian.PutUint32(head[4:], n)
		binary.LittleEndian.PutUint32(head[12:], uint32(len(blob)))
		file = append(append(file, head...), blob...)
		for len(file)%16 != 4 {
			file = append(file, 0)
		}
		file = binary.LittleEndian.AppendUint32(file, adler32.Checksum(file[start:]))
		file = append(binary.LittleEndian.AppendUint32(file, uint32(len(blob))), "BlbE"...)
		binary.LittleEndian.PutUint32(file[at+4:], n)
		binary.LittleEndian.PutUint32(file[at+8:], uint32(start/16))
		binary.LittleEndian.PutUint32(file[at+12:], uint32((len(file)-start)/16))
		at += 32 // every other slot is free
	}
	return file
}

// smallHeader is a header of one package with one file.
func smallHeader() []byte {
	var index, data []byte
	n := uint32(0)
	add := func(tag, typ, count uint32, value []byte) {
		for _, v := range []uint32{tag, typ, uint32(len(data)), count} {
			index = binary.BigEndian.AppendUint32(index, v)
		}
		data = append(data, value...)
		n++
	}
	add(rpmDirIndexes, rpmInt32, 1, make([]byte, 4))
	add(rpmFileFlags, rpmInt32, 1, make([]byte, 4))
	add(rpmFileDigestAlg, rpmInt32, 1, []byte{0, 0, 0, 8})
	add(rpmFileModes, rpmInt16, 1, []byte{0x81, 0xed})
	add(rpmName, rpmString, 1, []byte("small\x00"))
	add(rpmVersion, rpmString, 1, []byte("1\x00"))
	add(rpmDirNames, rpmStringArray, 1, []byte("/usr/bin/\x00"))
	add(rpmBaseNames, rpmStringArray, 1, []byte("tool\x00"))
	add(rpmFileDigests, rpmStringArray, 1, []byte(strings.Repeat("ab", 32)+"\x00"))
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, n), uint32(len(data)))
	return append(append(head, index...), data...)
}
