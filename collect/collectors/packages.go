package collectors

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/pkgdb"
)

const linuxPackagesName = "linux_packages"

// linuxPackages writes packages/installed.jsonl, and in packages/mismatch.jsonl
// what among the programs is not as a package manager left it.
// persistence/auth-modules.jsonl has the modules that log people in and name
// them, persistence/boot-files.jsonl kernels, initramfs and boot loader, both
// with their packages. The databases
// are read as they are, and are in the bundle by linux_persistence. A database
// on the host can be changed like any file: what agrees with it is not proven
// to be what the distribution shipped.
var linuxPackages = register(collect.Collector{
	Name:     linuxPackagesName,
	Doc:      "Installed packages of dpkg, rpm, apk and pacman, and programs and configuration that differ from them, are missing, or belong to none; modules of PAM and NSS that configuration names, and what the machine boots with, with owner and digest",
	Tier:     collect.TierPersistence,
	Deadline: time.Hour,
	Run:      collectPackages,
})

// programDirs are where packages put what runs. What lies elsewhere is data,
// configuration, or comes from no package.
var programDirs = []string{
	"/boot", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
	"/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/libexec", "/usr/games",
}

// Bounds of the comparison.
const (
	maxComparedFile  = 512 << 20 // bytes of one file
	maxComparedBytes = 16 << 30  // of all that can run
	maxComparedOther = 2 << 30   // of all that only changed since it was installed
	maxUnowned       = 20_000    // files that belong to no package
)

// installGrace is how long after its package's file list a file may be
// changed and still count as installed with it: large packages take minutes.
const installGrace = time.Hour

// comparison is one run of the collector.
type comparison struct {
	host    *collect.Host
	out     collect.Taker
	table   *packageTable
	lines   *collect.Records
	reader  fileReader
	files   int   // compared
	left    int64 // bytes that may still be read of what can run
	others  int64 // and of the rest
	unowned []unownedFile
	beyond  int // unowned that found no room
}

type unownedFile struct {
	path string
	st   *evidence.Stat
}

func collectPackages(ctx context.Context, h *collect.Host, out collect.Taker) error {
	installed := collect.NewRecords(ctx, out, evidence.Item{Path: record.Packages, Source: "file"})
	t, err := readPackages(ctx, h, out, installed)
	if err = errors.Join(err, installed.Close()); err != nil {
		return err
	}
	c := &comparison{host: h, out: out, table: t, left: maxComparedBytes, others: maxComparedOther}
	c.lines = collect.NewRecords(ctx, out, evidence.Item{Path: record.PackageFiles, Source: "file"})
	err = c.run(ctx)
	out.Seen("files of packages", c.files)
	if err = errors.Join(err, c.lines.Close()); err != nil {
		return err
	}
	if err = c.authModules(ctx); err != nil {
		return err
	}
	return c.bootFiles(ctx)
}

func (c *comparison) run(ctx context.Context) error {
	if len(c.table.files) == 0 {
		return nil // without a database everything would belong to nobody
	}
	for _, dir := range c.table.realDirs {
		if err := c.folder(ctx, dir); err != nil {
			return err
		}
	}
	viaLinks, err := c.notSeen(ctx)
	if err != nil {
		return err
	}
	for _, config := range c.table.configs {
		if err := c.config(ctx, config); err != nil {
			return err
		}
	}
	return c.nobodys(ctx, viaLinks)
}

// folder compares what is below one of the program folders.
func (c *comparison) folder(ctx context.Context, dir string) error {
	return c.host.WalkWith(ctx, dir, collect.Walker{
		Visit: func(name string, st *evidence.Stat) error {
			own := c.table.find(name)
			if own == nil {
				if st.Mode&modeType == modeRegular && canRun(name, st) && c.table.complete {
					if len(c.unowned) < maxUnowned {
						c.unowned = append(c.unowned, unownedFile{name, st})
					} else {
						c.beyond++
					}
				}
				return nil
			}
			own.seen = true
			return c.compare(ctx, name, st, own)
		},
		Failed: func(name string, err error) {
			if !errors.Is(err, fs.ErrNotExist) { // not every host has every one of these folders
				c.out.Problem(problemAt(codeOf(err), name, err.Error()))
			}
		},
		LeftOut: func(name, reason string) {
			c.out.Problem(problemAt(evidence.Skipped, name, "not compared with packages: "+reason))
		},
	})
}

// canRun reports whether a file is a program, a shared object or a kernel
// module: the two last need no permission to execute.
func canRun(name string, st *evidence.Stat) bool {
	base := path.Base(name)
	return st.Mode&(modeExec|modeSetID) != 0 || strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.") ||
		strings.HasSuffix(base, ".ko") || strings.Contains(base, ".ko.")
}

