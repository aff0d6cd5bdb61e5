package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// collector returns a command that runs the collector so that it cannot start
// another program or process: if it tries, the kernel kills it.
func collector(args ...string) *exec.Cmd {
	cmd := exec.Command(initPath)
	cmd.Args = append([]string{"no-child", program2}, args...)
	cmd.Env = append(os.Environ(), role+"="+roleNoChild)
	return cmd
}

// finish waits for a started run and notes how it went.
func (r *ran) finish(cmd *exec.Cmd, args []string, stderr *bytes.Buffer) error {
	err := cmd.Wait()
	r.Ended = time.Now().UnixNano()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	r.PID, r.Args, r.Stderr = cmd.Process.Pid, append([]string{program2}, args...), stderr.String()
	if at := strings.Index(r.Stderr, "{"); at >= 0 {
		r.Summary = r.Stderr[at:]
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	r.Code = cmd.ProcessState.ExitCode()
	if status.Signaled() {
		r.Signal = status.Signal().String()
	}
	r.CPU = int64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime())
	r.MaxRSS = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	return nil
}

// collect runs the collector with a capture, sends the known packets while it
// captures, and looks at the access times before and after.
func (g *guest) collect() error {
	if err := g.noChildHolds(); err != nil {
		return err
	}
	time.Sleep(200 * time.Millisecond) // until the log daemon has written
	before, err := accessTimes()
	if err != nil {
		return err
	}
	args := []string{"--capture", "4s", "--json", "--quiet", "--case-number", "E2E", "-o", "-"}
	cmd := collector(args...)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = os.NewFile(fdBundle, "bundle"), &stderr
	r := &g.truth.Main
	r.Started = time.Now().UnixNano()
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := waitForCapture(); err != nil {
		_ = cmd.Process.Kill()
		return fmt.Errorf("%w: %s", err, stderr.Bytes())
	}
	first, err := packets()
	if err != nil {
		return err
	}
	if err := g.traffic(); err != nil {
		return err
	}
	last, err := packets()
	if err != nil {
		return err
	}
	for name, n := range last {
		g.truth.Sent[name] = n - first[name]
	}
	if err := r.finish(cmd, args, &stderr); err != nil {
		return err
	}
	after, err := accessTimes()
	if err != nil {
		return err
	}
	for path, at := range after {
		if was, known := before[path]; known && was != at {
			g.truth.Moved = append(g.truth.Moved, path)
		}
	}
	slices.Sort(g.truth.Moved)
	return nil
}

// waitForCapture waits until a packet socket is there, and a little longer.
func waitForCapture() error {
	for range 400 {
		b, err := os.ReadFile("/proc/net/packet")
		if err != nil {
			return err
		}
		if len(lines(string(b))) > 1 {
			time.Sleep(300 * time.Millisecond)
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("no packet socket was opened")
}

// packets are those the kernel counted on each interface, both ways.
func packets() (map[string]int64, error) {
	b, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for _, line := range lines(string(b))[2:] {
		name, rest, _ := strings.Cut(line, ":")
		f := strings.Fields(rest)
		if len(f) < 10 {
			continue
		}
		received, err1 := strconv.ParseInt(f[1], 10, 64)
		sent, err2 := strconv.ParseInt(f[9], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		counts[strings.TrimSpace(name)] = received + sent
	}
	return counts, nil
}

// accessTimes are those of everything on the guest's own file system but the
// programs, which run, and what is changed all the time.
func accessTimes() (map[string]int64, error) {
	times := map[string]int64{}
	for _, top := range []string{"/etc", "/var", "/root", "/home", "/tmp", "/run", "/usr/local"} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			var st unix.Statx_t
			if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_ATIME, &st); err != nil {
				return err
			}
			times[path] = st.Atime.Sec*1e9 + int64(st.Atime.Nsec)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	// This walk itself read the folders, without care: put them back.
	for path, at := range times {
		var st unix.Statx_t
		if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_ATIME, &st); err != nil {
			return nil, err
		}
		if now := st.Atime.Sec*1e9 + int64(st.Atime.Nsec); now != at {
			back := []unix.Timespec{unix.NsecToTimespec(at), {Nsec: unix.UTIME_OMIT}}
			if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, back, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return times, nil
}

// many is what the killed runs collect: more than one checkpoint covers, and
// nothing that compresses.
const (
	many      = 9000
	killAfter = 6 << 20 // bytes of bundle
)

func plantMany() error {
	random, err := os.Open("/dev/urandom")
	if err != nil {
		return err
	}
	defer random.Close()
	buf := make([]byte, 768)
	for i := range many {
		if _, err := io.ReadFull(random, buf); err != nil {
			return err
		}
		text := fmt.Sprintf("%s victim app[%d]: entry %d %x\n", time.Now().UTC().Format(time.RFC3339), i+1, i, buf)
		if err := put(fmt.Sprintf("/var/log/app/%03d/%04d.log", i/100, i), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// killedInFile kills a collector that writes into a file.
func (g *guest) killedInFile() error {
	if err := plantMany(); err != nil {
		return err
	}
	path := medium + "/killed.exhibit.tar.zst"
	args := []string{"--quiet", "--json", "-o", path}
	cmd := collector(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	g.truth.Killed.Started = time.Now().UnixNano()
	if err := cmd.Start(); err != nil {
		return err
	}
	for range 3000 {
		if st, err := os.Stat(path + ".partial"); err == nil && st.Size() > killAfter {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	if err := g.truth.Killed.finish(cmd, args, &stderr); err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return errors.New("an unsealed bundle has a sealed bundle's name")
	}
	return copyOut(path+".partial", fdKilled)
}

// copyOut hands a file over and removes it: the next run must not find it.
func copyOut(path string, fd uintptr) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	out := os.NewFile(fd, path)
	_, err = out.Write(b)
	return errors.Join(err, out.Close(), os.Remove(path))
}

// killedInPipe kills a collector whose output another program writes down.
func (g *guest) killedInPipe() error {
	args := []string{"--quiet", "--json", "-o", "-"}
	cmd := collector(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	g.truth.KilledIn.Started = time.Now().UnixNano()
	if err := cmd.Start(); err != nil {
		return err
	}
	out := os.NewFile(fdPipe, "pipe")
	_, err = io.CopyN(out, pipe, killAfter)
	if err := errors.Join(err, cmd.Process.Kill()); err != nil {
		return err
	}
	if _, err := io.Copy(out, pipe); err != nil {
		return err
	}
	return errors.Join(g.truth.KilledIn.finish(cmd, args, &stderr), out.Close())
}

// collectPlain collects as an account without any privilege.
func (g *guest) collectPlain() error {
	path := medium + "/bob/plain.exhibit.tar.zst"
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Chown(filepath.Dir(path), 1000, 1000); err != nil {
		return err
	}
	args := []string{"--quiet", "--json", "--collectors", "linux_users,linux_processes,linux_persistence", "-o", path}
	cmd := exec.Command(program2, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	g.truth.Plain.Started = time.Now().UnixNano()
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := g.truth.Plain.finish(cmd, args, &stderr); err != nil {
		return err
	}
	g.truth.Plain.Summary = stdout.String()
	return copyOut(path, fdPlain)
}
