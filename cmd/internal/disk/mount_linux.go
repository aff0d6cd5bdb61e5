package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is an image whose file systems can be mounted.
type Disk struct {
	Path    string
	Form    Form
	Size    int64 // of the disk, not of the file
	Volumes []Volume

	raw      *os.File
	dir      string        // private folder, on a file system of its own
	export   *exec.Cmd     // shows another form as raw; nil: none
	exported chan struct{} // closed when it has ended
	mounts   []string
}

// Mounted is one file system that was mounted.
type Mounted struct {
	Volume
	At      string `json:"at"`     // in the system that is collected: "/", "/var"
	Type    string `json:"type"`   // as the kernel's file system is called
	Options string `json:"option"` // it was mounted with
}

// Errors of Open and Mount.
var (
	ErrTool       = errors.New("a program that reads this form is missing")
	ErrNoSystem   = errors.New("no volume looks like the root of a system")
	ErrPrivileges = errors.New("mounting needs root")
	// ErrStreams says that evidence on a volume is not seen.
	ErrStreams = errors.New("the kernel's ntfs3 shows no named streams, $UsnJrnl:$J among them: install ntfs-3g")
)

// Open opens an image, by way of another program where it is not raw, and
// finds its volumes. The process must have a mount namespace of its own.
func Open(ctx context.Context, name string) (*Disk, error) {
	fail := func(err error) (*Disk, error) { return nil, fmt.Errorf("open image %s: %w", name, err) }
	if os.Geteuid() != 0 {
		return fail(ErrPrivileges)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	d := &Disk{Path: name, Form: FormOf(f), raw: f}
	// Nothing that is mounted here is seen elsewhere, and the other way round.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		f.Close()
		return fail(err)
	}
	if d.dir, err = os.MkdirTemp("", "exhibit-image-*"); err != nil {
		f.Close()
		return fail(err)
	}
	if err := d.open(ctx, f); err != nil {
		return fail(errors.Join(err, d.Close()))
	}
	return d, nil
}

func (d *Disk) open(ctx context.Context, f *os.File) error {
	if err := unix.Mount("exhibit", d.dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700,size=1m"); err != nil {
		return err
	}
	d.mounts = append(d.mounts, d.dir)
	if d.Form != Raw {
		f.Close()
		if err := d.exportRaw(ctx); err != nil {
			return err
		}
	}
	size, err := d.raw.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	d.Size = size
	d.Volumes, err = Volumes(d.raw, size)
	return err
}

// exportWait is how long the program that shows a raw disk may take to begin.
const exportWait = 20 * time.Second

// exportRaw has another program show the disk as a raw file.
func (d *Disk) exportRaw(ctx context.Context) error {
	abs, err := filepath.Abs(d.Path)
	if err != nil {
		return err
	}
	to := filepath.Join(d.dir, "raw")
	if d.Form == EWF {
		err = os.Mkdir(to, 0o700)
	} else {
		err = os.WriteFile(to, nil, 0o600)
	}
	if err != nil {
		return err
	}
	argv, raw, packages := exporter(d.Form, abs, to)
	name, err := exec.LookPath(argv[0])
	if err != nil {
		return fmt.Errorf("%w: the image is %s, which %s reads (Debian: %s)", ErrTool, d.Form, argv[0], packages)
	}
	cmd := exec.CommandContext(ctx, name, argv[1:]...) //nolint:gosec // fixed words and a path
	said := &lastLine{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C ends the collection, not the disk
	if err := cmd.Start(); err != nil {
		return err
	}
	d.export, d.exported = cmd, make(chan struct{})
	d.mounts = append(d.mounts, to)
	go func() {
		_ = cmd.Wait() //nolint:errcheck // what it says tells more
		close(d.exported)
	}()
	// ewfmount goes on in the background and ends here.
	for deadline := time.Now().Add(exportWait); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if st, err := os.Stat(raw); err == nil && st.Size() > 0 {
			d.raw, err = os.Open(raw)
			return err
		}
		if d.Form != EWF {
			select {
			case <-d.exported:
				return fmt.Errorf("%s: %s", argv[0], said)
			default:
			}
		}
	}
	return fmt.Errorf("%s does not show the disk: %s", argv[0], said)
}

// lastLine keeps the end of what a program says.
type lastLine struct{ b []byte }

func (l *lastLine) Write(p []byte) (int, error) {
	l.b = append(l.b, p...)
	l.b = l.b[max(0, len(l.b)-1000):]
	return len(p), nil
}

func (l *lastLine) String() string {
	lines := strings.Split(strings.TrimSpace(string(l.b)), "\n")
	return lines[len(lines)-1]
}