// compare reads a file that can run, or that was changed since its package
// was installed, and writes a record when it is not what the database says.
func (c *comparison) compare(ctx context.Context, name string, st *evidence.Stat, own *ownedFile) error {
	if own.algo == pkgdb.NoDigest {
		return nil
	}
	r := c.about("", name, st, own)
	if st.Mode&modeType != modeRegular {
		if own.mayBeLink {
			return nil
		}
		r.What, r.Detail = "type", "no regular file"
		return c.lines.Write(r)
	}
	left := &c.others
	installed := c.table.packages[own.pkg].installed
	switch {
	case canRun(name, st), own.config:
		left = &c.left
	case installed.IsZero() || !st.Changed.After(installed.Add(installGrace)):
		return nil
	}
	if st.Size > maxComparedFile || st.Size > *left {
		r.What, r.Detail = "unread", "more bytes than the comparison may read"
		return c.lines.Write(r)
	}
	*left -= st.Size
	c.files++
	h := own.algo.New()
	same := own.algo == pkgdb.SHA256
	also := h
	if same {
		also = nil
	}
	sum, note := c.reader.sum(ctx, c.host, name, st, also, maxComparedFile)
	if note != "" {
		if strings.Contains(note, collect.ErrPlanned.Error()) {
			return nil
		}
		r.What, r.Detail = "unread", note
		return c.lines.Write(r)
	}
	c.host.RememberHash(st, sum)
	var have []byte
	if same {
		have = sum[:]
	} else {
		have = h.Sum(nil)
	}
	if string(have) == string(own.digest[:len(have)]) {
		return nil
	}
	r.What, r.Have, r.SHA256 = "changed", hex.EncodeToString(have), sum.String()
	if own.varies {
		r.Detail = "its package says that its content may change"
	}
	return c.lines.Write(r)
}

// notSeen looks for what the databases have among the programs and the walk
// did not meet. What is there by way of a link was met under another name,
// which is told by device and inode.
func (c *comparison) notSeen(ctx context.Context) (viaLinks map[linkedFile]bool, err error) {
	viaLinks = map[linkedFile]bool{}
	err = c.table.again(ctx, func(name string) error {
		own := c.table.find(name)
		if own == nil || own.seen {
			return nil
		}
		own.seen = true
		st, err := c.host.Stat(name)
		switch {
		case err == nil:
			viaLinks[linkedFile{st.Dev, st.Inode}] = true
			return c.compare(ctx, name, st, own)
		case !errors.Is(err, fs.ErrNotExist):
			r := c.about("unread", name, nil, own)
			r.Detail = err.Error()
			return c.lines.Write(r)
		case own.optional:
			return nil
		}
		return c.lines.Write(c.about("missing", name, nil, own))
	})
	return viaLinks, err
}

type linkedFile struct {
	dev   string
	inode uint64
}

func (c *comparison) config(ctx context.Context, f configFile) error {
	own := ownedFile{pkg: f.pkg, algo: f.algo, config: true, varies: f.varies}
	copy(own.digest[:], f.digest)
	st, err := c.host.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.optional:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return c.lines.Write(c.about("missing", f.path, nil, &own))
	case err != nil:
		r := c.about("unread", f.path, nil, &own)
		r.Detail = err.Error()
		return c.lines.Write(r)
	}
	return c.compare(ctx, f.path, st, &own)
}

// nobodys writes what among the programs belongs to no package.
func (c *comparison) nobodys(ctx context.Context, viaLinks map[linkedFile]bool) error {
	for _, u := range c.unowned {
		if viaLinks[linkedFile{u.st.Dev, u.st.Inode}] {
			continue
		}
		r := c.about("unowned", u.path, u.st, nil)
		if u.st.Size > maxComparedFile || u.st.Size > c.left {
			r.Detail = "more bytes than the comparison may read"
		} else {
			c.left -= u.st.Size
			sum, note := c.reader.sum(ctx, c.host, u.path, u.st, nil, maxComparedFile)
			if r.Detail = note; note == "" {
				c.host.RememberHash(u.st, sum)
				r.SHA256 = sum.String()
			}
		}
		if err := c.lines.Write(r); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if c.beyond > 0 {
		c.out.Problem(problemAt(evidence.TooBig, record.PackageFiles, fmt.Sprintf("%d more files belong to no package than the %d that are listed", c.beyond, maxUnowned)))
	}
	return nil
}

func (c *comparison) about(what, name string, st *evidence.Stat, own *ownedFile) record.PackageFile {
	r := record.PackageFile{Path: record.Bytes(name), What: what}
	if own != nil {
		p := c.table.packages[own.pkg]
		r.Manager, r.Package, r.Config = p.manager, record.Bytes(p.name), own.config
		if own.algo != pkgdb.NoDigest {
			r.Algorithm, r.Want = own.algo.String(), hex.EncodeToString(own.digest[:own.algo.Size()])
		}
	}
	if st != nil {
		r.Mode, r.UID, r.GID, r.Size, r.Inode = st.Mode, st.UID, st.GID, st.Size, st.Inode
		r.Mtime, r.Ctime, r.Btime = nanoseconds(st.Modified), nanoseconds(st.Changed), nanoseconds(st.Born)
	}
	return r
}
