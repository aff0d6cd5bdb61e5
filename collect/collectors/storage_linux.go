package collectors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// Bounds of what is listed.
const (
	maxMountNamespaces = 20_000
	maxForeignMounts   = 500_000
	maxMountTable      = 32 << 20 // bytes of one mountinfo
	maxBlockDevices    = 20_000
)

// collectForeignMounts reads the mounts of every mount namespace that a
// process is in: containers, services with PrivateTmp, and who hides a mount
// from the rest of the host.
func collectForeignMounts(ctx context.Context, h *collect.Host, out collect.Taker) error {
	list, lost, err := mountNamespaces(ctx, h)
	if err != nil {
		return err
	}
	for _, e := range lost {
		out.Problem(problemOf(e, record.MountNamespaces))
	}
	lines := collect.NewRecords(ctx, out, evidence.Item{Path: record.ForeignMounts, Source: "proc"})
	for _, ns := range list {
		if err == nil {
			err = ns.read(ctx, h, out, lines)
		}
	}
	if err = errors.Join(err, lines.Close()); err != nil {
		return err
	}
	records := make([]record.MountNamespace, len(list))
	for i, ns := range list {
		records[i] = ns.MountNamespace
	}
	return writeRecords(ctx, out, record.MountNamespaces, records)
}

// mountNamespace is one with the processes in it: the mounts of one are not
// to be had when it ends meanwhile.
type mountNamespace struct {
	record.MountNamespace
	pids []int64
}

const maxNamespacePIDs = 8 // that are tried, one after the other

func mountNamespaces(ctx context.Context, h *collect.Host) (list []*mountNamespace, lost []error, err error) {
	own, err := h.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil, []error{err}, nil
	}
	entries, err := h.ReadDir("/proc")
	if err != nil {
		return nil, []error{err}, nil
	}
	byName := map[string]*mountNamespace{}
	denied, beyond := 0, 0
	for _, e := range entries {
		pid, err := strconv.ParseInt(e.Name, 10, 64)
		if err != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		name, err := h.Readlink("/proc/" + e.Name + "/ns/mnt")
		if err != nil {
			if errors.Is(err, fs.ErrPermission) {
				denied++
			}
			continue // ended, or a zombie
		}
		ns := byName[name]
		if ns == nil {
			if len(list) >= maxMountNamespaces {
				beyond++
				continue
			}
			ns = &mountNamespace{MountNamespace: record.MountNamespace{Mntns: name, Foreign: name != own}}
			byName[name] = ns
			list = append(list, ns)
		}
		ns.Processes++
		ns.pids = append(ns.pids, pid)
		if len(ns.pids) > maxNamespacePIDs { // the lowest are the oldest
			slices.Sort(ns.pids)
			ns.pids = ns.pids[:maxNamespacePIDs]
		}
	}
	if denied > 0 {
		lost = append(lost, fmt.Errorf("mount namespaces of %d processes: %w", denied, fs.ErrPermission))
	}
	if beyond > 0 {
		lost = append(lost, fmt.Errorf("processes in more than %d mount namespaces: %w", maxMountNamespaces, collect.ErrTooBig))
	}
	return list, lost, nil
}

// read writes the mounts of one namespace, those of the collector's own not
// again. An error means that the run ends.
func (ns *mountNamespace) read(ctx context.Context, h *collect.Host, out collect.Taker, lines *collect.Records) error {
	var text []byte
	err := fs.ErrNotExist
	slices.Sort(ns.pids)
	for _, pid := range ns.pids {
		ns.PID = pid
		dir := "/proc/" + strconv.FormatInt(pid, 10)
		// It may have moved, and its number may be another's by now.
		if name, lerr := h.Readlink(dir + "/ns/mnt"); lerr != nil || name != ns.Mntns {
			continue
		}
		comm, _ := h.ReadFile(dir+"/comm", 64) //nolint:errcheck // a name for people only
		ns.Comm = record.Bytes(strings.TrimSuffix(string(comm), "\n"))
		if text, err = h.ReadFile(dir+"/mountinfo", maxMountTable); err == nil {
			break
		}
	}
	if err != nil {
		ns.Error = withoutPath(err)
		return ctx.Err()
	}
	mounts, bad := collect.ParseMountInfo(text)
	if bad > 0 {
		out.Problem(problemAt(evidence.Corrupt, record.ForeignMounts, fmt.Sprintf("%d lines of the mounts of process %d are not in the kernel's format", bad, ns.PID)))
	}
	ns.Mounts = int64(len(mounts))
	if !ns.Foreign {
		return ctx.Err()
	}
	for i, m := range mounts {
		if lines.Count() >= maxForeignMounts {
			out.Problem(problemAt(evidence.TooBig, record.ForeignMounts, fmt.Sprintf("%d mounts of %s were left out: there are more than %d", len(mounts)-i, ns.Mntns, maxForeignMounts)))
			break
		}
		r := record.ForeignMount{Mntns: ns.Mntns, PID: ns.PID, Mount: record.Mount{
			ID: m.ID, Parent: m.Parent, Dev: m.Dev, Root: record.Bytes(m.Root), Point: record.Bytes(m.Point),
			Options: m.Options, FSType: m.FSType, Source: record.Bytes(m.Source), SuperOpts: record.Bytes(m.SuperOpts),
		}}
		if err := lines.Write(r); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// collectBlockDevices decodes /sys/block and /proc/swaps.
func collectBlockDevices(ctx context.Context, h *collect.Host, out collect.Taker) error {
	b := &blockLook{host: h}
	entries, err := h.ReadDir("/sys/block")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		out.Problem(problemOf(err, "/sys/block"))
	}
	var list []record.BlockDevice
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		dir := "/sys/block/" + e.Name
		if target, err := h.Readlink(dir); err == nil { // to below /sys/devices
			dir = path.Join("/sys/block", target)
		}
		list = append(list, b.device(dir, e.Name))
		parts, err := h.ReadDir(dir)
		if err != nil {
			out.Problem(problemOf(err, dir))
		}
		for _, p := range parts {
			if p.Type == modeDir && b.text(dir+"/"+p.Name+"/partition") != "" {
				r := b.device(dir+"/"+p.Name, p.Name)
				r.Disk, r.Start = e.Name, 512*b.number(dir+"/"+p.Name+"/start")
				list = append(list, r)
			}
		}
		if len(list) > maxBlockDevices {
			out.Problem(problemAt(evidence.TooBig, record.BlockDevices, fmt.Sprintf("more than %d devices; the rest was left out", maxBlockDevices)))
			break
		}
	}
	if err := writeRecords(ctx, out, record.BlockDevices, list); err != nil {
		return err
	}
	text, err := h.ReadFile("/proc/swaps", 1<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		out.Problem(problemOf(err, "/proc/swaps"))
	}
	swaps, bad := parseSwaps(text)
	if bad > 0 {
		out.Problem(problemAt(evidence.Corrupt, "/proc/swaps", fmt.Sprintf("%d lines are not in the kernel's format", bad)))
	}
	return writeRecords(ctx, out, record.Swaps, swaps)
}