// Close unmounts everything.
func (d *Disk) Close() error {
	var err error
	if d.raw != nil {
		err = d.raw.Close()
	}
	for _, at := range slices.Backward(d.mounts) {
		if e := unix.Unmount(at, unix.MNT_DETACH); e != nil && !errors.Is(e, unix.EINVAL) {
			err = errors.Join(err, fmt.Errorf("unmount %s: %w", at, e))
		}
	}
	if d.export != nil {
		_ = d.export.Process.Kill() //nolint:errcheck // it may have ended
		<-d.exported
	}
	return errors.Join(err, os.Remove(d.dir))
}

// how a kind is mounted: no journal is replayed, for that would be a write,
// and what is not in the file system proper stays what it was.
var how = map[Kind][]struct{ fstype, options string }{
	Ext:   {{"ext4", "noload"}},
	XFS:   {{"xfs", "norecovery,nouuid"}},
	Btrfs: {{"btrfs", "rescue=nologreplay"}},
	// ntfs-3g first: the kernel's driver shows no named streams.
	NTFS: {{"ntfs-3g", "ro,norecover,show_sys_files,streams_interface=windows"}, {"ntfs3", "iocharset=utf8,showmeta"}},
	FAT:  {{"vfat", "iocharset=utf8"}},
}

// mount mounts one volume, which extra options may narrow (a btrfs subvolume).
func (d *Disk) mount(v Volume, at, extra string) (fstype, options string, err error) {
	loop, err := attach(d.raw, v)
	if err != nil {
		return "", "", err
	}
	defer loop.Close()
	const flags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME
	for _, h := range how[v.Kind] {
		options = h.options
		if extra != "" {
			options += "," + extra
		}
		var e error
		if h.fstype == "ntfs-3g" {
			e = ntfs3g(loop.Name(), at, options)
		} else {
			e = unix.Mount(loop.Name(), at, h.fstype, flags, options)
		}
		if e == nil {
			d.mounts = append(d.mounts, at)
			return h.fstype, "ro," + strings.TrimPrefix(options, "ro,"), nil
		}
		err = errors.Join(err, fmt.Errorf("%s: %w", h.fstype, e))
	}
	return "", "", fmt.Errorf("mount volume %d: %w", v.Number, err)
}

func ntfs3g(device, at, options string) error {
	name, err := exec.LookPath("ntfs-3g")
	if err != nil {
		return err
	}
	said := &lastLine{}
	cmd := exec.Command(name, "-o", options, device, at) //nolint:gosec // fixed words and our own paths
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

// attach makes a read-only device of a volume, which the kernel takes away
// when nobody uses it any more.
func attach(f *os.File, v Volume) (*os.File, error) {
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer ctl.Close()
	for range 32 {
		n, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("loop device: %w", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDONLY, 0)
		if err != nil {
			return nil, err
		}
		c := unix.LoopConfig{Fd: uint32(f.Fd())}                           //nolint:gosec // a file descriptor
		c.Info.Offset, c.Info.Sizelimit = uint64(v.Offset), uint64(v.Size) //nolint:gosec // checked by Volumes
		c.Info.Flags = unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &c); err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) { // else somebody else was faster
			return nil, fmt.Errorf("loop device: %w", err)
		}
	}
	return nil, errors.New("loop device: none is free")
}

// MountSystem mounts the root of a system, that of a volume's number or the one
// that looks like one, and what its fstab puts below it. It returns the folder
// and what was mounted; problems are volumes that could not be.
func (d *Disk) MountSystem(number int) (root string, list []Mounted, problems []error, err error) {
	root = filepath.Join(d.dir, "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		return "", nil, nil, err
	}
	for _, v := range d.Volumes {
		if number >= 0 && v.Number != number || number < 0 && !v.Kind.Mountable() {
			continue
		}
		if !v.Kind.Mountable() {
			return "", nil, nil, fmt.Errorf("volume %d holds no file system that can be mounted: %s", v.Number, orUnknown(v.Kind))
		}
		for _, extra := range subvolumes(v.Kind) {
			fstype, options, e := d.mount(v, root, extra)
			if e != nil {
				problems = append(problems, e)
				continue
			}
			if number >= 0 && v.Kind != Btrfs || isSystem(root) {
				if fstype == "ntfs3" {
					problems = append(problems, fmt.Errorf("volume %d: %w", v.Number, ErrStreams))
				}
				list = append(list, Mounted{v, "/", fstype, options})
				more, e := d.mountBelow(root)
				return root, append(list, more...), append(problems, e...), nil
			}
			d.mounts = d.mounts[:len(d.mounts)-1]
			if e := unix.Unmount(root, 0); e != nil {
				return "", nil, nil, e
			}
		}
	}
	if len(problems) > 0 {
		return "", nil, nil, errors.Join(problems...)
	}
	if slices.ContainsFunc(d.Volumes, func(v Volume) bool { return v.Kind == XFS }) {
		return "", nil, nil, fmt.Errorf("%w; of an XFS what stands in its log alone is not seen", ErrNoSystem)
	}
	return "", nil, nil, ErrNoSystem
}

