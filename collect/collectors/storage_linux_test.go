package collectors

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func recordsOf[T any](t *testing.T, text []byte) (list []T) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var v T
		check(t, json.Unmarshal(line, &v))
		list = append(list, v)
	}
	return list
}

func TestBlockDevicesOfSysfs(t *testing.T) {
	h := plant(t, "etc/hostname")
	for name, text := range map[string]string{
		"sda/dev": "8:0", "sda/size": "2048", "sda/ro": "0", "sda/removable": "1", "sda/device/model": "Disk  ", "sda/sda1/partition": "1",
		"sda/sda1/dev": "8:1", "sda/sda1/size": "1024", "sda/sda1/start": "34", "sda/holders/dm-0": "",
		"dm-0/dev": "253:0", "dm-0/dm/name": "secret", "dm-0/dm/uuid": "CRYPT-LUKS2-0a-secret", "dm-0/dm/suspended": "0", "dm-0/slaves/sda1": "",
		"dm-1/dm/name": "root", "dm-1/dm/uuid": "CRYPT-VERITY-0a-root", "dm-2/dm/name": "vg-lv", "dm-2/dm/uuid": "LVM-abc", "dm-3/dm/name": "p", "dm-3/dm/uuid": "part1-mpath-x",
		"md0/md/level": "raid1", "md0/md/array_state": "clean", "md0/md/raid_disks": "2", "md0/md/degraded": "1", "md0/md/metadata_version": "1.2",
		"loop0/dev": "7:0", "loop0/ro": "1", "loop0/loop/backing_file": "/tmp/a b (deleted)", "loop0/loop/offset": "1048576", "loop0/loop/autoclear": "1", "loop1/dev": "7:1",
	} {
		write(t, h, "/sys/devices/virtual/block/"+name, text+"\n")
	}
	check(t, os.MkdirAll(filepath.Join(h.Root, "sys/block"), 0o755))
	for _, name := range []string{"sda", "dm-0", "dm-1", "dm-2", "dm-3", "md0", "loop0", "loop1"} {
		check(t, os.Symlink("../devices/virtual/block/"+name, filepath.Join(h.Root, "sys/block", name)))
	}
	write(t, h, "/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/swap\\040file\\040(deleted) file 1024 4 -2\n/dev/dm-1 partition 8 0 100\nbroken\n")
	out := newMemoryTaker(h)
	check(t, collectBlockDevices(context.Background(), h, out))
	got := map[string]record.BlockDevice{}
	for _, d := range recordsOf[record.BlockDevice](t, out.streams[record.BlockDevices]) {
		got[d.Name] = d
	}
	if d := got["sda"]; d.Bytes != 1<<20 || d.Dev != "8:0" || !d.Removable || string(d.Model) != "Disk" || !slices.Equal(d.Holders, []string{"dm-0"}) {
		t.Errorf("%+v", d)
	}
	if d := got["sda1"]; d.Disk != "sda" || d.Start != 34*512 || d.Bytes != 512<<10 {
		t.Errorf("%+v", d)
	}
	kinds := map[string]string{}
	for name, d := range got {
		if d.DM != nil {
			kinds[name] = d.DM.Kind
		}
	}
	if want := map[string]string{"dm-0": "crypt", "dm-1": "verity", "dm-2": "lvm", "dm-3": "partition"}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("%v, want %v", kinds, want)
	}
	if l := got["loop0"].Loop; l == nil || string(l.File) != "/tmp/a b" || !l.Deleted || l.Offset != 1<<20 || !l.Autoclear || got["loop1"].Loop != nil {
		t.Errorf("%+v, %+v", l, got["loop1"].Loop)
	}
	if m := got["md0"].MD; m == nil || m.Level != "raid1" || m.Degraded != 1 || m.Disks != 2 {
		t.Errorf("%+v", m)
	}
	swaps := recordsOf[record.Swap](t, out.streams[record.Swaps])
	want := []record.Swap{{Path: record.Bytes("/swap file"), Deleted: true, Type: "file", Bytes: 1 << 20, Used: 4096, Priority: -2}, {Path: record.Bytes("/dev/dm-1"), Type: "partition", Bytes: 8192, Priority: 100}}
	if !reflect.DeepEqual(swaps, want) || len(out.problems) != 1 {
		t.Errorf("%+v, problems %+v", swaps, out.problems)
	}
}

// lsblk reads the same files.
func TestBlockDevicesOfThisMachineAreThoseOfLsblk(t *testing.T) {
	said := map[string]string{}
	for line := range strings.Lines(shell(t, testenv.Tool(t, "lsblk")+" -abnr -o NAME,MAJ:MIN,SIZE")) {
		f := strings.Fields(line)
		said[f[0]] = f[1] + " " + f[2]
	}
	h := openHost(t, "/")
	out := newMemoryTaker(h)
	check(t, collectBlockDevices(context.Background(), h, out))
	found := 0
	for _, d := range recordsOf[record.BlockDevice](t, out.streams[record.BlockDevices]) {
		if want, ok := said[d.Name]; ok {
			if found++; want != fmt.Sprintf("%s %d", d.Dev, d.Bytes) {
				t.Errorf("%+v; lsblk says %s", d, want)
			}
		}
	}
	if found < len(said) {
		t.Errorf("%d of the %d devices of lsblk", found, len(said))
	}
}

