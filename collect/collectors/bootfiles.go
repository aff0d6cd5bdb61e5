package collectors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// maxBootFiles bounds the files below /boot: boot loaders bring a thousand.
const maxBootFiles = 10_000

// bootFiles writes what the machine starts with, hashed, and whether its
// package knows it so. An initramfs is made on the host: no package has its
// digest, and its hash is for comparing hosts and backups.
func (c *comparison) bootFiles(ctx context.Context) error {
	var names []string
	err := c.host.WalkWith(ctx, "/boot", collect.Walker{
		Visit: func(name string, st *evidence.Stat) error {
			if kind := st.Mode & modeType; kind != modeRegular && kind != modeLink {
				return nil
			}
			if len(names) >= maxBootFiles {
				return collect.ErrTooBig
			}
			names = append(names, name)
			return nil
		},
		Failed: func(name string, err error) {
			if !errors.Is(err, fs.ErrNotExist) {
				c.out.Problem(problemAt(codeOf(err), name, err.Error()))
			}
		},
		LeftOut: func(name, reason string) {
			c.out.Problem(problemAt(evidence.Skipped, name, "not hashed: "+reason))
		},
	})
	if errors.Is(err, collect.ErrTooBig) {
		c.out.Problem(problemAt(evidence.TooBig, record.BootFiles, fmt.Sprintf("more than %d files below /boot; the rest was left out", maxBootFiles)))
		err = nil
	}
	if err != nil {
		return err
	}
	// Fedora keeps the kernel it copies to /boot beside its modules.
	for _, dir := range []string{"/usr/lib/modules", "/lib/modules"} {
		if real, st := c.follow(dir); st == nil || real != dir {
			continue
		}
		entries, _ := c.host.ReadDir(dir) //nolint:errcheck // was there a moment ago
		for _, e := range entries[:min(len(entries), maxBootFiles)] {
			for _, base := range []string{"vmlinuz", "initrd"} {
				name := dir + "/" + e.Name + "/" + base
				if _, err := c.host.Stat(name); err == nil {
					names = append(names, name)
				}
			}
		}
	}
	slices.Sort(names)
	list := make([]record.BootFile, 0, len(names))
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		list = append(list, record.BootFile{Kind: bootKind(name), OwnedFile: c.owned(ctx, name)})
	}
	return writeRecords(ctx, c.out, record.BootFiles, list)
}

// bootKind tells by its name what a file below /boot is.
func bootKind(name string) string {
	base := strings.ToLower(path.Base(name))
	has := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(base, p) })
	}
	switch {
	case has("vmlinuz", "vmlinux", "bzimage", "kernel-", "image", "zimage") && !strings.HasSuffix(base, ".hmac"), base == "linux":
		return "kernel"
	case has("initrd", "initramfs", "booster-", "dracut"), strings.HasSuffix(base, ".img") && !strings.Contains(name, "/grub"):
		return "initramfs"
	case strings.Contains(name, "/grub"), strings.Contains(strings.ToLower(name), "/efi/"), strings.Contains(name, "/loader/"), strings.Contains(name, "/extlinux/"), strings.HasSuffix(base, ".efi"):
		return "loader"
	}
	return "other"
}