// subvolumes are where distributions put the root of a btrfs.
func subvolumes(k Kind) []string {
	if k == Btrfs {
		return []string{"subvol=/", "subvol=/@", "subvol=/root", "subvol=/@rootfs"}
	}
	return []string{""}
}

func orUnknown(k Kind) string {
	if k == "" {
		return "nothing that is known"
	}
	return string(k)
}

// isSystem reports whether a folder looks like the root of one.
func isSystem(root string) bool {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release", "etc/passwd"} {
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil {
			return true
		}
	}
	return hasFolder(root, "windows", "system32") || hasFolder(root, "winnt", "system32")
}

// hasFolder looks for a folder in whatever case its names are spelt.
func hasFolder(dir string, names ...string) bool {
	if len(names) == 0 {
		return true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return e.IsDir() && strings.EqualFold(e.Name(), names[0]) && hasFolder(filepath.Join(dir, e.Name()), names[1:]...)
	})
}

// maxFstab bounds what is read of a table of file systems.
const maxFstab = 64 << 10

// mountBelow mounts what the fstab of a system names by UUID, label or
// PARTUUID and the disk has. Device names are not taken: they are those of
// another machine.
func (d *Disk) mountBelow(root string) (list []Mounted, problems []error) {
	sys, err := os.OpenRoot(root)
	if err != nil {
		return nil, []error{err}
	}
	defer sys.Close()
	f, err := sys.Open("etc/fstab")
	if err != nil {
		return nil, nil
	}
	defer f.Close()
	entries := parseFstab(io.LimitReader(f, maxFstab))
	for _, e := range entries {
		i := slices.IndexFunc(d.Volumes, func(v Volume) bool { return e.names(v) })
		if i < 0 || e.at == "/" || !d.Volumes[i].Kind.Mountable() {
			continue
		}
		v := d.Volumes[i]
		extra := ""
		if v.Kind == Btrfs {
			extra = e.subvolume()
		}
		// The way must not lead out of the system by a link.
		place, err := sys.OpenFile(strings.TrimPrefix(e.at, "/"), unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			problems = append(problems, fmt.Errorf("volume %d at %s: %w", v.Number, e.at, err))
			continue
		}
		fstype, options, err := d.mount(v, fmt.Sprintf("/proc/self/fd/%d", place.Fd()), extra)
		place.Close()
		if err != nil {
			problems = append(problems, err)
			continue
		}
		d.mounts[len(d.mounts)-1] = filepath.Join(root, e.at)
		list = append(list, Mounted{v, e.at, fstype, options})
	}
	return list, problems
}

// fstabEntry is one line of fstab(5).
type fstabEntry struct{ spec, at, kind, options string }

// parseFstab reads the lines that mount something at a place, outer places
// first.
func parseFstab(r io.Reader) []fstabEntry {
	var list []fstabEntry
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || strings.HasPrefix(fields[0], "#") || !strings.HasPrefix(fields[1], "/") {
			continue
		}
		e := fstabEntry{spec: fields[0], at: path.Clean(fstabText(fields[1])), kind: fields[2]}
		if len(fields) > 3 {
			e.options = fields[3]
		}
		list = append(list, e)
	}
	slices.SortStableFunc(list, func(a, b fstabEntry) int { return len(a.at) - len(b.at) })
	return list
}

// fstabText resolves the octal escapes of getmntent(3).
func fstabText(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

func (e fstabEntry) names(v Volume) bool {
	key, value, _ := strings.Cut(e.spec, "=")
	value = strings.Trim(value, `"`)
	switch {
	case value == "":
		return false
	case key == "UUID":
		return strings.EqualFold(value, v.UUID)
	case key == "LABEL":
		return value == v.Label
	case key == "PARTUUID":
		return strings.EqualFold(value, v.PartUUID)
	}
	return false
}

func (e fstabEntry) subvolume() string {
	for o := range strings.SplitSeq(e.options, ",") {
		if strings.HasPrefix(o, "subvol=") || strings.HasPrefix(o, "subvolid=") {
			return o
		}
	}
	return ""
}
