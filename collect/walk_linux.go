package collect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// ReadDir returns the names in a folder, sorted bytewise, without "." and
// "..". Of a folder with more than a million names it returns as many and
// ErrTooBig.
func (h *Host) ReadDir(path string) ([]DirEntry, error) {
	type listing struct {
		entries []DirEntry
		more    bool
	}
	l, err := asking(h, "list folder", path, nil, func() (listing, error) {
		fd, err := h.openDir(path)
		if err != nil {
			return listing{}, &fs.PathError{Op: "open folder", Path: path, Err: err}
		}
		defer unix.Close(fd)
		var l listing
		if l.entries, l.more, err = newDirReader(fd).next(maxEntries); err != nil {
			err = &fs.PathError{Op: "list folder", Path: path, Err: err}
		}
		return l, err
	})
	sortEntries(l.entries)
	if err == nil && l.more {
		err = &fs.PathError{Op: "list folder", Path: path, Err: ErrTooBig}
	}
	return l.entries, err
}

// ListDir calls fn with the names in a folder but "." and "..", some thousand
// at a time, each time sorted bytewise, so that a folder of millions takes no
// more memory than another. An error of fn ends it and is returned as it is;
// names that were listed before another error were given to fn.
func (h *Host) ListDir(path string, fn func([]DirEntry) error) error {
	type listing struct {
		fd      int
		dir     *dirReader
		entries []DirEntry
		more    bool
	}
	next := func(l listing, after func(listing)) (listing, error) {
		return asking(h, "list folder", path, after, func() (listing, error) {
			if l.dir == nil {
				fd, err := h.openDir(path)
				if err != nil {
					return listing{}, &fs.PathError{Op: "open folder", Path: path, Err: err}
				}
				l.fd, l.dir = fd, newDirReader(fd)
			}
			var err error
			if l.entries, l.more, err = l.dir.next(h.nameChunk()); err != nil {
				err = &fs.PathError{Op: "list folder", Path: path, Err: err}
			}
			if !l.more { // before fn goes on below: most folders hold no descriptor
				unix.Close(l.fd)
			}
			return l, err
		})
	}
	// What comes back too late is of no use to anybody.
	late := func(l listing) {
		if l.dir != nil && l.more {
			unix.Close(l.fd)
		}
	}
	for l := (listing{}); ; {
		var err error
		if l.dir != nil && h.struck.Load() && h.refused(path) { // no errand would come to close it
			unix.Close(l.fd)
			return &fs.PathError{Op: "list folder", Path: path, Err: ErrTimeout}
		}
		if l, err = next(l, late); err != nil && errors.Is(err, ErrTimeout) {
			return err
		}
		sortEntries(l.entries)
		release := h.holdNames(l.entries)
		ended := fn(l.entries)
		release()
		if ended != nil || err != nil || !l.more {
			if l.dir != nil && l.more {
				unix.Close(l.fd)
			}
			return cmp.Or(ended, err)
		}
	}
}

const folderFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NONBLOCK

func (h *Host) openDir(path string) (int, error) {
	return h.sparingAtime(folderFlags, func(flags int) (int, error) { return h.openAt(path, flags) })
}

// openFolder is openDir with bounded patience.
func (h *Host) openFolder(path string) (int, error) {
	return asking(h, "open folder", path, closeFD, func() (int, error) { return h.openDir(path) })
}

func closeFD(fd int) { unix.Close(fd) }

// dirReader reads getdents64(2) records: inode 8 bytes, offset 8, record
// length 2, type 1, name to a zero byte.
type dirReader struct {
	fd   int
	buf  []byte
	rest []byte
}

func newDirReader(fd int) *dirReader { return &dirReader{fd: fd, buf: make([]byte, 32<<10)} }

