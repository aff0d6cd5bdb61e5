// Package kit runs collector kits as they are carried to a host: the programs
// of make dist, in a root file system that holds nothing else.
package kit

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// lab is an examiner's machine with a case, and what make dist built.
type lab struct {
	t          *testing.T
	dir        string
	exhibit    string
	dist       string
	collector  string
	caseFolder string
	alice      string // fingerprint of the examiner's key
}

// built is what the tests of this package share: building takes a minute.
var built struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

func newLab(t *testing.T) *lab {
	t.Helper()
	gotool, root := testenv.Tool(t, "go"), testenv.Root(t)
	target := strings.TrimSpace(output(t, root, gotool, "env", "GOOS", "GOARCH"))
	target = strings.ReplaceAll(target, "\n", "/")
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "kit"); built.err != nil {
			return
		}
		cmd := exec.Command("sh", "scripts/dist.sh")
		cmd.Dir, cmd.Env = root, append(os.Environ(), "DIST="+filepath.Join(built.dir, "dist"), "TARGETS="+target, "PROGRAMS=exhibit exhibit-collector", "VERSION=test")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = errors.New(err.Error() + "\n" + string(out))
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	suffix := "-" + strings.ReplaceAll(target, "/", "-")
	l := &lab{t: t, dir: t.TempDir(), dist: filepath.Join(built.dir, "dist")}
	l.exhibit, l.collector = filepath.Join(l.dist, "exhibit"+suffix), filepath.Join(l.dist, "exhibit-collector"+suffix)
	l.alice = regexp.MustCompile(`SHA256:[A-Za-z0-9+/]+`).FindString(l.run(0, "key", "new", filepath.Join(l.dir, "key"), "--id", "alice@lab"))
	l.caseFolder = filepath.Join(l.dir, "case")
	l.run(0, "case", "init", l.caseFolder, "--title", "a trial")
	return l
}

func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return string(out)
}

// run runs exhibit in the case and returns what it said.
func (l *lab) run(want int, args ...string) string {
	l.t.Helper()
	cmd := exec.Command(l.exhibit, args...)
	cmd.Dir = l.dir
	if _, err := os.Stat(l.caseFolder); l.caseFolder != "" && err == nil {
		cmd.Dir = l.caseFolder
	}
	cmd.Env = append(os.Environ(), "HOME="+l.dir, "XDG_CONFIG_HOME="+filepath.Join(l.dir, "config"), "EXHIBIT_CASE=")
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		l.t.Fatalf("exhibit %q: %v, want exit code %d\n%s", args, err, want, out)
	}
	return string(out)
}

// kit builds a kit and returns its folder, in a root file system of nothing
// but a tree of evidence.
func (l *lab) kit(args ...string) (host, folder string) {
	l.t.Helper()
	host = filepath.Join(l.dir, "host")
	for name, text := range map[string]string{"etc/hostname": "web01\n", "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "var/log/auth.log": "a line\n"} {
		path := filepath.Join(host, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			l.t.Fatal(err)
		}
	}
	folder = filepath.Join(host, "media")
	target := strings.TrimPrefix(filepath.Base(l.collector), "exhibit-collector-")
	l.run(0, append([]string{"collector", "build", "--for", strings.Replace(target, "-", "/", 1), "--binaries", l.dist, "-o", folder}, args...)...)
	return host, folder
}

// at runs the collector of a kit with the file system of the host alone, and
// returns exit code, standard output and standard error.
func at(t *testing.T, host, dir string, args ...string) (int, string, string) {
	t.Helper()
	cmd := exec.Command("/media/exhibit-collector", args...)
	cmd.Dir, cmd.Env = dir, []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: host}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: a host with another root file system is a chroot, which root alone can make")
	}
}

var lastLine = regexp.MustCompile(`(?m)^result: (complete|partial|failed|started)( .*)? exit=([0-9]+)( .*)?\n\z`)