type blockLook struct{ host *collect.Host }

// text is a file of one line of sysfs; "" where it is not there, which is how
// sysfs says that something does not apply.
func (b *blockLook) text(name string) string {
	text, _ := b.host.ReadFile(name, 8192) //nolint:errcheck // as said
	return strings.TrimSuffix(string(text), "\n")
}

func (b *blockLook) number(name string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(b.text(name)), 10, 64) //nolint:errcheck // 0: it has none
	return n
}

func (b *blockLook) names(dir string) (list []string) {
	entries, _ := b.host.ReadDir(dir) //nolint:errcheck // a partition has no slaves
	for _, e := range entries {
		list = append(list, e.Name)
	}
	return list
}

func (b *blockLook) device(dir, name string) record.BlockDevice {
	r := record.BlockDevice{
		Name: name, Dev: b.text(dir + "/dev"), Bytes: 512 * b.number(dir+"/size"), // sysfs counts in 512 whatever the device does
		ReadOnly: b.number(dir+"/ro") == 1, Removable: b.number(dir+"/removable") == 1,
		Slaves: b.names(dir + "/slaves"), Holders: b.names(dir + "/holders"),
	}
	if model := strings.TrimSpace(b.text(dir + "/device/model")); model != "" {
		r.Model = record.Bytes(model)
	}
	if file := b.text(dir + "/loop/backing_file"); file != "" {
		l := record.Loop{
			Offset: b.number(dir + "/loop/offset"), SizeLimit: b.number(dir + "/loop/sizelimit"),
			Autoclear: b.number(dir+"/loop/autoclear") == 1, DirectIO: b.number(dir+"/loop/dio") == 1,
		}
		file, l.Deleted = strings.CutSuffix(file, " (deleted)") // d_path in fs/d_path.c
		l.File = record.Bytes(file)
		r.Loop = &l
	}
	if dm := b.text(dir + "/dm/name"); dm != "" {
		d := record.DM{Name: record.Bytes(dm), Suspended: b.number(dir+"/dm/suspended") == 1}
		if uuid := b.text(dir + "/dm/uuid"); uuid != "" {
			d.UUID, d.Kind = record.Bytes(uuid), mapperKind(uuid)
		}
		r.DM = &d
	}
	if level := b.text(dir + "/md/level"); level != "" {
		r.MD = &record.MD{
			Level: level, State: b.text(dir + "/md/array_state"), Disks: b.number(dir + "/md/raid_disks"), Degraded: b.number(dir + "/md/degraded"),
			Version: b.text(dir + "/md/metadata_version"), UUID: b.text(dir + "/md/uuid"),
		}
	}
	return r
}

// mapperKind is what made a device of the device mapper, by the prefix that
// programs give its UUID: CRYPT-LUKS2-…, LVM-…, part1-mpath-….
func mapperKind(uuid string) string {
	prefix, rest, _ := strings.Cut(uuid, "-")
	switch p := strings.ToLower(prefix); {
	case p == "crypt":
		if kind, _, _ := strings.Cut(rest, "-"); strings.EqualFold(kind, "verity") || strings.EqualFold(kind, "integrity") {
			return strings.ToLower(kind)
		}
		return p
	case strings.HasPrefix(p, "part"):
		return "partition"
	default:
		return p
	}
}

// parseSwaps reads /proc/swaps: a line of headings, then path, type, size and
// used bytes in KiB, priority. Blanks in a path are \040 (seq_file_path).
func parseSwaps(text []byte) (list []record.Swap, bad int) {
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "Filename" {
			continue
		}
		if len(f) != 5 {
			bad++
			continue
		}
		var n [3]int64
		broken := false
		for i := range n {
			v, err := strconv.ParseInt(f[2+i], 10, 64)
			n[i], broken = v, broken || err != nil
		}
		if broken || n[0] < 0 || n[0] > 1<<50 || n[1] < 0 || n[1] > 1<<50 {
			bad++
			continue
		}
		file, deleted := strings.CutSuffix(collect.UnescapeOctal(f[0]), " (deleted)")
		list = append(list, record.Swap{Path: record.Bytes(path.Clean(file)), Deleted: deleted, Type: f[1], Bytes: n[0] << 10, Used: n[1] << 10, Priority: n[2]})
	}
	return list, bad
}
