package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands of bpf(2) that are used: none of them changes anything.
const (
	objGet        = 7
	progNextID    = 11
	mapNextID     = 12
	progFDByID    = 13
	mapFDByID     = 14
	infoByFD      = 15
	btfFDByID     = 19
	btfNextID     = 23
	linkFDByID    = 30
	linkNextID    = 31
	readOnly      = 1 << 3 // BPF_F_RDONLY
	maxObjects    = 1 << 16
	maxXlated     = 64 << 20 // a program has at most a million instructions of 8 bytes, some rewritten to more
	maxMapIDs     = 1 << 16
	maxTextOfLink = 4096
)

// ErrUnsupported says that the kernel has no eBPF, or not this kind of object.
var ErrUnsupported = errors.New("the kernel does not know these objects")

func call(cmd int, attr []byte) (int, error) {
	r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr)))
	if errno != 0 {
		return -1, os.NewSyscallError("bpf", errno)
	}
	return int(r), nil
}

// each calls yield with the id of each object. The ids of those that come and
// go meanwhile may or may not be among them.
func each(cmd int, yield func(id uint32)) error {
	attr := buffer(12)
	for range maxObjects {
		_, err := call(cmd, attr)
		switch {
		case errors.Is(err, unix.ENOENT):
			return nil
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
			return ErrUnsupported
		case err != nil:
			return err
		}
		id := binary.NativeEndian.Uint32(attr[4:])
		yield(id)
		binary.NativeEndian.PutUint32(attr, id)
	}
	return fmt.Errorf("more than %d objects", maxObjects)
}

// all opens each object, asks it, and closes it again. What ended meanwhile is
// left out; other errors are joined, and what was read is returned with them.
func all[T any](next, open int, ask func(fd int) (T, error)) ([]T, error) {
	var list []T
	var errs []error
	err := each(next, func(id uint32) {
		attr := buffer(12)
		binary.NativeEndian.PutUint32(attr, id)
		if open == mapFDByID {
			binary.NativeEndian.PutUint32(attr[8:], readOnly)
		}
		fd, err := call(open, attr)
		if err == nil {
			defer unix.Close(fd)
			var v T
			if v, err = ask(fd); err == nil {
				list = append(list, v)
			}
		}
		if err != nil && !errors.Is(err, unix.ENOENT) && len(errs) < 16 {
			errs = append(errs, fmt.Errorf("object %d: %w", id, err))
		}
	})
	return list, errors.Join(append(errs, err)...)
}

// info fills b, of which only what is set before goes in, and returns as much
// as the kernel has filled.
func info(fd int, b []byte) ([]byte, error) {
	attr := buffer(16)
	binary.NativeEndian.PutUint32(attr, uint32(fd))
	binary.NativeEndian.PutUint32(attr[4:], uint32(len(b)))
	binary.NativeEndian.PutUint64(attr[8:], address(b))
	_, err := call(infoByFD, attr)
	runtime.KeepAlive(b)
	if err != nil {
		return nil, err
	}
	return b[:min(int(binary.NativeEndian.Uint32(attr[4:])), len(b))], nil
}

// buffer is memory that stays where it is, so that the kernel can be told its
// address in a number: it is on the heap, unlike what a function makes for
// itself alone, which may lie on a stack that moves.
//
//go:noinline
func buffer(size int) []byte { return make([]byte, size) }

