package collectors

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/pkgdb"
)

// packageTable is what the databases say of files among the programs. A file
// costs 56 bytes: paths are kept as hashes, and the databases are read a
// second time for those that are needed.
type packageTable struct {
	host     *collect.Host
	out      collect.Taker
	seed     maphash.Seed
	packages []packageInfo
	files    []ownedFile // sorted by key
	configs  []configFile
	realDirs []string          // of programDirs that are no links
	links    map[string]string // the others, with what they lead to
	diverted map[string]pkgdb.Diversion
	// complete: every database of the host was read, so that what none of
	// them names belongs to no package.
	complete bool
	full     bool // maxOwned was met
	quiet    bool // the second reading: what is wrong was said
}

type packageInfo struct {
	manager, name string
	installed     time.Time // of its file list; zero: not known
}

type ownedFile struct {
	key       uint64
	pkg       uint32
	algo      pkgdb.Algo
	config    bool
	seen      bool
	mayBeLink bool // the digest may be that of a link's text
	optional  bool // may be missing
	varies    bool // its package says that its content may change
	digest    [32]byte
}

type configFile struct {
	path   string
	pkg    uint32
	algo   pkgdb.Algo
	digest []byte

	optional, varies bool
}

// Bounds of what is kept and read of the databases.
const (
	maxOwned          = 400_000
	maxPackages       = 100_000
	maxPackageConfigs = 50_000
	maxDatabase       = 256 << 20 // bytes of one file of a database
)

// owning is what a reading of the databases calls for each file.
type owning func(pkg uint32, f pkgdb.File)

func readPackages(ctx context.Context, h *collect.Host, out collect.Taker, installed *collect.Records) (*packageTable, error) {
	t := &packageTable{host: h, out: out, seed: maphash.MakeSeed(), links: map[string]string{}, diverted: map[string]pkgdb.Diversion{}, complete: true}
	t.findDirs()
	var lost error
	add := func(manager string, p pkgdb.Package, at time.Time) uint32 {
		if lost == nil {
			r := record.Package{
				Manager: manager, Name: record.Bytes(p.Name), Version: record.Bytes(p.Version), Arch: record.Bytes(p.Arch), State: record.Bytes(p.State),
				Installed: nanoseconds(p.Installed),
			}
			if p.Installed.IsZero() {
				r.Listed = nanoseconds(at)
			}
			lost = installed.Write(r)
		}
		t.packages = append(t.packages, packageInfo{manager, p.Name, at})
		return uint32(len(t.packages) - 1)
	}
	err := t.read(ctx, add, func(pkg uint32, f pkgdb.File) {
		if f.Config && !t.program(f.Path) {
			if f.Algo != pkgdb.NoDigest && len(t.configs) < maxPackageConfigs {
				t.configs = append(t.configs, configFile{f.Path, pkg, f.Algo, f.Digest, f.Optional, f.Varies})
			}
			return
		}
		if !t.program(f.Path) {
			return
		}
		if len(t.files) >= maxOwned {
			t.full = true
			return
		}
		m := t.packages[pkg].manager
		own := ownedFile{key: t.hash(f.Path), pkg: pkg, algo: f.Algo, config: f.Config, mayBeLink: m == "apk", optional: f.Optional || f.Algo == pkgdb.NoDigest, varies: f.Varies}
		copy(own.digest[:], f.Digest)
		t.files = append(t.files, own)
	})
	t.foreign()
	if t.full {
		t.complete = false
		out.Problem(problemAt(evidence.TooBig, record.PackageFiles, fmt.Sprintf("packages have more than %d programs; what belongs to none is not told", maxOwned)))
	}
	sortOwned(t.files)
	// Lists name a file, sums name it again: the one with a digest stays.
	t.files = slices.CompactFunc(t.files, func(a, b ownedFile) bool { return a.key == b.key })
	t.quiet = true
	return t, errors.Join(err, lost)
}

// sortOwned sorts by key, those with a digest first.
func sortOwned(files []ownedFile) {
	slices.SortFunc(files, func(a, b ownedFile) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return min(int(b.algo), 1) - min(int(a.algo), 1)
	})
}

// again reads the databases once more for the paths of files among programs.
func (t *packageTable) again(ctx context.Context, visit func(path string) error) error {
	var failed error
	n := uint32(0)
	err := t.read(ctx, func(string, pkgdb.Package, time.Time) uint32 { n++; return min(n-1, uint32(len(t.packages)-1)) },
		func(_ uint32, f pkgdb.File) {
			if failed == nil && t.program(f.Path) {
				failed = visit(t.real(f.Path))
			}
		})
	return errors.Join(failed, err)
}