// next returns up to max entries and whether there may be more.
func (d *dirReader) next(max int) (entries []DirEntry, more bool, err error) {
	for {
		for len(d.rest) >= 19 {
			size := int(binary.NativeEndian.Uint16(d.rest[16:]))
			if size < 19 || size > len(d.rest) {
				return entries, false, unix.EIO
			}
			name := d.rest[19:size]
			if end := bytes.IndexByte(name, 0); end >= 0 {
				name = name[:end]
			}
			if s := string(name); s != "." && s != ".." && s != "" {
				if len(entries) == max {
					return entries, true, nil
				}
				entries = append(entries, DirEntry{s, uint32(d.rest[18]) << 12})
			}
			d.rest = d.rest[size:]
		}
		n, err := syscall.ReadDirent(d.fd, d.buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return entries, false, err
		}
		d.rest = d.buf[:n]
	}
}

// WalkWith visits path and everything below it, folders before their content,
// names in bytewise order. Each folder is opened once, relative to the one
// above, so that a name replaced on the way cannot lead elsewhere; links are
// not followed. Mounts on the way are entered when their file system is local
// and not already reached through a wider mount of the same device; pseudo
// and remote ones are visited as a folder and left out below. Memory is
// bounded: names of a folder are held by the chunk, and smaller chunks where many
// folders above hold some.
func (h *Host) WalkWith(ctx context.Context, path string, w Walker) error {
	if w.Failed == nil {
		w.Failed = func(string, error) {}
	}
	if w.LeftOut == nil {
		w.LeftOut = func(string, string) {}
	}
	mounts, err := h.Mounts()
	if err != nil {
		return err
	}
	k := &walk{
		Walker: w, h: h, ctx: ctx,
		byID: map[uint64]MountPoint{}, byPoint: map[string]MountPoint{}, seen: map[string][]string{},
	}
	for _, m := range mounts {
		k.byID[uint64(m.ID)] = m
		k.byPoint[m.Point] = m
	}
	if m, ok := h.MountOf(path); ok && m.Storage() == Remote {
		w.LeftOut(path, "on a "+m.FSType+" file system")
		return nil
	}
	st, err := h.Stat(path)
	if err != nil {
		w.Failed(path, err)
		return ctx.Err()
	}
	if m, ok := k.byID[st.MountID]; ok {
		k.enterMount(m)
	}
	if k.own(path, st) {
		return nil
	}
	if err := w.Visit(path, st); err != nil {
		if errors.Is(err, ErrSkipFolder) {
			return nil
		}
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	fd, err := h.openFolder(path)
	if err != nil {
		w.Failed(path, pathError("open folder", path, err))
		return nil
	}
	return k.folder(fd, strings.TrimRight(path, "/"), st.MountID, 0)
}

type walk struct {
	Walker
	h       *Host
	ctx     context.Context
	byID    map[uint64]MountPoint
	byPoint map[string]MountPoint
	seen    map[string][]string // device → roots of its mounts entered so far
}

// enterMount notes a mount and reports whether a wider one of the same device
// was entered before.
func (k *walk) enterMount(m MountPoint) bool {
	for _, root := range k.seen[m.Dev] {
		if below(m.Root, root) {
			return false
		}
	}
	k.seen[m.Dev] = append(k.seen[m.Dev], m.Root)
	return true
}

func (k *walk) own(path string, st *evidence.Stat) bool {
	if k.h.Excluded(st.Dev, st.Inode) {
		k.LeftOut(path, "own file of this run")
		return true
	}
	return false
}

// folder walks an open folder and closes it.
func (k *walk) folder(fd int, path string, mount uint64, depth int) error {
	held := false // by a listing that does not come back: its number must not be given away
	defer func() {
		if !held {
			unix.Close(fd)
		}
	}()
	dir := newDirReader(fd)
	type listing struct {
		entries []DirEntry
		more    bool
	}
	for {
		l, err := asking(k.h, "list folder", path+"/", nil, func() (l listing, err error) {
			l.entries, l.more, err = dir.next(k.h.nameChunk())
			return l, err
		})
		if err != nil {
			held = errors.Is(err, ErrTimeout)
			k.Failed(path, pathError("list folder", path, err))
			l.more = false
		}
		sortEntries(l.entries)
		if err := k.names(fd, path, l.entries, mount, depth); err != nil || !l.more {
			return err
		}
	}
}

// names visits those names of a folder that are held at once.
func (k *walk) names(dir int, path string, entries []DirEntry, mount uint64, depth int) error {
	defer k.h.holdNames(entries)()
	for some := range slices.Chunk(entries, lookAhead) {
		if err := k.some(dir, path, some, mount, depth); err != nil {
			return err
		}
	}
	return nil
}

// looked is what a look at a name gave.
type looked struct {
	st      *evidence.Stat
	err     error
	attrErr error // of the extended attributes alone
}

// some visits names of a folder. They are looked at together; where one of
// them does not answer, each by itself.
func (k *walk) some(dir int, path string, entries []DirEntry, mount uint64, depth int) error {
	if err := k.ctx.Err(); err != nil {
		return err
	}
	look := func(entries []DirEntry) ([]looked, error) {
		return Patiently(k.h, lookWait, nil, func() ([]looked, error) {
			all := make([]looked, len(entries))
			for i, e := range entries {
				if k.remotePoint(path+"/"+e.Name) == "" {
					all[i].st, all[i].err = k.h.statAt(dir, e.Name)
					if k.Xattrs > 0 && all[i].err == nil {
						all[i].st.Xattrs, all[i].attrErr = k.h.namedXattrs(dir, e.Name, k.Xattrs)
					}
				}
			}
			return all, nil
		})
	}
	all, late := look(entries)
	for i, e := range entries {
		if err := k.ctx.Err(); err != nil {
			return err
		}
		name := path + "/" + e.Name
		var seen looked
		switch {
		case late == nil:
			seen = all[i]
		case k.h.refused(name):
			seen.err = ErrTimeout
		default:
			one, err := look(entries[i : i+1])
			if err != nil {
				k.h.strike(name)
				one = []looked{{err: err}}
			}
			seen = one[0]
		}
		if err := k.entry(dir, name, e.Name, seen, mount, depth); err != nil {
			return err
		}
	}
	return nil
}

// remotePoint is the type of the remote file system that is mounted at a
// path, "" where there is none.
func (k *walk) remotePoint(path string) string {
	if m, ok := k.byPoint[path]; ok && m.Storage() == Remote {
		return m.FSType
	}
	return ""
}

func (k *walk) entry(dir int, path, name string, seen looked, mount uint64, depth int) error {
	if fstype := k.remotePoint(path); fstype != "" {
		k.LeftOut(path, "on a "+fstype+" file system") // its own metadata is asked of the server, too
		return nil
	}
	st := seen.st
	if seen.err != nil {
		k.Failed(path, &fs.PathError{Op: "stat", Path: path, Err: seen.err})
		return nil
	}
	if k.own(path, st) {
		return nil
	}
	if seen.attrErr != nil && !errors.Is(seen.attrErr, fs.ErrNotExist) { // gone, or there is no /proc here
		k.Failed(path, &fs.PathError{Op: "read xattrs", Path: path, Err: seen.attrErr})
	}
	if err := k.Visit(path, st); err != nil {
		if errors.Is(err, ErrSkipFolder) {
			return nil
		}
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	m, isPoint := k.byPoint[path]
	if st.MountID != mount {
		m, isPoint = k.byID[st.MountID], true
	}
	if isPoint { // by identity, or by name before Linux 5.8, which has no STATX_MNT_ID
		if reason := k.closedMount(m); reason != "" {
			k.LeftOut(path, reason)
			return nil
		}
	}
	if depth >= maxDepth || len(path) > maxWalked {
		k.Failed(path, &fs.PathError{Op: "open folder", Path: path, Err: ErrTooBig})
		return nil
	}
	fd, err := asking(k.h, "open folder", path, closeFD, func() (int, error) {
		return k.h.sparingAtime(folderFlags, func(flags int) (int, error) { return openRetry(dir, name, flags) })
	})
	if err != nil {
		k.Failed(path, pathError("open folder", path, err))
		return nil
	}
	return k.folder(fd, path, st.MountID, depth+1)
}

// closedMount says why a mount is not entered; "" when it is.
func (k *walk) closedMount(m MountPoint) string {
	switch {
	case m.FSType == "":
		return "mounted after the walk began"
	case m.Storage() != Local:
		return "on a " + m.FSType + " file system"
	case !k.enterMount(m):
		return "a second mount of device " + m.Dev
	}
	return ""
}
