//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/urfave/cli/v2"
)

// giveBack runs at the end of every command. What root has made in the case
// of somebody else, under sudo for a collection, becomes the owner's: without
// that the owner could not verify the own exhibit, nor write to its log.
func giveBack(c *cli.Context) error {
	if os.Geteuid() != 0 {
		return nil
	}
	cs, err := openCase(c)
	if err != nil {
		return nil //nolint:nilerr // no case, nothing to give back
	}
	// All names are looked up below this folder, whatever the owner puts
	// there meanwhile.
	root, err := os.OpenRoot(cs.Dir())
	if err != nil {
		return err
	}
	defer root.Close()
	owner, err := root.Lstat(".")
	if err != nil {
		return err
	}
	to, ok := owner.Sys().(*syscall.Stat_t)
	if !ok || to.Uid == 0 {
		return nil
	}
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || st.Uid != 0 || !d.IsDir() && st.Nlink > 1 { // another name of it may be none of the case's
			return nil
		}
		if err := root.Lchown(name, int(to.Uid), int(to.Gid)); err != nil {
			return fmt.Errorf("give %s to the case's owner: %w", name, err)
		}
		return nil
	})
}
