package image

import (
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// windowsTree plants a system volume: names in several cases, named streams of
// a file and of a folder, a secret, a link, and a file nobody asks for.
const windowsTree = `mkdir -p m/WINDOWS/system32/Config m/Windows.old m/WINDOWS/System32/winevt/Logs m/WINDOWS/Prefetch m/Users/Anna/AppData/Roaming/Microsoft/Windows/PowerShell/PSReadLine "m/\$Recycle.Bin/S-1-5-21-1" m/Users/Anna/Downloads "m/Users/Public/up [1]"
printf regf-software > m/WINDOWS/system32/Config/software
printf regf-log > m/WINDOWS/system32/Config/SOFTWARE.LOG1
printf regf-sam > m/WINDOWS/system32/Config/SAM
printf ElfFile > m/WINDOWS/System32/winevt/Logs/Security.EVTX
printf MAM > m/WINDOWS/Prefetch/EVIL.EXE-0A1B2C3D.pf
printf 'hidden in a stream' > m/WINDOWS/Prefetch/EVIL.EXE-0A1B2C3D.pf:payload.ps1
printf 'whoami\r\n' > m/Users/Anna/AppData/Roaming/Microsoft/Windows/PowerShell/PSReadLine/ConsoleHost_history.txt
printf hive > m/Users/Anna/ntuser.dat
printf MZ > "m/Users/Public/up [1]/Run.EXE"
printf '[ZoneTransfer]\r\nZoneId=3\r\n' > "m/Users/Public/up [1]/Run.EXE:Zone.Identifier"
printf recycled > "m/\$Recycle.Bin/S-1-5-21-1/\$IABCDEF.txt"
printf 'of the folder' > "m/\$Recycle.Bin/S-1-5-21-1:kept"
printf private > m/Users/Anna/Downloads/letter.txt`

// The files that have to be in the bundle, by their own spelling.
var windowsTaken = []string{
	"/WINDOWS/system32/Config/software", "/WINDOWS/system32/Config/SOFTWARE.LOG1", "/WINDOWS/System32/winevt/Logs/Security.EVTX",
	"/WINDOWS/Prefetch/EVIL.EXE-0A1B2C3D.pf", "/WINDOWS/Prefetch/EVIL.EXE-0A1B2C3D.pf:payload.ps1",
	"/Users/Anna/AppData/Roaming/Microsoft/Windows/PowerShell/PSReadLine/ConsoleHost_history.txt", "/Users/Anna/ntuser.dat",
	"/Users/Public/up [1]/Run.EXE", "/Users/Public/up [1]/Run.EXE:Zone.Identifier",
	"/$Recycle.Bin/S-1-5-21-1/$IABCDEF.txt", "/$Recycle.Bin/S-1-5-21-1:kept", "/$MFT", "/$Boot", "/$Secure:$SDS",
}

// item is a line of exhibit ls --json.
type item struct {
	Kind      string `json:"kind"`
	Path      string `json:"path"`
	Collector string `json:"collector"`
	Detail    string `json:"detail"`
}

func TestAWindowsImageIsCollectedWithItsStreams(t *testing.T) {
	for _, tool := range []string{"sfdisk", "mkntfs", "ntfs-3g", "zstd", "losetup"} {
		testenv.Tool(t, tool)
	}
	l := newLab(t)
	l.sh(`truncate -s 64M win.fs && mkntfs -q -F -L System win.fs >/dev/null && mkdir m
ntfs-3g -o streams_interface=windows win.fs m
trap 'umount m' EXIT
` + windowsTree)
	l.sh(`truncate -s 80M win.raw && printf 'label: dos\nstart=2048,type=7\n' | sfdisk -q --wipe never win.raw
dd if=win.fs of=win.raw bs=512 seek=2048 conv=notrunc,sparse status=none`)
	before := l.sh("sha256sum win.raw")
	out, code := l.try("exhibit collect --image win.raw -o win.exhibit.tar.zst")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	if after := l.sh("sha256sum win.raw"); after != before {
		t.Error("the image was changed")
	}
	items := map[string]item{}
	for text := range strings.Lines(l.sh("exhibit --json ls win.exhibit.tar.zst")) {
		var it item
		if err := json.Unmarshal([]byte(text), &it); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		items[it.Path] = it
		if strings.HasPrefix(it.Collector, "linux_") {
			t.Errorf("a Windows host was collected by %s: %s", it.Collector, it.Path)
		}
	}
	// What ntfs-3g shows of the same volume is the measure of every byte.
	l.sh("mkdir -p o && ntfs-3g -o ro,norecover,show_sys_files,streams_interface=windows win.fs o")
	defer l.sh("umount o")
	for _, path := range windowsTaken {
		got := l.sh("exhibit cat win.exhibit.tar.zst '" + path + "' | sha256sum")
		if want := l.sh("sha256sum < 'o" + path + "'"); got != want {
			t.Errorf("%s is %s, the volume has %s", path, got, want)
		}
	}
	if it := items["/WINDOWS/system32/Config/SAM"]; it.Kind != "skipped" {
		t.Errorf("the password hashes: %+v", it)
	}
	if it, ok := items["/Users/Anna/Downloads/letter.txt"]; ok {
		t.Errorf("taken though nobody asked for it: %+v", it)
	}
	// Times to 100 ns and the descriptor are those of the volume.
	for _, name := range []string{"system.ntfs_times_be", "system.ntfs_acl", "system.ntfs_attrib_be"} {
		value := make([]byte, 4096)
		n, err := unix.Getxattr(filepath.Join(l.dir, "o/Users/Anna/ntuser.dat"), name, value)
		if err != nil {
			t.Fatal(name, err)
		}
		want := base64.StdEncoding.EncodeToString(value[:n])
		if records := l.sh("zstd -q -dc win.exhibit.tar.zst | tar -x -O --wildcards 'exhibit/manifest/*' | grep -a 'Anna/ntuser.dat'"); !strings.Contains(records, `"`+name+`":"`+want+`"`) {
			t.Errorf("%s is not %s in %s", name, want, records)
		}
	}
}
