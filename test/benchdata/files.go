package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

const (
	treeLogs     = 100
	treeConfigs  = 3000
	treePrograms = 90_000
	treePackages = 2055 // folders of programs: with them a walk finds 95,163 names
	lastlogSize  = 292  // of one record
	lastlogUID   = 145_000_000
)

// tree makes a host's logs, configuration and programs below dir: 100 logs of
// 3.5 to 7 MB (about 525 MB), 3,000 small files in etc, 90,000 small programs,
// and a lastlog whose only records are those of the users 0 and 145,000,000.
func tree(dir string) error {
	r := random(5)
	for _, sub := range []string{"var/log", "etc/app"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	for i := range treeLogs {
		size := 3_500_000 + r.IntN(3_500_000)
		err := toFile(filepath.Join(dir, fmt.Sprintf("var/log/app%d.log", i)), func(out *bufio.Writer) error {
			return syslogOf(out, r, size)
		})
		if err != nil {
			return err
		}
	}
	for i := range treeConfigs {
		text := fmt.Appendf(nil, "[section%d]\nkey = %x\n%s\n", i, r.Uint64(), strings.Repeat("# comment\n", r.IntN(200)))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("etc/app/c%d.conf", i)), text, 0o644); err != nil {
			return err
		}
	}
	if err := programs(filepath.Join(dir, "usr/lib"), r); err != nil {
		return err
	}
	return lastlog(filepath.Join(dir, "var/log/lastlog"))
}

func programs(dir string, r *rand.Rand) error {
	for i := range treePackages {
		if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf("package%04d", i)), 0o755); err != nil {
			return err
		}
	}
	for i := range treePrograms {
		program := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 1000+r.IntN(7000))...)
		for j := 64; j < len(program); j++ {
			program[j] = byte(r.Uint32() >> 24)
		}
		name := fmt.Sprintf("package%04d/tool%05d", i%treePackages, i)
		if err := os.WriteFile(filepath.Join(dir, name), program, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func lastlog(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	entry := make([]byte, lastlogSize)
	when := uint32(start.Unix())
	for i := range 4 {
		entry[i] = byte(when >> (8 * i))
	}
	copy(entry[4:], "pts/0")
	copy(entry[36:], "10.0.0.9")
	_, first := f.WriteAt(entry, 0)
	_, last := f.WriteAt(entry, lastlogSize*lastlogUID)
	return errors.Join(first, last, f.Close())
}

// walk writes what a walk over n files records, and the same as a bodyfile
// of the Sleuth Kit (version 3, times in seconds).
func walk(n int, dir string) error {
	return toFile(filepath.Join(dir, "walk.jsonl"), func(jsonl *bufio.Writer) error {
		return toFile(filepath.Join(dir, "body"), func(body *bufio.Writer) error {
			return files(n, jsonl, body)
		})
	})
}

func files(n int, jsonl, body *bufio.Writer) error {
	r := random(6)
	enc := json.NewEncoder(jsonl)
	enc.SetEscapeHTML(false)
	for i := range n {
		born := start.Unix() - int64(r.IntN(400*86400))
		f := record.File{
			Path: record.Bytes(fmt.Sprintf("/usr/share/pkg%d/doc/part%d/file-%06d.txt", r.IntN(2000), r.IntN(20), i)),
			Mode: 0o100644, Owner: "root", Size: int64(r.IntN(1 << 20)), Inode: uint64(100 + i), Dev: "8:1", Nlink: 1,
			Btime: born, Ctime: born, Mtime: born, Atime: born + int64(r.IntN(86400)),
		}
		if r.IntN(3) == 0 { // installed by a package: older content
			f.Mtime -= int64(r.IntN(300 * 86400))
		}
		if _, err := fmt.Fprintf(body, "0|%s|%d|r/rrw-r--r--|0|0|%d|%d|%d|%d|%d\n", f.Path, f.Inode, f.Size, f.Atime, f.Mtime, f.Ctime, f.Btime); err != nil {
			return err
		}
		for _, t := range []*int64{&f.Atime, &f.Mtime, &f.Ctime, &f.Btime} {
			*t *= 1e9
		}
		if err := enc.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

// manyEvents fills dir with walk.jsonl and logs that together give about n
// events: two fifths files, three fifths lines.
func manyEvents(n int, dir string) error {
	// A file gives a little over two events, a line of about 100 bytes one.
	if err := walk(n/5, dir); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, "body")); err != nil {
		return err
	}
	r := random(7)
	const logs = 40
	for i := range logs {
		at := start
		err := toFile(filepath.Join(dir, fmt.Sprintf("log%02d", i)), func(out *bufio.Writer) error {
			for range n / 5 * 3 / logs {
				if _, err := syslogLine(out, r, at); err != nil {
					return err
				}
				at = at.Add(3_000_000_000 / 100)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
