package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"
)

// folderDepth bounds how deep a folder is followed.
const folderDepth = 200

// folderBatch is how many names of a folder are held and sorted at once: of
// one with more, each batch is in order by itself.
const folderBatch = 1 << 16

// Folder lists a folder: every entry below it, links as links, what is no
// file named and never opened.
func Folder(root *os.Root) Entries {
	return func(yield func(*Entry, *Damage) bool) {
		f := &folderWalk{root: root, yield: yield}
		f.dir(".", 0)
	}
}

type folderWalk struct {
	root  *os.Root
	yield func(*Entry, *Damage) bool
}

// dir yields what is in one folder and below, and reports whether more is
// wanted.
func (f *folderWalk) dir(name string, depth int) bool {
	if depth > folderDepth {
		return f.yield(nil, damage(name, -1, "%s is deeper than %d folders: not followed", printable(name), folderDepth))
	}
	d, err := f.root.Open(name)
	if err != nil {
		return f.yield(nil, damage(name, -1, "%s: %v", printable(name), cause(err)))
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(folderBatch)
		slices.Sort(names)
		for _, n := range names {
			if !f.one(path.Join(name, n), depth) {
				return false
			}
		}
		if err == io.EOF {
			return true
		}
		if err != nil {
			return f.yield(nil, damage(name, -1, "%s: %v", printable(name), cause(err)))
		}
	}
}

// cause is an error without the path that is said beside it.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (f *folderWalk) one(name string, depth int) bool {
	st, err := f.root.Lstat(name)
	if err != nil {
		return f.yield(nil, damage(name, -1, "%s: %v", printable(name), cause(err)))
	}
	e := &Entry{Name: name, Size: st.Size(), Packed: -1, Offset: -1, Modified: st.ModTime().UTC()}
	e.Copied = Copied(st)
	switch mode := st.Mode(); {
	case mode.IsRegular():
		e.Packed = st.Size()
		e.Open = func() (io.Reader, error) { return f.open(name) }
	case mode.IsDir():
		e.Type = Dir
	case mode&fs.ModeSymlink != 0:
		e.Type = Symlink
		if e.Link, err = f.root.Readlink(name); err != nil {
			return f.yield(nil, damage(name, -1, "%s: %v", printable(name), cause(err)))
		}
	default:
		e.Type = Device
	}
	return f.yield(e, nil) && (e.Type != Dir || f.dir(name, depth+1))
}

// open opens what was a regular file a moment ago.
func (f *folderWalk) open(name string) (io.Reader, error) {
	file, err := f.root.OpenFile(name, os.O_RDONLY|nonBlock, 0)
	if err != nil {
		return nil, cause(err)
	}
	st, err := file.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("it became something else while it was looked at")
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &closing{file}, nil
}

// closing closes a file at its end.
type closing struct{ f *os.File }

func (c *closing) Read(p []byte) (int, error) {
	n, err := c.f.Read(p)
	if err != nil {
		_ = c.f.Close() //nolint:errcheck // read only
		if err != io.EOF {
			err = cause(err)
		}
	}
	return n, err
}

// Close closes the file before its end.
func (c *closing) Close() error { return c.f.Close() }

// copyGrain is how near to each other the times of a file that was written
// here are.
const copyGrain = 2 * time.Second
