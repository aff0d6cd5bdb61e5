//go:build windows || darwin || freebsd

package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// OpenHost prepares to collect the machine whose file systems are mounted at
// root. live says that it is the running one. The caller closes the Host.
func OpenHost(root string, live bool) (*Host, error) {
	h := &Host{Root: root, Live: live, errands: newErrands()}
	if !live {
		abs, err := filepath.Abs(root)
		if err != nil {
			return nil, fmt.Errorf("open host at %s: %w", root, err)
		}
		h.Root = abs
	}
	h.realRoot = h.Root
	if err := h.openRoot(); err != nil {
		return nil, &fs.PathError{Op: "open host at", Path: h.Root, Err: err}
	}
	return h, nil
}

// Close frees the Host.
func (h *Host) Close() error {
	h.errands.close()
	return h.closeRoot()
}

// Open opens a regular file for reading without following a link in the last
// component. ErrNotRegular for the rest. These systems have no way to spare the
// access time that needs no right to write: every file opened is counted.
func (h *Host) Open(path string) (*os.File, error) {
	if h.planned != nil {
		return nil, h.plan(path)
	}
	return asking(h, "open", path, closeLate, func() (*os.File, error) { return h.open(path) })
}

// open is Open without bound on its time.
func (h *Host) open(path string) (*os.File, error) {
	f, err := h.openRegular(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	h.opened.Add(1)
	h.withAtime.Add(1)
	return f, nil
}

// OpenLink returns ErrUnsupported: only Linux has links to open files.
func (h *Host) OpenLink(int, string) (*os.File, error) { return nil, ErrUnsupported }

// ReadFile reads a small regular file, at most max bytes. Of a longer file it
// returns the first max bytes and ErrTooBig.
func (h *Host) ReadFile(path string, max int64) ([]byte, error) {
	if h.planned != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrPlanned}
	}
	return asking(h, "read", path, nil, func() ([]byte, error) {
		f, err := h.open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readSmall(f, 0, max)
	})
}

// Readlink returns the target of a symbolic link, on Windows of a junction
// too, as a path of the host.
func (h *Host) Readlink(path string) (string, error) {
	return asking(h, "readlink", path, nil, func() (string, error) {
		target, err := h.readlink(path)
		if err != nil {
			return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
		}
		h.links.Add(1)
		return target, nil
	})
}

// Stat returns what the system says of a path, of a link itself when it is
// one. Xattrs are read separately.
func (h *Host) Stat(path string) (*evidence.Stat, error) {
	return asking(h, "stat", path, nil, func() (*evidence.Stat, error) {
		h.looks.Add(1)
		st, err := h.lstat(path)
		if err != nil {
			return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		return st, nil
	})
}

// StatNames is Stat for some names of a folder. An entry is nil where Stat
// would fail.
func (h *Host) StatNames(dir string, names []string) ([]*evidence.Stat, error) {
	return asking(h, "stat", dir+"/", nil, func() ([]*evidence.Stat, error) {
		all := make([]*evidence.Stat, len(names))
		for i, name := range names {
			h.looks.Add(1)
			all[i], _ = h.lstat(strings.TrimSuffix(dir, "/") + "/" + name) //nolint:errcheck // Stat of this name says why
		}
		return all, nil
	})
}

// StatFile returns what the system says of an open file.
func (h *Host) StatFile(f interface{ Fd() uintptr }) (*evidence.Stat, error) {
	fd := f.Fd()
	st, err := Patiently(h, lookWait, nil, func() (*evidence.Stat, error) { return h.fstat(fd) })
	if err != nil {
		return nil, fmt.Errorf("stat open file: %w", err)
	}
	return st, nil
}

// Xattrs returns the extended attributes of a path, and on Windows what stat
// has no field for; nil when there are none.
func (h *Host) Xattrs(path string) (map[string][]byte, error) {
	return asking(h, "read xattrs", path, nil, func() (map[string][]byte, error) {
		attrs, err := h.xattrs(path)
		if err != nil {
			return attrs, &fs.PathError{Op: "read xattrs", Path: path, Err: err}
		}
		return attrs, nil
	})
}

// ReadDir returns the names in a folder, sorted bytewise, without "." and
// "..". Of a folder with more than a million names it returns as many and
// ErrTooBig.
func (h *Host) ReadDir(path string) ([]DirEntry, error) {
	entries, err := asking(h, "list folder", path, nil, func() ([]DirEntry, error) {
		entries, err := h.list(path, maxEntries)
		if err != nil {
			return entries, &fs.PathError{Op: "list folder", Path: path, Err: err}
		}
		return entries, nil
	})
	sortEntries(entries)
	return entries, err
}

// ListDir calls fn with the names in a folder, as ReadDir returns them, all at
// once. An error of fn is returned as it is.
func (h *Host) ListDir(path string, fn func([]DirEntry) error) error {
	entries, err := h.ReadDir(path)
	return cmp.Or(fn(entries), err)
}

// WalkWith visits path and everything below it, folders before their content,
// names in bytewise order. Links are not followed, and mounts are entered when
// their file system is local. Unlike on Linux each name is looked up from the
// root, so that a folder replaced by a link on the way is found out at the next
// name and not before.
func (h *Host) WalkWith(ctx context.Context, path string, w Walker) error {
	if w.Failed == nil {
		w.Failed = func(string, error) {}
	}
	if w.LeftOut == nil {
		w.LeftOut = func(string, string) {}
	}
	if m, ok := h.MountOf(path); ok && m.Storage() == Remote {
		w.LeftOut(path, "on a "+m.FSType+" file system")
		return nil
	}
	points := map[string]MountPoint{}
	mounts, err := h.Mounts()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		points[m.Point] = m
	}
	return h.walk(ctx, path, w, points, 0)
}