// TestKitOnAHostWithNothingElse takes a delegated kit to a host without
// anything, not even /proc, and verifies in the case what comes back.
func TestKitOnAHostWithNothingElse(t *testing.T) {
	needRoot(t)
	l := newLab(t)
	l.run(0, "order", "new", "--delegate", "--profile", "logs", "--for", "1h", "--out", "../order")
	host, folder := l.kit("--order", "../order", "--max-time", "9m", "--allow-evidence-volume")
	if kit, published := read(t, folder, "exhibit-collector"), read(t, l.collector); !bytes.Equal(kit, published) {
		t.Fatal("the collector of the kit is not the published one")
	}
	for _, args := range [][]string{
		{"--max-time", "10m"},
		{"--profile", "full"},
		{"--memory"},
		{"-o", "sftp://me@elsewhere/x"},
		{"-o", "-"},
		{"--recipient", "age1x"},
		{"--order", "/media"},
		{"--root", "/mnt"},
		{"--case-number", "other"},
		{"--capture", "5s"},
	} {
		code, out, errs := at(t, host, "/", args...)
		if code != 2 || !strings.Contains(out+errs, "result: failed exit=2 ") || !strings.Contains(errs, "hint: ") {
			t.Errorf("%q widens the job, exit code %d\n%s%s", args, code, out, errs)
		}
	}
	code, out, errs := at(t, host, "/", "--job-signer", "SHA256:somebody")
	if code != 8 || !lastLine.MatchString(out) {
		t.Errorf("signed by somebody else: exit code %d\n%s%s", code, out, errs)
	}
	code, out, errs = at(t, host, "/", "plan")
	if code != 0 || !strings.Contains(out, "/media/case-web01-") && !strings.Contains(out, "/media/case-") {
		t.Errorf("plan: exit code %d\n%s%s", code, out, errs)
	}

	code, out, errs = at(t, host, "/", "--max-time", "8m", "--cpu", "400", "--examiner", "bob")
	m := lastLine.FindStringSubmatch(out)
	if m == nil || m[1] == "failed" || !strings.Contains(m[2], "bundle=/media/case-") || !strings.Contains(m[2], "seal-code=") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	found, err := filepath.Glob(filepath.Join(folder, "case-*.exhibit.tar.zst"))
	if err != nil || len(found) != 1 {
		t.Fatalf("bundles beside the collector: %q, %v\n%s%s", found, err, out, errs)
	}
	got := l.run(0, "--json", "verify", found[0])
	for _, want := range []string{"ran as the job file told it that alice@lab signed", "the run kept to the order that alice@lab signed", "the run kept to the job file that alice@lab signed"} {
		if !strings.Contains(got, want) {
			t.Errorf("the verdict does not say %q:\n%s", want, got)
		}
	}
}

