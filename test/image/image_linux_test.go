// Package image collects systems from disk images made with the real tools, in
// every form that is read, and holds each image to the bytes it had.
package image

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

type lab struct {
	t   *testing.T
	dir string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root can mount an image")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("skipped: this kernel has no loop devices")
	}
	l := &lab{t: t, dir: t.TempDir()}
	build := exec.Command(testenv.Tool(t, "go"), "build", "-trimpath", "-o", l.dir+"/", "./cmd/exhibit")
	build.Dir, build.Env = testenv.Root(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return l
}

// sh runs a script and returns its output and exit code.
func (l *lab) try(script string) (string, int) {
	l.t.Helper()
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), "PATH="+l.dir+":"+os.Getenv("PATH"), "HOME="+l.dir, "XDG_CONFIG_HOME="+l.dir+"/config", "EXHIBIT_PROGRESS=none", "EXHIBIT_CASE=", "EXHIBIT_KEY=", "EXHIBIT_ID=")
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		l.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (l *lab) sh(script string) string {
	l.t.Helper()
	out, code := l.try(script)
	if code != 0 {
		l.t.Fatalf("%s: exit code %d\n%s", script, code, out)
	}
	return out
}

// What is on the volume of its own.
const (
	varUUID = "11111111-2222-3333-4444-555555555555"
	line    = "Nov  1 00:00:00 imghost sshd[1]: Failed password for root from 192.0.2.7 port 5 ssh2\n"
)

// system makes a disk with a root, a /var of its own by UUID, and a swap.
func (l *lab) system(mkfs string) {
	l.t.Helper()
	l.sh(fmt.Sprintf(`rm -rf tree var *.fs disk.raw && mkdir -p tree/etc tree/var tree/home tree/srv var/log
echo imghost > tree/etc/hostname
echo 'root:x:0:0:root:/root:/bin/sh' > tree/etc/passwd
printf 'UUID=%[1]s /var ext4 defaults 0 2\nLABEL=swapped none swap sw 0 0\n/dev/sda1 / ext4 defaults 0 1\n' > tree/etc/fstab
printf '%[2]s' > var/log/auth.log
truncate -s 400M disk.raw
printf 'label: gpt\nstart=2048,size=655360\nstart=657408,size=65536\nstart=722944,size=16384\n' | sfdisk -q --wipe never disk.raw
truncate -s 320M root.fs
truncate -s 32M var.fs
truncate -s 8M swap.fs
mkfs.ext4 -q -U %[1]s -d var var.fs
mkswap -q -L swapped swap.fs
%[3]s
dd if=root.fs of=disk.raw bs=512 seek=2048 conv=notrunc,sparse status=none
dd if=var.fs of=disk.raw bs=512 seek=657408 conv=notrunc,sparse status=none
dd if=swap.fs of=disk.raw bs=512 seek=722944 conv=notrunc,sparse status=none`, varUUID, line[:len(line)-1]+`\n`, mkfs))
}

// collected holds an image to what is on it, and to what it was before.
func (l *lab) collected(name string) {
	l.t.Helper()
	before := l.sh("sha256sum " + name)
	out, code := l.try("exhibit collect --image " + name + " -o " + name + ".exhibit.tar.zst")
	if code != 0 {
		l.t.Fatalf("%s: exit code %d\n%s", name, code, out)
	}
	if got := l.sh("exhibit cat " + name + ".exhibit.tar.zst /var/log/auth.log"); got != line {
		l.t.Errorf("%s: the log on the volume of its own is %q", name, got)
	}
	if got := l.sh("exhibit cat " + name + ".exhibit.tar.zst /etc/hostname"); got != "imghost\n" {
		l.t.Errorf("%s: the host is %q", name, got)
	}
	if after := l.sh("sha256sum " + name); after != before {
		l.t.Errorf("%s was changed", name)
	}
	header := l.sh("zstd -q -dc " + name + ".exhibit.tar.zst | tar -x -O exhibit/header.json")
	for _, want := range []string{`"origin":"image ` + name, "volume 1", "at /,", "volume 2 (ext4) at /var, ro,noload"} {
		if !strings.Contains(header, want) {
			l.t.Errorf("%s: the header does not say %q:\n%s", name, want, header)
		}
	}
	if left := l.sh("mount | grep -c exhibit-image || true; losetup -l -n -O BACK-FILE | grep -c " + l.dir + " || true; ls -d ${TMPDIR:-/tmp}/exhibit-image-* 2>/dev/null || true"); left != "0\n0\n" {
		l.t.Errorf("%s: left behind: %s", name, left)
	}
	if err := os.Remove(filepath.Join(l.dir, name+".exhibit.tar.zst")); err != nil {
		l.t.Fatal(err)
	}
}

