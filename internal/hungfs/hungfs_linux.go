package hungfs

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// FS is a mounted file system with one file. It answers until Hang.
type FS struct {
	fd      int // of /dev/fuse; a plain number, because closing it has to wake nobody
	content []byte
	hung    atomic.Bool
	deaf    atomic.Bool  // at poll
	asked   atomic.Int64 // requests left unanswered
}

// File is the name of its file, which is executable.
const File = "program"

// longest is how long it stays: a test that fails must not leave a process
// that nothing can end, its threads waiting for itself.
const longest = 2 * time.Minute

// Mount mounts one at dir until the test ends; the test is skipped where that
// is not possible. The caller is in a mount namespace that nobody else uses.
func Mount(t testing.TB, dir string, content []byte) *FS {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("skipped: no FUSE: %v", err)
	}
	options := "fd=" + strconv.Itoa(fd) + ",rootmode=40000,user_id=0,group_id=0,allow_other"
	if err := unix.Mount("hung", dir, "fuse.hung", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		unix.Close(fd)
		t.Skipf("skipped: no FUSE mount for us: %v", err)
	}
	f := &FS{fd: fd, content: content}
	go f.serve()
	abort, err := aborter(t, dir)
	if err != nil {
		_ = unix.Unmount(dir, unix.MNT_FORCE)
		unix.Close(fd)
		t.Skipf("skipped: no way to end what hangs: %v", err)
	}
	// It ends everything that waits. A process that dies before has threads that
	// wait, which keep its end of the connection open, and so never ends itself.
	end := func() { _ = os.WriteFile(abort, []byte("1"), 0o200) }
	late := time.AfterFunc(longest, end)
	t.Cleanup(func() {
		late.Stop()
		end()
		defer unix.Close(fd)
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && err != unix.EINVAL { // EINVAL: no longer mounted
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return f
}

// aborter returns the file that ends the connection of a mount, wherever that
// is mounted by then, or no more (Documentation/filesystems/fuse).
func aborter(t testing.TB, dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", err
	}
	control := t.TempDir()
	if err := unix.Mount("fusectl", control, "fusectl", 0, ""); err != nil {
		return "", err
	}
	t.Cleanup(func() { _ = unix.Unmount(control, unix.MNT_DETACH) })
	return filepath.Join(control, strconv.FormatUint(uint64(unix.Minor(st.Dev)), 10), "abort"), nil
}

// Hang makes it answer nothing from now on.
func (f *FS) Hang() { f.hung.Store(true) }

// HangAtPoll makes it answer no question whether a file is ready, and all
// others.
func (f *FS) HangAtPoll() { f.deaf.Store(true) }

// Unanswered returns how many requests it has left without an answer.
func (f *FS) Unanswered() int64 { return f.asked.Load() }

// Operations of linux/fuse.h.
const (
	lookup, forget, getattr, open, read, statfs, release           = 1, 2, 3, 14, 15, 17, 18
	flush, initialise, opendir, readdir, releasedir, poll, forgets = 25, 26, 27, 28, 29, 40, 42

	rootNode, fileNode = 1, 2
)

func (f *FS) serve() {
	buf := make([]byte, 1<<17)
	for {
		n, err := unix.Read(f.fd, buf)
		if err == unix.EINTR || err == unix.ENOENT || err == unix.EAGAIN {
			continue
		}
		if err != nil || n < 40 {
			return
		}
		if f.hung.Load() {
			f.asked.Add(1)
			continue
		}
		op := binary.NativeEndian.Uint32(buf[4:])
		if op == forget || op == forgets {
			continue
		}
		if op == poll && f.deaf.Load() {
			f.asked.Add(1)
			continue
		}
		body, code := f.answer(op, binary.NativeEndian.Uint64(buf[16:]), buf[40:n])
		out := make([]byte, 16, 16+len(body))
		binary.NativeEndian.PutUint32(out, uint32(16+len(body)))
		binary.NativeEndian.PutUint32(out[4:], uint32(-int32(code)))
		copy(out[8:], buf[8:16])
		if _, err := unix.Write(f.fd, append(out, body...)); err != nil {
			return
		}
	}
}

func (f *FS) answer(op uint32, node uint64, in []byte) (body []byte, code unix.Errno) {
	le := binary.NativeEndian
	switch op {
	case initialise:
		body = make([]byte, 64)
		le.PutUint32(body, 7)
		le.PutUint32(body[4:], 31)
		le.PutUint32(body[20:], 4096) // max_write, which has to fit into the buffer
	case getattr:
		body = append(make([]byte, 16), f.attr(node)...) // valid for no time at all
	case lookup:
		if name, _, _ := bytes.Cut(in, []byte{0}); string(name) != File {
			return nil, unix.ENOENT
		}
		body = append(make([]byte, 40), f.attr(fileNode)...)
		le.PutUint64(body, fileNode)
	case open, opendir:
		body = make([]byte, 16)
	case read:
		from := min(le.Uint64(in[8:]), uint64(len(f.content)))
		body = f.content[from:min(from+uint64(le.Uint32(in[16:])), uint64(len(f.content)))]
	case readdir:
		if le.Uint64(in[8:]) == 0 {
			body = make([]byte, 24+8)
			le.PutUint64(body, fileNode)
			le.PutUint64(body[8:], 1)
			le.PutUint32(body[16:], uint32(len(File)))
			le.PutUint32(body[20:], unix.S_IFREG>>12)
			copy(body[24:], File)
		}
	case statfs:
		body = make([]byte, 80)
	case release, releasedir, flush:
	default:
		return nil, unix.ENOSYS
	}
	return body, 0
}

// attr is struct fuse_attr.
func (f *FS) attr(node uint64) []byte {
	le := binary.NativeEndian
	b := make([]byte, 88)
	le.PutUint64(b, node)
	mode := uint32(unix.S_IFDIR | 0o755)
	if node == fileNode {
		mode = unix.S_IFREG | 0o755
		le.PutUint64(b[8:], uint64(len(f.content)))
		le.PutUint64(b[16:], uint64(len(f.content)+511)/512)
	}
	le.PutUint32(b[60:], mode)
	le.PutUint32(b[64:], 1)
	return b
}