func (h *Host) walk(ctx context.Context, path string, w Walker, points map[string]MountPoint, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m, ok := points[path]; ok && m.Storage() == Remote {
		w.LeftOut(path, "on a "+m.FSType+" file system") // its own metadata is asked of the server, too
		return nil
	}
	st, err := h.Stat(path)
	if err != nil {
		w.Failed(path, err)
		return nil
	}
	if h.Excluded(st.Dev, st.Inode) {
		w.LeftOut(path, "own file of this run")
		return nil
	}
	if err := w.Visit(path, st); err != nil {
		if errors.Is(err, ErrSkipFolder) {
			return nil
		}
		return err
	}
	if st.Mode&modeType != modeDir {
		return nil
	}
	if m, ok := points[path]; ok && m.Storage() == Pseudo && path != "/" {
		w.LeftOut(path, "on a "+m.FSType+" file system")
		return nil
	}
	if depth >= maxDepth {
		w.Failed(path, &fs.PathError{Op: "open folder", Path: path, Err: ErrTooBig})
		return nil
	}
	entries, err := h.ReadDir(path)
	if err != nil {
		w.Failed(path, err)
	}
	for _, e := range entries {
		if err := h.walk(ctx, strings.TrimSuffix(path, "/")+"/"+e.Name, w, points, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// Mounts returns the mounts of a running host, on Windows its drives. Of a
// folder nothing is known.
func (h *Host) Mounts() ([]MountPoint, error) {
	h.mountMu.Lock()
	defer h.mountMu.Unlock()
	if h.mounts != nil || !h.Live {
		return h.mounts, nil
	}
	mounts, err := h.mountTable()
	if err == nil {
		h.mounts = mounts
	}
	return mounts, err
}

// MountOf returns the mount that holds a path of the host, by name only.
func (h *Host) MountOf(name string) (MountPoint, bool) {
	mounts, err := h.Mounts()
	if err != nil {
		return MountPoint{}, false
	}
	return mountOf(mounts, path.Clean("/"+name))
}

// IsNetworkOrPseudo reports whether a path is on a file system that has no
// files of its own or has them elsewhere, and its type, by the mount table.
func (h *Host) IsNetworkOrPseudo(name string) (is bool, fstype string, err error) {
	m, ok := h.MountOf(name)
	return ok && m.Storage() != Local, m.FSType, nil
}