func TestAnImageOfEveryFormIsCollectedAndStaysWhatItWas(t *testing.T) {
	for _, tool := range []string{"sfdisk", "mkfs.ext4", "mkswap", "qemu-img", "qemu-storage-daemon", "ewfmount", "ewfacquire", "zstd", "losetup"} {
		testenv.Tool(t, tool)
	}
	l := newLab(t)
	l.system("mkfs.ext4 -q -d tree root.fs")
	volumes := l.sh("exhibit volumes disk.raw")
	for _, want := range []string{"ext4", varUUID, "swap", "swapped"} {
		if !strings.Contains(volumes, want) {
			t.Errorf("volumes do not show %q:\n%s", want, volumes)
		}
	}
	l.collected("disk.raw")
	for _, form := range []string{"qcow2", "vmdk", "vhdx", "vdi"} {
		l.sh("qemu-img convert -O " + form + " disk.raw disk." + form)
		l.collected("disk." + form)
	}
	l.sh("ewfacquire -u -t disk -f encase6 -S 2G -c fast disk.raw")
	l.collected("disk.E01")
	if got := l.sh("exhibit volumes disk.E01"); got != volumes {
		t.Errorf("the volumes of disk.E01 are\n%s, those of disk.raw\n%s", got, volumes)
	}
}

func TestFileSystemsAreReadWithoutReplayOfTheirJournals(t *testing.T) {
	for _, tool := range []string{"sfdisk", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mkswap", "mount", "zstd", "losetup"} {
		testenv.Tool(t, tool)
	}
	l := newLab(t)
	// What XFS has in its log alone is not to be seen without its replay: it is
	// frozen, which writes the log back and leaves it to be replayed.
	for kind, mkfs := range map[string]string{"ext4": "mkfs.ext4 -q -d tree root.fs", "xfs": "mkfs.xfs -q root.fs", "btrfs": "mkfs.btrfs -q root.fs"} {
		t.Run(kind, func(t *testing.T) {
			l := &lab{t, l.dir}
			if b, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(b), "\t"+kind+"\n") {
				t.Skipf("skipped: this kernel does not read %s", kind)
			}
			// Copied while it is mounted and written to: a journal is to be replayed.
			l.system(mkfs + `
mkdir -p m && mount -o loop root.fs m && cp -a tree/. m/ && sync && for i in 1 2 3 4; do echo $i > m/srv/$i; done && sync -f m
[ "` + kind + `" != xfs ] || fsfreeze -f m
[ "` + kind + `" = xfs ] || touch m/srv/late
cp --sparse=always root.fs copy.fs
[ "` + kind + `" != xfs ] || fsfreeze -u m
umount m && mv copy.fs root.fs`)
			l.collected("disk.raw")
		})
	}
}

// A place below a link that leads out of the image is not mounted over, and
// that is said: the machine of the examiner is not the one that is collected.
func TestAnImageDoesNotLeadOut(t *testing.T) {
	for _, tool := range []string{"sfdisk", "mkfs.ext4", "mkswap", "losetup", "debugfs"} {
		testenv.Tool(t, tool)
	}
	l := newLab(t)
	out := t.TempDir()
	l.system(`rmdir tree/var && ln -s ` + out + ` tree/var && mkfs.ext4 -q -d tree root.fs`)
	text, code := l.try("exhibit collect --image disk.raw -o x.exhibit.tar.zst && ls -A " + out)
	if code != 3 || !strings.Contains(text, "volume 2 at /var") {
		t.Errorf("exit code %d\n%s", code, text)
	}
	if _, code := l.try("exhibit cat x.exhibit.tar.zst /var/log/auth.log"); code == 0 {
		t.Error("a volume was mounted over a link")
	}
	if header := l.sh("zstd -q -dc x.exhibit.tar.zst | tar -x -O exhibit/header.json"); !strings.Contains(header, "not mounted: volume 2 at /var") {
		t.Errorf("the header does not say so:\n%s", header)
	}
}

func TestWhatIsNoSystemIsSaid(t *testing.T) {
	for _, tool := range []string{"sfdisk", "mkfs.ext4", "mkswap", "losetup"} {
		testenv.Tool(t, tool)
	}
	l := newLab(t)
	l.system("mkfs.ext4 -q root.fs")
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"--image disk.raw", "exhibit volumes IMAGE", 1},
		{"--image disk.raw --volume 3", "volume 3 holds no file system that can be mounted: swap", 1},
		{"--image disk.raw --volume x", "no number", 2},
		{"--image disk.raw --root /mnt", "two systems", 2},
		{"--image none.raw", "none.raw", 1},
		{"--image swap.fs", "no volume looks like the root of a system", 1},
		{"--image exhibit", "no file system and no partition table", 1},
	} {
		out, code := l.try("exhibit collect " + c.args + " -o x.exhibit.tar.zst")
		if code != c.code || !strings.Contains(out, c.want) || strings.Count(out, "\n") > 2 {
			t.Errorf("%s: exit code %d, want %d and %q\n%s", c.args, code, c.code, c.want, out)
		}
	}
	if out, code := l.try("exhibit collect --image disk.raw --volume 2 -o x.exhibit.tar.zst && exhibit cat x.exhibit.tar.zst /log/auth.log"); code != 0 && !strings.Contains(out, "no") {
		t.Errorf("a volume that was named: %d\n%s", code, out)
	}
}
