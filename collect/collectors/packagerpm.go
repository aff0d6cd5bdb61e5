package collectors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/pkgdb"
)

// rpmDirs are where rpm keeps its database: since ever, since 2022 (Fedora,
// openSUSE), and with ostree. The one is often a link to the other.
var rpmDirs = []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm"}

// rpmDatabases are its forms, in the order in which rpm looks for them.
var rpmDatabases = []string{"rpmdb.sqlite", "Packages.db", "Packages"}

// rpm reads the database of rpm(8). Where a host has several, one is compared
// with, and the others are said: what a change of the form left behind tells
// of files as they once were.
func (t *packageTable) rpm(ctx context.Context, add adding, own owning) (n int, err error) {
	var first linkedFile
	firstName := ""
	for _, base := range rpmDatabases {
		for _, dir := range rpmDirs {
			name := dir + "/" + base
			st, serr := t.host.Stat(name)
			switch {
			case errors.Is(serr, fs.ErrNotExist):
				continue
			case serr != nil:
				err = errors.Join(err, serr)
				continue
			case firstName == "":
				first, firstName = linkedFile{st.Dev, st.Inode}, name
				var rerr error
				n, rerr = t.rpmDatabase(ctx, name, add, own)
				err = errors.Join(err, rerr)
			case first != linkedFile{st.Dev, st.Inode}:
				t.problem(problemAt(evidence.Inconsistent, name, "a second database of rpm, which is not compared with; "+firstName+" is"))
			}
		}
	}
	return n, err
}

func (t *packageTable) rpmDatabase(ctx context.Context, name string, add adding, own owning) (n int, err error) {
	broken, foreign, beyond := 0, 0, 0
	each := func(blob []byte) {
		if n++; n > maxPackages || ctx.Err() != nil {
			beyond++
			return
		}
		h, err := pkgdb.ParseRpmHeader(blob)
		if err != nil {
			broken++
			return
		}
		id := add("rpm", h.Package, h.Installed)
		bad, other := h.Files(func(f pkgdb.File) { own(id, f) })
		broken, foreign = broken+bad, foreign+other
	}
	err = t.openAt(name, func(db io.ReaderAt, size int64) error {
		bad, err := 0, error(nil)
		switch {
		case strings.HasSuffix(name, ".sqlite"):
			err = t.openAt(name+"-wal", func(wal io.ReaderAt, walSize int64) (err error) {
				bad, err = pkgdb.RpmSQLite(db, size, wal, walSize, each)
				return err
			})
			if errors.Is(err, fs.ErrNotExist) {
				bad, err = pkgdb.RpmSQLite(db, size, nil, 0, each)
			}
			if st, jerr := t.host.Stat(name + "-journal"); jerr == nil && st.Size > 0 {
				t.rpmIncomplete(evidence.Inconsistent, name+"-journal", "a change of the database was not ended; it was read as it is")
			}
		case strings.HasSuffix(name, ".db"):
			bad, err = pkgdb.RpmNDB(db, size, each)
		default:
			bad, err = pkgdb.RpmBDB(db, size, each)
		}
		broken += bad
		return err
	})
	if errors.Is(err, pkgdb.ErrRpmFormat) {
		t.rpmIncomplete(evidence.Corrupt, name, err.Error())
		err = nil
	}
	if broken > 0 {
		t.rpmIncomplete(evidence.Corrupt, name, fmt.Sprintf("%d entries are not readable and were left out", broken))
	}
	if foreign > 0 {
		t.problem(problemAt(evidence.Unsupported, name, fmt.Sprintf("%d files have digests of a hash that is not compared", foreign)))
	}
	if beyond > 0 {
		t.rpmIncomplete(evidence.TooBig, name, fmt.Sprintf("%d packages were left out", beyond))
	}
	return n - beyond, err
}

// rpmIncomplete says what was not read of a database of rpm: with it goes the
// knowledge of what belongs to nobody.
func (t *packageTable) rpmIncomplete(code evidence.Code, name, detail string) {
	t.complete = false
	t.problem(problemAt(code, name, detail+"; files that belong to no package are not told on this host"))
}

// openAt gives one file of a database to a decoder that reads here and there.
func (t *packageTable) openAt(name string, decode func(io.ReaderAt, int64) error) error {
	f, err := t.host.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	before, err := t.host.StatFile(f)
	if err != nil {
		return err
	}
	if before.Mode&modeType != modeRegular {
		return &fs.PathError{Op: "read", Path: name, Err: collect.ErrNotRegular}
	}
	if before.Size > pkgdb.MaxRpmDatabase {
		return &fs.PathError{Op: "read", Path: name, Err: collect.ErrTooBig}
	}
	if err := decode(f, before.Size); err != nil {
		return err
	}
	after, err := t.host.StatFile(f)
	if err == nil && (after.Size != before.Size || !after.Modified.Equal(before.Modified)) {
		t.rpmIncomplete(evidence.Inconsistent, name, "it was changed while it was read, at "+after.Modified.UTC().Format(time.RFC3339Nano))
	}
	return err
}
