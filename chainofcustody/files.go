package chainofcustody

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"
)

var (
	errNotRegular = errors.New("not a regular file")
	errTooBig     = errors.New("too big")
)

// readBounded reads a regular file of at most limit bytes. Folders from
// elsewhere may hold a FIFO or a device where a file should be.
func readBounded(root *os.Root, name string, limit int64) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, errNotRegular)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s: %w: %d bytes, limit %d", name, errTooBig, info.Size(), limit)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: %w: limit %d", name, errTooBig, limit)
	}
	return data, err
}

// writeTemp writes a durable file that is not yet under its final name.
func writeTemp(root *os.Root, name string, data []byte, mode fs.FileMode) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, root.Remove(name))
	}
	return nil
}

// writeAtomic replaces a file by temporary file, fsync, rename and fsync of
// the folder.
func writeAtomic(root *os.Root, name string, data []byte, mode fs.FileMode) error {
	temp := path.Join(path.Dir(name), "."+path.Base(name)+tempSuffix)
	if err := writeTemp(root, temp, data, mode); err != nil {
		return err
	}
	if err := root.Rename(temp, name); err != nil {
		return errors.Join(err, root.Remove(temp))
	}
	return syncRootDir(root, path.Dir(name))
}

const tempSuffix = ".tmp"

func syncRootDir(root *os.Root, name string) error {
	return syncDir(filepath.Join(root.Name(), filepath.FromSlash(name)))
}

// syncDir makes names in a folder durable. Windows has no such call.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// defaultLockWait is how long a writer waits for its turn.
const defaultLockWait = 10 * time.Second

// lock takes the case's writer lock and opens the folder as a root. The lock
// is the operating system's: it ends with its process and leaves nothing
// stale behind.
func (c *Case) lock() (*os.Root, func(), error) {
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return nil, nil, err
	}
	f, err := root.OpenFile(lockFileName, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		root.Close()
		return nil, nil, fmt.Errorf("lock case: %w", err)
	}
	for end := time.Now().Add(c.lockWait); ; time.Sleep(20 * time.Millisecond) {
		busy, err := tryLock(f)
		if err == nil && !busy {
			return root, func() { f.Close(); root.Close() }, nil
		}
		if err == nil && time.Now().After(end) {
			err = ErrCaseLocked
		}
		if err != nil {
			f.Close()
			root.Close()
			return nil, nil, fmt.Errorf("lock case %s: %w", c.dir, err)
		}
	}
}