// TestKitInOneFile runs one file that holds program and job.
func TestKitInOneFile(t *testing.T) {
	needRoot(t)
	l := newLab(t)
	l.run(0, "order", "new", "--delegate", "--profile", "logs", "--for", "1h", "--out", "../order")
	host, folder := l.kit("--order", "../order")
	single := filepath.Join(folder, "single")
	target := strings.Replace(strings.TrimPrefix(filepath.Base(l.collector), "exhibit-collector-"), "-", "/", 1)
	l.run(0, "collector", "build", "--order", "../order", "--for", target, "--binaries", l.dist, "--single", "--allow-evidence-volume", "-o", single)
	one := read(t, single)
	if err := errors.Join(os.RemoveAll(folder), os.Mkdir(folder, 0o755), os.WriteFile(filepath.Join(folder, "exhibit-collector"), one, 0o755)); err != nil {
		t.Fatal(err)
	}
	code, out, errs := at(t, host, "/")
	if m := lastLine.FindStringSubmatch(out); m == nil || m[1] == "failed" {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	found, err := filepath.Glob(filepath.Join(folder, "case-*.exhibit.tar.zst"))
	if err != nil || len(found) != 1 {
		t.Fatalf("bundles: %q, %v", found, err)
	}
	if got := l.run(0, "--json", "verify", found[0]); !strings.Contains(got, "kept to the job file") {
		t.Errorf("the verdict does not tell of the job:\n%s", got)
	}
	// One bit of a file, of its checksum, of the directory or of the end.
	length := len(read(t, l.collector))
	for _, i := range []int{length + 60, length + (len(one)-length)/2, len(one) - 60, len(one) - 30, len(one) - 8} {
		changed := bytes.Clone(one)
		changed[i] ^= 1
		if err := os.WriteFile(filepath.Join(folder, "exhibit-collector"), changed, 0o755); err != nil {
			t.Fatal(err)
		}
		if code, out, errs := at(t, host, "/"); code == 0 || !strings.HasPrefix(out, "result: failed") {
			t.Errorf("byte %d of %d changed: exit code %d\n%s%s", i, len(one), code, out, errs)
		}
	}
}

// TestChangedKitIsRefused changes a kit in every way that leaves the collector
// able to look.
func TestChangedKitIsRefused(t *testing.T) {
	needRoot(t)
	l := newLab(t)
	l.run(0, "order", "new", "--delegate", "--profile", "logs", "--for", "1h", "--out", "../order")
	host, folder := l.kit("--order", "../order", "--max-time", "9m", "--allow-evidence-volume")
	job, sig := read(t, folder, "job.json"), read(t, folder, "job.json.sig")
	change := func(name string, data []byte) func() {
		return func() {
			if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	type test struct {
		name string
		do   func()
	}
	tests := []test{
		{"longer", change("job.json", bytes.Replace(job, []byte("9m0s"), []byte("9h0s"), 1))},
		{"signature of another file", change("job.json.sig", read(t, folder, "order.json.sig"))},
		{"no signature", change("job.json.sig", nil)},
		{"readme", change("README.txt", []byte("call 0190 instead"))},
		{"order", change("order.json", job)},
		{"one-time key", change("collector_key", sig)},
		{"no certificate", func() { _ = os.Remove(filepath.Join(folder, "collector_key-cert.pub")) }},
	}
	for i := 0; i < len(job)-1; i += 1 + len(job)/24 { // every region of the job; each byte is changed in chainofcustody
		changed := bytes.Clone(job)
		changed[i] ^= 1
		tests = append(tests, test{"byte of the job", change("job.json", changed)})
	}
	whole := map[string][]byte{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		whole[e.Name()] = read(t, folder, e.Name())
	}
	for _, tt := range tests {
		tt.do()
		code, out, errs := at(t, host, "/")
		if code != 4 || !strings.HasPrefix(out, "result: failed exit=4 error=") || strings.Count(errs, "\n") != 2 {
			t.Errorf("%s: exit code %d\n%s%s", tt.name, code, out, errs)
		}
		l.run(4, "collector", "verify", folder)
		for name, data := range whole {
			if name != "exhibit-collector" {
				change(name, data)()
			}
		}
	}
	// Another program of ours than the job names.
	other := append(bytes.Clone(whole["exhibit-collector"]), 0)
	if err := os.WriteFile(filepath.Join(folder, "exhibit-collector"), other, 0o755); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := at(t, host, "/"); code != 1 || !strings.Contains(errs, "other programs than the one that ran") {
		t.Errorf("another program: exit code %d\n%s%s", code, out, errs)
	}
	l.run(4, "collector", "verify", folder)
}

// TestKitOfAStrangerIsKnownAsOne replaces the whole kit by one that a stranger
// signed: no collector can know, but whoever has the fingerprint, and whoever
// verifies the bundle.
func TestKitOfAStrangerIsKnownAsOne(t *testing.T) {
	needRoot(t)
	l := newLab(t)
	mallory := filepath.Join(l.dir, "mallory")
	l.run(0, "key", "new", mallory, "--id", "mallory@evil")
	host, folder := l.kit("--no-order", "--profile", "logs", "--allow-evidence-volume", "--key", mallory, "--id", "mallory@evil")
	if code, out, errs := at(t, host, "/", "--job-signer", l.alice); l.alice == "" || code != 8 {
		t.Errorf("not by %q: exit code %d\n%s%s", l.alice, code, out, errs)
	}
	if code, out, errs := at(t, host, "/", "-o", "/media/b"); !strings.Contains(out, "result: partial bundle=/media/b ") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	own := []string{"--key", filepath.Join(l.dir, "key"), "--id", "alice@lab", "--json"}
	got := l.run(5, append(own, "verify", filepath.Join(folder, "b"))...)
	if !strings.Contains(got, "Nobody you trust is known to have signed the job file") {
		t.Errorf("the verdict does not say that a stranger signed the job:\n%s", got)
	}
	if err := os.Remove(filepath.Join(folder, "b")); err != nil {
		t.Fatal(err)
	}
	if got := l.run(5, append(own, "collector", "verify", folder)...); !strings.Contains(got, "not in allowed_signers") {
		t.Errorf("the kit passes for one of somebody known:\n%s", got)
	}
}

// TestDetachedRunOutlivesItsShell starts a run from a shell on a terminal of
// its own that is hung up at once, as consoles from afar do.
func TestDetachedRunOutlivesItsShell(t *testing.T) {
	needRoot(t)
	l := newLab(t)
	host, folder := l.kit("--no-order", "--profile", "logs", "--allow-evidence-volume", "--root", "/mnt", "--io-rate", "1M", "--max-time", "3s")
	logs := filepath.Join(host, "mnt/var/log")
	if err := errors.Join(os.MkdirAll(logs, 0o755), os.WriteFile(filepath.Join(logs, "big.log"), bytes.Repeat([]byte("line\n"), 4<<20), 0o644)); err != nil {
		t.Fatal(err)
	}
	master, slave := terminal(t)
	// The group leader, whose death hangs up the terminal, is a process between
	// the test and the collector.
	shell := exec.Command("/bin/sh", "-c", `"$1" --detach -o "$2" ; kill -HUP 0`, "sh", filepath.Join(folder, "exhibit-collector"), filepath.Join(l.dir, "b.exhibit.tar.zst"))
	// No chroot here: the shell is the host's. The job says /mnt, so give it one.
	shell.Args[2] = `"$1" --detach --outside-order --root "$3" -o "$2" ; kill -HUP 0`
	shell.Args = append(shell.Args, filepath.Join(host, "mnt"))
	shell.Stdin, shell.Stdout, shell.Stderr = slave, slave, slave
	shell.Dir = "/"
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	var said bytes.Buffer
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	_, _ = io.Copy(&said, master)
	_ = shell.Wait()
	master.Close()
	if !strings.Contains(said.String(), "result: started pid=") {
		t.Fatalf("the shell saw: %s", said.String())
	}
	log := filepath.Join(l.dir, "b.exhibit.tar.zst.log")
	f, err := os.Open(log)
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		text := read(t, log)
		t.Fatalf("the run ended with its shell, or was no longer than it:\n%s", text)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil { // waits for its end
		t.Fatal(err)
	}
	text := string(read(t, log))
	if m := lastLine.FindStringSubmatch(text); m == nil || m[1] != "partial" || m[3] != "3" || !strings.Contains(text, "max-time") {
		t.Errorf("the log ends: %s", text)
	}
	if left := children(t, folder); len(left) > 0 {
		t.Errorf("still running: %q", left)
	}
}

// children are the processes that run a program of a folder.
func children(t *testing.T, folder string) (left []string) {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range found {
		if exe, err := os.Readlink(link); err == nil && strings.HasPrefix(exe, folder) {
			left = append(left, link+" -> "+exe)
		}
	}
	return left
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// terminal opens a pseudo terminal (pts(4)).
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// TestDistMakesTheSameBytesInAnotherFolder builds a copy of the source, in
// another folder, with nothing compiled before.
func TestDistMakesTheSameBytesInAnotherFolder(t *testing.T) {
	l := newLab(t)
	root, copied := testenv.Root(t), filepath.Join(l.dir, "elsewhere", "source")
	for _, name := range []string{"go.mod", "go.sum", "scripts", "evidence", "internal", "bundle", "chainofcustody", "collect", "cmd"} {
		if err := copyTree(filepath.Join(root, name), filepath.Join(copied, name)); err != nil {
			t.Fatal(err)
		}
	}
	dist := filepath.Join(l.dir, "dist")
	cmd := exec.Command("sh", "scripts/dist.sh")
	cmd.Dir = copied
	target := strings.Replace(strings.TrimPrefix(filepath.Base(l.collector), "exhibit-collector-"), "-", "/", 1)
	cmd.Env = append(os.Environ(), "DIST="+dist, "TARGETS="+target, "PROGRAMS=exhibit-collector", "VERSION=test", "GOCACHE="+filepath.Join(l.dir, "cache"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !bytes.Equal(read(t, dist, filepath.Base(l.collector)), read(t, l.collector)) {
		t.Error("the same source makes other bytes in another folder")
	}
	// A program over its size ends the build.
	script := filepath.Join(copied, "scripts/dist.sh")
	if err := os.WriteFile(script, bytes.ReplaceAll(read(t, script), []byte(" 15728640"), []byte(" 1048576")), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command("sh", "scripts/dist.sh")
	cmd.Dir, cmd.Env = copied, append(os.Environ(), "DIST="+dist, "TARGETS="+target, "PROGRAMS=exhibit-collector", "VERSION=test", "GOCACHE="+filepath.Join(l.dir, "cache"))
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "more than 1048576") {
		t.Errorf("a program over its size: %v\n%s", err, out)
	}
}

func copyTree(from, to string) error {
	st, err := os.Stat(from)
	if err != nil {
		return err
	}
	if st.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, b, 0o644))
}