// address is that of a buffer.
func address(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// Programs hands on all programs, one at a time, because their instructions
// may be large.
func Programs(yield func(Program)) error {
	_, err := all(progNextID, progFDByID, func(fd int) (struct{}, error) {
		p, err := program(fd)
		if err == nil {
			yield(p)
		}
		return struct{}{}, err
	})
	return err
}

func program(fd int) (Program, error) {
	b, err := info(fd, buffer(programInfoSize))
	if err != nil {
		return Program{}, err
	}
	p := parseProgram(b)
	if p.XlatedLen > maxXlated || p.mapCount > maxMapIDs {
		return p, fmt.Errorf("%d bytes of instructions, %d maps: too many", p.XlatedLen, p.mapCount)
	}
	xlated, maps := buffer(int(p.XlatedLen)), buffer(int(4*p.mapCount))
	b = buffer(programInfoSize)
	if len(xlated) > 0 {
		binary.NativeEndian.PutUint32(b[20:], p.XlatedLen)
		binary.NativeEndian.PutUint64(b[32:], address(xlated))
	}
	if len(maps) > 0 {
		binary.NativeEndian.PutUint32(b[52:], p.mapCount)
		binary.NativeEndian.PutUint64(b[56:], address(maps))
	}
	b, err = info(fd, b)
	runtime.KeepAlive(xlated)
	runtime.KeepAlive(maps)
	if err != nil {
		return p, err
	}
	if u64(b, 32) != 0 && u32(b, 20) == p.XlatedLen { // the kernel clears the pointer of what it does not tell
		p.Xlated = xlated
	}
	for i := range p.mapCount {
		p.Maps = append(p.Maps, u32(maps, int(4*i)))
	}
	return p, nil
}

// Maps lists all maps.
func Maps() ([]Map, error) {
	return all(mapNextID, mapFDByID, func(fd int) (Map, error) {
		b, err := info(fd, buffer(mapInfoSize))
		return parseMap(b), err
	})
}

// Links lists all links.
func Links() ([]Link, error) { return all(linkNextID, linkFDByID, link) }

func link(fd int) (Link, error) {
	b, err := info(fd, buffer(linkInfoSize))
	if err != nil {
		return Link{}, err
	}
	at := textAt(b)
	if at == 0 || len(b) < at+12 {
		return parseLink(b, ""), nil
	}
	text := buffer(maxTextOfLink)
	again := buffer(linkInfoSize)
	copy(again, b[:at]) // perf_event says by its type which buffer this is
	binary.NativeEndian.PutUint64(again[at:], address(text))
	binary.NativeEndian.PutUint32(again[at+8:], uint32(len(text)))
	more, err := info(fd, again)
	runtime.KeepAlive(text)
	if err != nil {
		return parseLink(b, ""), nil // it has no name, or does not tell it
	}
	binary.NativeEndian.PutUint64(more[at:], 0) // an address of ours is no evidence
	return parseLink(more, string(name(text, 0, len(text)))), nil
}

// Types lists all BTF.
func Types() ([]BTF, error) {
	return all(btfNextID, btfFDByID, func(fd int) (BTF, error) {
		text, b := buffer(256), buffer(btfInfoSize)
		binary.NativeEndian.PutUint64(b[16:], address(text))
		binary.NativeEndian.PutUint32(b[24:], uint32(len(text)))
		b, err := info(fd, b)
		runtime.KeepAlive(text)
		t := parseBTF(b)
		t.Name = name(text, 0, len(text))
		return t, err
	})
}

// Pinned returns the kind (prog, map, link) and the id of the object pinned at
// path in a bpf file system.
func Pinned(path string) (kind string, id uint32, err error) {
	if strings.IndexByte(path, 0) >= 0 {
		return "", 0, unix.EINVAL
	}
	text := buffer(len(path) + 1)
	copy(text, path)
	attr := buffer(16) // pathname, bpf_fd, file_flags
	binary.NativeEndian.PutUint64(attr, address(text))
	fd, err := call(objGet, attr)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) { // a map may be for reading only
		binary.NativeEndian.PutUint32(attr[12:], readOnly)
		fd, err = call(objGet, attr)
	}
	runtime.KeepAlive(text)
	if err != nil {
		return "", 0, err
	}
	defer unix.Close(fd)
	var target [64]byte
	n, err := unix.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd), target[:])
	if err != nil {
		return "", 0, err
	}
	b, err := info(fd, buffer(linkInfoSize))
	if err != nil {
		return "", 0, err
	}
	return string(bytes.TrimLeft(target[:n][min(n, len("anon_inode:bpf")):], "-_")), u32(b, 4), nil
}
