package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/evidence"
)

const odd = "/etc/cron.d/odd"

// plantFiles writes what the examiner must find, and what a collector must not
// stumble over.
func (g *guest) plantFiles() error {
	now := time.Now()
	rawName := "/var/log/t\xff\xfe.log"
	g.truth.RawName = []byte(rawName)
	text := fmt.Sprintf("%s victim odd[77]: written under a name that is no text\n", now.UTC().Format(time.RFC3339))
	for _, f := range []struct {
		path, text string
		mode       os.FileMode
	}{
		{"/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\nbob:x:1000:1000::/home/bob:/bin/sh\n", 0o644},
		{"/etc/group", "root:x:0:\nbob:x:1000:\n", 0o644},
		{"/etc/shadow", "root:*:19000::::::\nbob:*:19000::::::\n", 0o600},
		{"/etc/hostname", "victim\n", 0o644},
		{"/etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0o444},
		{odd, "# nothing\n", 0o644},
		{rawName, text, 0o640},
		{"/home/bob/secret.txt", "bob's own\n", 0o000},
		{"/var/log/wtmp", string(utmpRecord(7, 4242, "pts/7", "carol", "198.51.100.7", now)), 0o664},
		{"/var/log/btmp", string(utmpRecord(6, 4243, "ssh:notty", "mallory", "198.51.100.8", now)), 0o660},
	} {
		if err := put(f.path, []byte(f.text), f.mode); err != nil {
			return err
		}
	}
	g.fact("a file whose name is no text", `data_type:syslog\:line AND message:"written under a name that is no text"`, 1, now.Truncate(time.Second), "odd[77]")
	g.fact("a wtmp record", `parser:linux_utmp AND user:carol AND outcome:success AND src_ip:198.51.100.7`, 1, now, "carol", "pts/7", "198.51.100.7")
	g.fact("a btmp record", `parser:linux_utmp AND user:mallory AND outcome:failure AND src_ip:198.51.100.8`, 1, now, "mallory", "ssh:notty")
	const link = "/etc/cron.d/alias"
	g.truth.Link = link
	if err := os.Symlink("../passwd", link); err != nil {
		return err
	}
	return errors.Join(g.plantSetuid(), g.plantOdd(), g.plantSparse(), g.plantSpecial(), g.plantMoving())
}

// utmpRecord is a struct utmp of this kernel's usual layout (utmp(5)).
func utmpRecord(kind int16, pid int32, tty, user, host string, at time.Time) []byte {
	rec := make([]byte, 384)
	binary.LittleEndian.PutUint16(rec, uint16(kind))
	binary.LittleEndian.PutUint32(rec[4:], uint32(pid))
	copy(rec[8:], tty)
	copy(rec[40:], tty[max(len(tty)-4, 0):])
	copy(rec[44:], user)
	copy(rec[76:], host)
	binary.LittleEndian.PutUint32(rec[340:], uint32(at.Unix()))
	binary.LittleEndian.PutUint32(rec[344:], uint32(at.Nanosecond()/1000))
	if ip := net.ParseIP(host).To4(); ip != nil {
		copy(rec[348:], ip)
	}
	return rec
}

func (g *guest) plantSetuid() error {
	const path = "/usr/local/bin/.sh"
	b, err := os.ReadFile("/bin/sh")
	if err != nil {
		return err
	}
	if err := put(path, b, 0o755|os.ModeSetuid); err != nil {
		return err
	}
	g.truth.Setuid = []string{path}
	g.fact("a setuid file", `file:"`+path+`" AND mode:"-rwsr-xr-x" AND member:*walk*`, 0, time.Now(), path, evidence.Sum(b).String())
	return nil
}

// plantOdd gives a file extended attributes, a capability, and the immutable
// flag where the file system has it.
func (g *guest) plantOdd() error {
	for name, value := range map[string][]byte{
		"trusted.odd":         []byte("\x00\xff odd"),
		"security.capability": {1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, // cap_net_raw, effective
	} {
		if err := unix.Setxattr(odd, name, value, 0); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		g.truth.Xattrs[name] = base64.StdEncoding.EncodeToString(value)
	}
	f, err := os.Open(odd)
	if err != nil {
		return err
	}
	defer f.Close()
	g.truth.Flags = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0x10) == nil
	return nil
}

func (g *guest) plantSparse() error {
	const path = "/var/log/lastlog"
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	at := time.Now()
	for _, uid := range []int64{1000, 60_000} {
		if _, err := f.WriteAt(lastLogin("pts/3", "198.51.100.60", uint32(at.Unix())), uid*292); err != nil {
			return err
		}
	}
	g.truth.Holes[path] = 60_001 * 292
	g.fact("a record behind a hole", `parser:linux_lastlog AND uid:60000`, 1, at, "pts/3", "198.51.100.60")
	return nil
}

// plantSpecial puts what must not be opened where logs and tables lie.
func (g *guest) plantSpecial() error {
	for path, mode := range map[string]uint32{"/var/log/fifo": unix.S_IFIFO, "/etc/cron.d/fifo": unix.S_IFIFO, "/var/log/device": unix.S_IFCHR} {
		if err := unix.Mknod(path, mode|0o600, int(unix.Mkdev(5, 1))); err != nil {
			return err
		}
		g.truth.Special[path] = mode
	}
	l, err := net.Listen("unix", "/var/log/socket")
	if err != nil {
		return err
	}
	g.kept = append(g.kept, l)
	g.truth.Special["/var/log/socket"] = unix.S_IFSOCK
	g.fact("a socket with a name", `parser:live_sockets AND file:"/var/log/socket" AND state:LISTEN`, 1, time.Time{}, "/var/log/socket")
	return nil
}

const (
	growing  = "/var/log/growing.log"
	mutating = "/var/log/mutating.log"
)

// plantMoving makes two files that never stand still: so large that reading
// them takes longer than they take to change.
func (g *guest) plantMoving() error {
	block := bytes.Repeat([]byte("nothing but a line of no meaning at all, said again and again\n"), 1<<18) // 16 MiB
	var files []*os.File
	for _, path := range []string{growing, mutating} {
		if err := put(path, block, 0o644); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	g.truth.Moving = []string{growing, mutating}
	go func() {
		for i := int64(0); ; i++ {
			_, _ = files[0].WriteAt([]byte("more\n"), int64(len(block))+5*i) // until the guest ends
			_, _ = files[1].WriteAt([]byte{byte('a' + i%26)}, i*4099%int64(len(block)))
			time.Sleep(time.Millisecond)
		}
	}()
	return nil
}

// plantProcesses starts the processes that hide something.
func (g *guest) plantProcesses() error {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		return err
	}
	b, err := os.ReadFile(sleep)
	if err != nil {
		return err
	}
	// A program whose file is gone.
	at, path := time.Now(), "/tmp/.x/crond"
	gone := append(bytes.Clone(b), "gone"...)
	if err := put(path, gone, 0o755); err != nil {
		return err
	}
	pid, err := start(&exec.Cmd{Path: path, Args: []string{"crond", "10000"}})
	if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		return err
	}
	g.truth.Deleted[path] = evidence.Sum(gone).String()
	g.fact("a process whose program was deleted", fmt.Sprintf(`parser:live_processes AND pid:%d AND deleted:true AND cmdline:10000`, pid), 1, at, `"pid":`+fmt.Sprint(pid), path+" (deleted)", evidence.Sum(gone).String())

	// A program that never had a file.
	fd, err := unix.MemfdCreate("update", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	held := append(bytes.Clone(b), "held"...)
	mem := os.NewFile(uintptr(fd), "memfd")
	if _, err := mem.Write(held); err != nil {
		return err
	}
	read, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd)) // what is open for writing cannot be executed
	if err != nil {
		return err
	}
	mem.Close()
	at = time.Now()
	if pid, err = start(&exec.Cmd{Path: fmt.Sprintf("/proc/self/fd/%d", read.Fd()), Args: []string{"[kworker/1:2]", "20000"}}); err != nil {
		return err
	}
	read.Close()
	g.truth.Deleted["/memfd:update"] = evidence.Sum(held).String()
	g.fact("a process without a file", fmt.Sprintf(`parser:live_processes AND pid:%d AND deleted:true`, pid), 1, at, "memfd:update", "[kworker/1:2]", evidence.Sum(held).String())

	// A program under three names.
	path = "/usr/local/bin/nginx: worker"
	if err := put(path, b, 0o755); err != nil {
		return err
	}
	at = time.Now()
	if pid, err = start(&exec.Cmd{Path: path, Args: []string{"/usr/lib/systemd/systemd-journald", "30000"}}); err != nil {
		return err
	}
	g.fact("a process under a masked name", fmt.Sprintf(`parser:live_processes AND pid:%d AND comm:"nginx: worker" AND cmdline:"/usr/lib/systemd/systemd-journald 30000" AND exe:"/usr/local/bin/nginx: worker"`, pid), 1, at, `"comm":"nginx: worker"`, "systemd-journald")
	return nil
}