// findDirs tells program folders from links to others (merged /usr).
func (t *packageTable) findDirs() {
	for _, dir := range programDirs {
		st, err := t.host.Stat(dir)
		if err != nil || st.Mode&modeType != modeLink {
			t.realDirs = append(t.realDirs, dir)
			continue
		}
		if target, err := t.host.Readlink(dir); err == nil {
			if !strings.HasPrefix(target, "/") {
				target = path.Dir(dir) + "/" + target
			}
			t.links[dir] = path.Clean(target)
		}
	}
}

// real is a path with the link of its program folder resolved.
func (t *packageTable) real(name string) string {
	for range 4 { // /lib64 → /usr/lib64 → /usr/lib
		moved := false
		for dir, target := range t.links {
			if strings.HasPrefix(name, dir+"/") {
				name, moved = target+name[len(dir):], true
				break
			}
		}
		if !moved {
			break
		}
	}
	return name
}

func (t *packageTable) program(name string) bool {
	for _, dir := range programDirs {
		if len(name) > len(dir) && name[len(dir)] == '/' && name[:len(dir)] == dir {
			return true
		}
	}
	return false
}

func (t *packageTable) hash(name string) uint64 { return maphash.String(t.seed, t.real(name)) }

// find returns what owns a path, nil for nobody.
func (t *packageTable) find(name string) *ownedFile {
	i, ok := slices.BinarySearchFunc(t.files, t.hash(name), func(f ownedFile, key uint64) int {
		switch {
		case f.key < key:
			return -1
		case f.key > key:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &t.files[i]
}

type adding func(manager string, p pkgdb.Package, installed time.Time) uint32

// read reads every database of the host, in the same order each time.
func (t *packageTable) read(ctx context.Context, add adding, own owning) error {
	for _, db := range []struct {
		rule string
		read func(context.Context, adding, owning) (int, error)
	}{{"dpkg database", t.dpkg}, {"rpm database", t.rpm}, {"apk database", t.apk}, {"pacman database", t.pacman}} {
		n, err := db.read(ctx, add, own)
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.complete = false
			t.problem(problemAt(codeOf(err), db.rule, err.Error()))
		}
		if !t.quiet {
			t.out.Seen(db.rule, n)
		}
	}
	return nil
}

func (t *packageTable) problem(p evidence.Problem) {
	if !t.quiet {
		t.out.Problem(p)
	}
}

// open gives one file of a database to its decoder, and says when it was last
// written.
func (t *packageTable) open(name string, decode func(io.Reader) (bad int, err error)) (written time.Time, err error) {
	f, err := t.host.Open(name)
	if err != nil {
		return written, err
	}
	defer f.Close()
	if st, err := t.host.StatFile(f); err == nil {
		written = st.Modified
	}
	left := &io.LimitedReader{R: f, N: maxDatabase}
	bad, err := decode(left)
	if bad > 0 {
		t.problem(problemAt(evidence.Corrupt, name, fmt.Sprintf("%d entries are not readable and were left out", bad)))
	}
	if left.N == 0 && err == nil {
		err = &fs.PathError{Op: "read", Path: name, Err: collect.ErrTooBig}
	}
	return written, err
}

const (
	dpkgDir   = "/var/lib/dpkg/"
	apkDB     = "/lib/apk/db/installed"
	pacmanDir = "/var/lib/pacman/local/"
)

// dpkg reads the database of dpkg(1): the status, and of each package the list
// of its files and their digests. Images without a shell have a status of each
// package in status.d.
func (t *packageTable) dpkg(ctx context.Context, add adding, own owning) (int, error) {
	if _, err := t.open(dpkgDir+"diversions", func(r io.Reader) (int, error) {
		list, bad, err := pkgdb.Diversions(r)
		for _, d := range list[:min(len(list), maxPackageConfigs)] {
			t.diverted[d.From] = d
		}
		return bad, err
	}); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	var packages []pkgdb.Package
	keep := func(r io.Reader) (int, error) {
		return pkgdb.DpkgStatus(r, func(p pkgdb.Package) {
			if len(packages) < maxPackages {
				packages = append(packages, p)
			}
		})
	}
	_, err := t.open(dpkgDir+"status", keep)
	single, _ := t.host.ReadDir(dpkgDir + "status.d") // few hosts have one
	for _, e := range single {
		if !strings.HasSuffix(e.Name, ".md5sums") {
			if _, err := t.open(dpkgDir+"status.d/"+e.Name, keep); err != nil {
				return len(packages), err
			}
		}
	}
	if len(single) > 0 && errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	for _, p := range packages {
		if ctx.Err() != nil {
			return len(packages), nil
		}
		if lerr := t.dpkgPackage(p, add, own); lerr != nil && err == nil {
			err = lerr
		}
	}
	return len(packages), err
}

func (t *packageTable) dpkgPackage(p pkgdb.Package, add adding, own owning) error {
	if strings.ContainsRune(p.Name+p.Arch, '/') {
		add("dpkg", p, time.Time{})
		return nil
	}
	var lists []string
	written, err := time.Time{}, error(nil)
	for _, base := range []string{"info/" + p.Name, "info/" + p.Name + ":" + p.Arch} { // Multi-Arch: same
		written, err = t.open(dpkgDir+base+".list", func(r io.Reader) (int, error) {
			return pkgdb.DpkgList(r, func(name string) { lists = append(lists, name) })
		})
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	id := add("dpkg", p, written)
	there := strings.HasSuffix(p.State, " installed") || p.State == ""
	give := func(f pkgdb.File) {
		if d, ok := t.diverted[f.Path]; ok && d.By != p.Name {
			f.Path = d.To
		}
		own(id, f)
	}
	for _, name := range lists {
		give(pkgdb.File{Path: name})
	}
	if !there {
		return ignoreAbsent(err) // only its configuration is left, or nothing
	}
	for _, f := range p.Configs {
		give(f)
	}
	for _, base := range []string{"info/" + p.Name, "info/" + p.Name + ":" + p.Arch, "status.d/" + p.Name} {
		_, serr := t.open(dpkgDir+base+".md5sums", func(r io.Reader) (int, error) { return pkgdb.DpkgSums(r, give) })
		if serr == nil {
			break
		}
		err = errors.Join(ignoreAbsent(err), ignoreAbsent(serr))
	}
	return ignoreAbsent(err)
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (t *packageTable) apk(_ context.Context, add adding, own owning) (n int, err error) {
	var files []pkgdb.File // of the package being read
	_, err = t.open(apkDB, func(r io.Reader) (int, error) {
		return pkgdb.Apk(r, func(f pkgdb.File) {
			if len(files) < maxOwned {
				files = append(files, f)
			}
		}, func(p pkgdb.Package) {
			if n++; n > maxPackages {
				return
			}
			id := add("apk", p, time.Time{})
			for _, f := range files {
				own(id, f)
			}
			files = files[:0]
		})
	})
	return n, err
}

func (t *packageTable) pacman(ctx context.Context, add adding, own owning) (n int, err error) {
	entries, err := t.host.ReadDir(strings.TrimSuffix(pacmanDir, "/"))
	slices.SortFunc(entries, func(a, b collect.DirEntry) int { return strings.Compare(a.Name, b.Name) })
	for _, e := range entries {
		if e.Type == modeRegular || n >= maxPackages || ctx.Err() != nil { // ALPM_DB_VERSION
			continue
		}
		n++
		if perr := t.pacmanPackage(pacmanDir+e.Name, add, own); perr != nil && err == nil {
			err = perr
		}
	}
	return n, err
}

func (t *packageTable) pacmanPackage(dir string, add adding, own owning) error {
	var p pkgdb.Package
	written, err := t.open(dir+"/desc", func(r io.Reader) (bad int, err error) {
		p, bad, err = pkgdb.PacmanDesc(r)
		return bad, err
	})
	id := add("pacman", p, written)
	configs := map[string]bool{}
	_, ferr := t.open(dir+"/files", func(r io.Reader) (bad int, err error) {
		configs, bad, err = pkgdb.PacmanFiles(r)
		return bad, err
	})
	_, merr := t.open(dir+"/mtree", func(r io.Reader) (int, error) {
		text, err := gzip.NewReader(r)
		if err != nil {
			return 0, err
		}
		return pkgdb.Mtree(io.LimitReader(text, maxDatabase), func(f pkgdb.File) {
			f.Config = configs[f.Path]
			own(id, f)
		})
	})
	return errors.Join(err, ignoreAbsent(ferr), ignoreAbsent(merr))
}

// foreignDatabases are of package managers that are not read here;
// linux_persistence takes them whole.
var foreignDatabases = []string{
	"/var/db/pkg", "/var/db/xbps/pkgdb-0.38.plist", "/nix/var/nix/db/db.sqlite", "/var/lib/pkgtools/packages", "/var/log/packages", "/usr/lib/opkg/status",
}

// foreign says which databases there are that cannot be compared with.
func (t *packageTable) foreign() {
	for _, name := range foreignDatabases {
		if _, err := t.host.Stat(name); err == nil {
			t.complete = false
			t.problem(problemAt(evidence.Unsupported, name, "this package database is not compared with; files that belong to no package are not told on this host"))
		}
	}
}
