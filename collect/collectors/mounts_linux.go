package collectors

import (
	"context"
	"errors"
	"io/fs"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"golang.org/x/sys/unix"
)

func collectMounts(ctx context.Context, h *collect.Host, out collect.Taker) error {
	mounts, err := h.Mounts()
	if err != nil {
		out.Problem(problemOf(err, record.Mounts))
	}
	lines := collect.NewRecords(ctx, out, evidence.Item{Path: record.Mounts, Source: "proc"})
	for _, m := range mounts {
		if err = ctx.Err(); err != nil {
			break
		}
		if err = lines.Write(mountRecord(h, m, out)); err != nil {
			break
		}
	}
	if err = errors.Join(err, lines.Close()); err != nil {
		return err
	}
	if err = collectForeignMounts(ctx, h, out); err != nil {
		return err
	}
	if err = collectBlockDevices(ctx, h, out); err != nil {
		return err
	}
	return takeFiles(ctx, out, "mount files", mountFiles)
}

func mountRecord(h *collect.Host, m collect.MountPoint, out collect.Taker) record.Mount {
	r := record.Mount{
		ID: m.ID, Parent: m.Parent, Dev: m.Dev, Root: record.Bytes(m.Root), Point: record.Bytes(m.Point),
		Options: m.Options, FSType: m.FSType, Source: record.Bytes(m.Source), SuperOpts: record.Bytes(m.SuperOpts),
	}
	if m.Storage() != collect.Local {
		return r
	}
	total, free, err := h.StatFS(m.Point)
	if err != nil {
		out.Problem(problemOf(err, m.Point))
	}
	r.TotalBytes, r.FreeBytes = total, free
	return r
}

// maxSessionFiles bounds what one of sessionDirs may hold: /run/user belongs
// to its users.
const maxSessionFiles = 5000

func collectSessions(ctx context.Context, h *collect.Host, out collect.Taker) error {
	if err := takeFiles(ctx, out, "session files", sessionFiles); err != nil {
		return err
	}
	for _, dir := range sessionDirs {
		if err := takeTree(ctx, h, out, dir); err != nil {
			return err
		}
	}
	return nil
}

// takeTree takes a folder and what is below it, as far as local.
func takeTree(ctx context.Context, h *collect.Host, out collect.Taker, dir string) error {
	st, err := h.Stat(dir)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err := out.File(ctx, dir, dir)
		out.Seen(dir, 0)
		return err
	}
	n := 0
	var lost error
	err = h.WalkWith(ctx, dir, collect.Walker{
		Visit: func(path string, _ *evidence.Stat) error {
			if n++; n > maxSessionFiles {
				return collect.ErrTooBig
			}
			return out.File(ctx, path, dir)
		},
		Failed: func(path string, err error) {
			if !errors.Is(err, fs.ErrNotExist) { // sessions come and go
				out.Problem(problemOf(err, path))
			}
		},
		LeftOut: func(path, reason string) {
			err := out.Note(ctx, evidence.Item{Kind: evidence.KindSkipped, Path: path, Rule: dir, Detail: reason})
			if lost == nil {
				lost = err
			}
		},
	})
	out.Seen(dir, n)
	if errors.Is(err, collect.ErrTooBig) {
		out.Problem(evidence.Problem{
			Code: evidence.TooBig, Path: dir, Detail: "more names than the limit; the rest was left out",
			Ref: evidence.Ref{Offset: -1, Length: -1},
		})
		err = nil
	}
	return errors.Join(err, lost)
}
