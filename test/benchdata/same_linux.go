package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// same says in an error where two files differ. What is a hole in both is zeros
// in both (lseek(2)) and is not read, so that files of many GB are compared.
func same(a, b string) error {
	x, err := os.Open(a)
	if err != nil {
		return err
	}
	defer x.Close()
	y, err := os.Open(b)
	if err != nil {
		return err
	}
	defer y.Close()
	sx, err := x.Stat()
	if err != nil {
		return err
	}
	sy, err := y.Stat()
	if err != nil {
		return err
	}
	if sx.Size() != sy.Size() {
		return fmt.Errorf("%s has %d bytes, %s %d", a, sx.Size(), b, sy.Size())
	}
	// Twice: what has data in one may be a hole in the other.
	return errors.Join(sameData(x, y, sx.Size()), sameData(y, x, sx.Size()))
}

// sameData compares where x has data.
func sameData(x, y *os.File, size int64) error {
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(x.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // no more of it
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", x.Name(), err)
		}
		end, err := unix.Seek(int(x.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("%s: %w", x.Name(), err)
		}
		for at = data; at < end; {
			n := min(end-at, int64(len(p)))
			if _, err := io.ReadFull(io.NewSectionReader(x, at, n), p[:n]); err != nil {
				return err
			}
			if _, err := io.ReadFull(io.NewSectionReader(y, at, n), q[:n]); err != nil {
				return err
			}
			if !bytes.Equal(p[:n], q[:n]) {
				return fmt.Errorf("%s and %s differ between bytes %d and %d", x.Name(), y.Name(), at, at+n)
			}
			at += n
		}
	}
	return nil
}