func TestAMountInAnotherNamespaceIsFound(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: making a mount namespace needs root")
	}
	const script = "mount -t tmpfs 'hid den' /mnt && echo ready && exec sleep 1000"
	cmd := exec.Command(testenv.Tool(t, "unshare"), "-m", "sh", "-c", script)
	ready, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // may have ended
		_ = cmd.Wait()
	})
	word := make([]byte, 6)
	if _, err := ready.Read(word); err != nil || string(word) != "ready\n" {
		t.Skip("skipped: nothing may be mounted here")
	}
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", cmd.Process.Pid))
	check(t, err)
	h := openHost(t, "/")
	out := newMemoryTaker(h)
	check(t, collectForeignMounts(context.Background(), h, out))
	hidden := slices.DeleteFunc(recordsOf[record.ForeignMount](t, out.streams[record.ForeignMounts]), func(m record.ForeignMount) bool {
		return m.Mntns != ns || string(m.Source) != "hid den"
	})
	if len(hidden) != 1 || string(hidden[0].Point) != "/mnt" || hidden[0].FSType != "tmpfs" {
		t.Errorf("%+v", hidden)
	}
	own, named := 0, 0
	for _, n := range recordsOf[record.MountNamespace](t, out.streams[record.MountNamespaces]) {
		if !n.Foreign {
			own++
		}
		if n.Mntns == ns && n.Foreign && n.Processes == 1 && n.Mounts > 1 && n.PID == int64(cmd.Process.Pid) {
			named++
		}
	}
	if own != 1 || named != 1 {
		t.Errorf("%s", out.streams[record.MountNamespaces])
	}
}

func TestWhatTheMachineBootsWith(t *testing.T) {
	root, _ := debRoot(t)
	for name, text := range map[string]string{
		"boot/vmlinuz-1": "kernel", "boot/vmlinuz-2": "changed", "boot/initrd.img-1": "made here", "boot/grub/grub.cfg": "menu", "boot/System.map-1": "s",
		"boot/efi/EFI/debian/shimx64.efi": "shim", "usr/lib/modules/1/vmlinuz": "kernel",
	} {
		program(t, root, name, text)
		check(t, os.Chmod(filepath.Join(root, name), 0o644))
	}
	check(t, os.Symlink("boot/vmlinuz-1", filepath.Join(root, "vmlinuz")))
	check(t, os.Symlink("vmlinuz-1", filepath.Join(root, "boot/vmlinuz")))
	sums := filepath.Join(root, "var/lib/dpkg/info/beta.md5sums")
	check(t, os.WriteFile(sums, fmt.Appendf(nil, "%x  boot/vmlinuz-1\n%x  boot/vmlinuz-2\n", md5.Sum([]byte("kernel")), md5.Sum([]byte("shipped"))), 0o644))
	_, out := compared(t, openHost(t, root))
	var got []string
	for _, f := range recordsOf[record.BootFile](t, out.streams[record.BootFiles]) {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", f.Kind, f.Path, f.Check, f.Target)))
		if string(f.Path) == "/boot/initrd.img-1" && f.SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte("made here"))) {
			t.Errorf("%+v", f)
		}
	}
	want := []string{
		"other /boot/System.map-1 unowned", "loader /boot/efi/EFI/debian/shimx64.efi unowned", "loader /boot/grub/grub.cfg unowned", "initramfs /boot/initrd.img-1 unowned",
		"kernel /boot/vmlinuz same /boot/vmlinuz-1", "kernel /boot/vmlinuz-1 same", "kernel /boot/vmlinuz-2 changed", "kernel /usr/lib/modules/1/vmlinuz unowned",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want\n%q", got, want)
	}
}

// The UUID of a mapping is whatever who made it gave it.
func TestMapperKindOfAnyUUID(t *testing.T) {
	for uuid, want := range map[string]string{
		"CRYPT-LUKS2-00-name": "crypt", "CRYPT-VERITY-00-root": "verity", "LVM-abc": "lvm", "part1-mpath-3": "partition",
		"CRYPT": "crypt", "crypt-": "crypt", "-": "", "": "",
	} {
		if got := mapperKind(uuid); got != want {
			t.Errorf("%q: %q, want %q", uuid, got, want)
		}
	}
}

func FuzzSwaps(f *testing.F) {
	f.Add([]byte("Filename\tType\tSize\tUsed\tPriority\n/swap\\040x file 1024 4 -2\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, _ := parseSwaps(text)
		for _, s := range list {
			if len(s.Path) == 0 || s.Bytes < 0 {
				t.Fatalf("%+v", s)
			}
		}
		mapperKind(string(text))
	})
}
