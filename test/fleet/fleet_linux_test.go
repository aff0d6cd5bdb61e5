// Package fleet collects hosts over SSH as they are: network and process
// namespaces of this kernel, each with a real sshd, behind a bridge.
package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// inside is set for the test's own second life, in namespaces of its own.
const inside = "EXHIBIT_FLEET_INSIDE"

const hosts = 21 // the last one answers no call

// lab is the examiner's machine and the hosts.
type lab struct {
	t     *testing.T
	dir   string
	bin   string
	env   []string
	hosts []*exec.Cmd
}

func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" || os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		os.Exit(m.Run())
	}
	cmd := exec.Command(unshare, append([]string{"--net", "--mount", "--propagation", "private", os.Args[0]}, os.Args[1:]...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), inside+"=1"), os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Geteuid() != 0 || os.Getenv(inside) == "" {
		t.Skip("skipped: hosts are namespaces, which root alone can make")
	}
	for _, tool := range []string{"sshd", "ssh", "ssh-keygen", "ip", "unshare", "nsenter", "sudo", "openssl"} {
		testenv.Tool(t, tool)
	}
	runtime.LockOSThread() // a host ends with the thread that made it
	l := &lab{t: t, dir: t.TempDir()}
	l.bin = filepath.Join(l.dir, "bin")
	build := exec.Command(testenv.Tool(t, "go"), "build", "-trimpath", "-o", l.bin+"/", "./cmd/exhibit", "./cmd/exhibit-collector")
	build.Dir, build.Env = testenv.Root(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	l.env = append(os.Environ(), "PATH="+l.bin+":"+os.Getenv("PATH"), "HOME="+l.dir, "XDG_CONFIG_HOME="+l.dir+"/config", "EXHIBIT_PROGRESS=none", "EXHIBIT_CASE=", "EXHIBIT_KEY=", "EXHIBIT_ID=")
	l.sh(`ip link set lo up
ip link add br0 type bridge
ip addr add 10.77.0.1/24 dev br0
ip link set br0 up
ssh-keygen -q -t ed25519 -N '' -f user
ssh-keygen -q -t ed25519 -N '' -f stranger
exhibit key new alice --id alice@lab
exhibit case init case`)
	t.Cleanup(l.down)
	var known, config strings.Builder
	for i := 1; i <= hosts; i++ {
		l.host(i)
		key, err := os.ReadFile(l.path("host%d/key.pub", i))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&known, "%s %s", address(i), key)
	}
	fmt.Fprintf(&config, "Host *\n  IdentityFile %s\n  UserKnownHostsFile %s\n  StrictHostKeyChecking yes\n  IdentitiesOnly yes\n  ConnectTimeout 5\n", l.path("user"), l.path("known"))
	l.write("known", known.String())
	l.write("ssh_config", config.String())
	return l
}

func address(i int) string { return fmt.Sprintf("10.77.0.%d", 10+i) }

func (l *lab) path(format string, args ...any) string {
	return filepath.Join(l.dir, fmt.Sprintf(format, args...))
}

func (l *lab) write(name, text string) {
	l.t.Helper()
	if err := os.WriteFile(l.path("%s", name), []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// host starts one: its own network, mounts, processes and name, an empty
// memory file system for programs, and an sshd that lets root and bob in. On
// host 3 nothing can be run from memory; host 4 has bob's sudo, which asks.
func (l *lab) host(i int) {
	l.t.Helper()
	dir := l.path("host%d", i)
	l.sh(fmt.Sprintf(`mkdir %[1]s && cd %[1]s && ssh-keygen -q -t ed25519 -N '' -f key
cat > passwd <<'EOF'
root:x:0:0:root:/root:/bin/sh
sshd:x:100:65534::/run/sshd:/usr/sbin/nologin
bob:x:1000:1000::/tmp:/bin/sh
EOF
printf 'root:*:19000:0:99999:7:::\nsshd:!:19000::::::\nbob:%%s:19000:0:99999:7:::\n' "$(openssl passwd -6 'bob secret')" > shadow
echo 'root ALL=(ALL) ALL
bob ALL=(ALL) ALL' > sudoers
chown 0:0 sudoers && chmod 440 sudoers
cat > sshd_config <<'EOF'
HostKey /mnt/key
AuthorizedKeysFile /mnt/user.pub
StrictModes no
PidFile none
UsePAM no
PermitRootLogin prohibit-password
UseDNS no
EOF
cp ../user.pub .`, dir))
	option := "mode=1777"
	if i == 3 {
		option = "mode=1777,noexec"
	}
	script := fmt.Sprintf(`set -e
hostname web%02[1]d
mount --bind %[3]s /mnt
for f in passwd shadow sudoers; do mount --bind /mnt/$f /etc/$f; done
mount -t tmpfs -o %[2]s shm /dev/shm
for d in /run /tmp /var/tmp /root; do mount -t tmpfs -o %[2]s,size=64m t $d; done
mkdir -p /run/sshd
while ! ip link show eth0 > /dev/null 2>&1; do sleep 0.05; done
ip link set lo up
ip addr add %[4]s/24 dev eth0
ip link set eth0 up
exec $(command -v sshd) -D -e -f /mnt/sshd_config`, i, option, dir, address(i))
	if i == hosts {
		script = strings.Replace(script, "exec $(command -v sshd)", "exec sleep 1000 #", 1)
	}
	cmd := exec.Command("unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script)
	log, err := os.Create(dir + "/log")
	if err != nil {
		l.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.hosts = append(l.hosts, cmd)
	l.sh(fmt.Sprintf(`n=0
while [ "$(readlink /proc/%[1]d/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do n=$((n + 1)); [ $n -lt 200 ] || exit 1; sleep 0.05; done
ip link add v%[2]d type veth peer name eth0 netns %[1]d
ip link set v%[2]d master br0 up`, cmd.Process.Pid, i))
}

func (l *lab) down() {
	if l.t.Failed() {
		l.t.Log(l.sh("tail -n 5 host*/log"))
	}
	for _, h := range l.hosts {
		_ = h.Process.Kill()
		_ = h.Wait()
	}
}

func (l *lab) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = l.dir, l.env
	return cmd
}

func (l *lab) sh(script string) string {
	l.t.Helper()
	out, err := l.command("sh", "-euc", script).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// exhibit runs the program in the case and returns its exit code.
func (l *lab) exhibit(args ...string) (stdout, stderr string, code int) {
	l.t.Helper()
	cmd := l.command(filepath.Join(l.bin, "exhibit"), append([]string{"--case", "case"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		l.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// result is what a host became, as --json tells.
type result struct {
	Target, Exhibit, Bundle, Hostname, State, Verdict, Error, Peer, Place, Unfinished string
	HostKey                                                                           string `json:"host_key"`
	Items                                                                             int64
}

func (l *lab) collect(want int, args ...string) map[string]result {
	l.t.Helper()
	out, errs, code := l.exhibit(append([]string{"--json", "collect", "--ssh-config", "ssh_config", "-c", "linux_clocks,linux_network,linux_processes,linux_mounts"}, args...)...)
	// 3 is a host of which something could not be read: that is the kernel's to say.
	if code != want && (want != 0 || code != 3) {
		l.t.Fatalf("%v: exit code %d, want %d\n%s%s", args, code, want, out, errs)
	}
	list := map[string]result{}
	for line := range strings.Lines(out) {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			l.t.Fatalf("%v: %s", err, line)
		}
		list[r.Target] = r
	}
	return list
}

// traces lists what lies in a host's temporary places, and its processes.
func (l *lab) traces(i int) string {
	l.t.Helper()
	return l.sh(fmt.Sprintf(`pid=$(pgrep -P %d | head -n 1)
nsenter -t "$pid" -m -p -r -w sh -c 'find /dev/shm /run /tmp /var/tmp /root -mindepth 1 ! -name sshd | sort; ps -eo comm= | grep -c exhibit || true'`, l.hosts[i-1].Process.Pid))
}

func TestHostsAreCollectedOverSSHAndKeepNothing(t *testing.T) {
	l := newLab(t)
	var list strings.Builder
	var before []string
	for i := 1; i <= hosts; i++ {
		if i != 3 {
			fmt.Fprintf(&list, "root@%s # web%02d\n", address(i), i)
		}
		before = append(before, l.traces(i))
	}
	l.write("hosts", list.String())
	got := l.collect(3, "--hosts", "hosts", "--parallel", "6", "--retries", "1")
	seen := map[string]bool{}
	for i := 1; i < hosts; i++ {
		if i == 3 {
			continue
		}
		name := fmt.Sprintf("web%02d", i)
		r := got["ssh://root@"+address(i)]
		if r.Hostname != name || r.Verdict != "VERIFIED" || r.State == "failed" || r.Items < 20 || seen[r.Exhibit] {
			t.Errorf("%s: %+v", name, r)
		}
		seen[r.Exhibit] = true
		if key := l.sh(fmt.Sprintf("ssh-keygen -l -f host%d/key.pub | cut -d' ' -f2", i)); !strings.Contains(r.HostKey, strings.TrimSpace(key)) {
			t.Errorf("%s: host key %q, want %s", name, r.HostKey, key)
		}
		if after := l.traces(i); after != before[i-1] {
			t.Errorf("%s is not as it was:\n%s\n%s", name, before[i-1], after)
		}
	}
	dead := got["ssh://root@"+address(hosts)]
	if dead.State != "failed" || dead.Exhibit != "" || !strings.Contains(dead.Error, "no connection") {
		t.Errorf("the host that does not answer: %+v", dead)
	}
	if out, errs, code := l.exhibit("custody", "verify"); code != 0 {
		t.Errorf("custody verify: %d\n%s%s", code, out, errs)
	}
	for exhibit := range seen {
		if out, errs, code := l.exhibit("verify", exhibit); code != 0 || !strings.Contains(out, "VERIFIED") {
			t.Errorf("%s: %d\n%s%s", exhibit, code, out, errs)
		}
	}
	log, _, _ := l.exhibit("custody", "log", got["ssh://root@"+address(1)].Exhibit)
	for _, want := range []string{"over SSH from ssh://root@10.77.0.11", "host key ssh-ed25519 SHA256:", "in memory /dev/shm"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}

	t.Run("by way of another", func(t *testing.T) {
		l := l.of(t)
		got := l.collect(0, "--jump", "root@"+address(1), "ssh://root@"+address(2))
		if r := got["ssh://root@"+address(2)]; r.Verdict != "VERIFIED" || r.Hostname != "web02" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("where memory runs no programs", func(t *testing.T) {
		l := l.of(t)
		got := l.collect(1, "ssh://root@"+address(3))
		if r := got["ssh://root@"+address(3)]; r.State != "failed" || !strings.Contains(r.Error, "--allow-disk") {
			t.Errorf("%+v", r)
		}
		if l.traces(3) != before[2] {
			t.Errorf("web03 is not as it was:\n%s", l.traces(3))
		}
	})
	t.Run("as bob, who has sudo", func(t *testing.T) {
		l := l.of(t)
		l.write("password", "bob secret\n")
		got := l.collect(0, "--sudo", "--sudo-password-file", "password", "ssh://bob@"+address(4))
		r := got["ssh://bob@"+address(4)]
		if r.Verdict != "VERIFIED" || r.Hostname != "web04" {
			t.Fatalf("%+v", r)
		}
		if out, _, _ := l.exhibit("cat", r.Exhibit, "live/self.jsonl"); !strings.Contains(out, `"uid":0`) || strings.Contains(out, "bob secret") {
			t.Errorf("the collector ran as\n%s", out)
		}
		l.write("password", "wrong\n")
		if r := l.collect(1, "--sudo", "--sudo-password-file", "password", "ssh://bob@"+address(4))["ssh://bob@"+address(4)]; !strings.Contains(r.Error, "cannot run the collector") {
			t.Errorf("with a wrong password: %+v", r)
		}
	})
	t.Run("whose key is another", func(t *testing.T) {
		l := l.of(t)
		l.sh(`sed "s|^10.77.0.15 .*|10.77.0.15 $(cut -d' ' -f1,2 stranger.pub)|" known > known.other && sed "s|known|known.other|" ssh_config > config.other`)
		r := l.collect(1, "--ssh-config", "config.other", "ssh://root@"+address(5), "--retries", "0")["ssh://root@"+address(5)]
		if r.Exhibit != "" || !strings.Contains(r.Error, "Host key verification failed") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("for a recipient only", func(t *testing.T) {
		l := l.of(t)
		pub := strings.Fields(l.sh("exhibit key age box.age --classic"))[0]
		r := l.collect(0, "--recipient", pub, "ssh://root@"+address(6))["ssh://root@"+address(6)]
		if r.Verdict != "UNOPENED" {
			t.Fatalf("%+v", r)
		}
		if out, errs, code := l.exhibit("--identity", "box.age", "verify", r.Exhibit); code != 0 || !strings.HasPrefix(out, "VERIFIED") {
			t.Errorf("%d\n%s%s", code, out, errs)
		}
		if out, errs, code := l.exhibit("custody", "verify", r.Exhibit); code != 0 {
			t.Errorf("%d\n%s%s", code, out, errs)
		}
	})
	t.Run("until Ctrl-C", func(t *testing.T) { l.of(t).interrupted() })
	t.Run("until the link is cut", func(t *testing.T) { l.of(t).cut() })
}

// of is the same laboratory in another test.
func (l *lab) of(t *testing.T) *lab {
	other := *l
	other.t = t
	return &other
}

// interrupted ends a run as people do: the host seals what it has.
func (l *lab) interrupted() {
	l.t.Helper()
	cmd := l.command(filepath.Join(l.bin, "exhibit"), "--case", "case", "--json", "collect", "--ssh-config", "ssh_config", "-c", "linux_clocks", "--capture", "120s", "ssh://root@"+address(7))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.arrives("case/exhibits/*/*10.77.0.17*.partial")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		l.t.Fatal(err)
	}
	_ = cmd.Wait()
	var r result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Verdict != "VERIFIED" || r.State != "partial" || cmd.ProcessState.ExitCode() != 130 {
		l.t.Fatalf("%v, exit code %d\n%s%s", err, cmd.ProcessState.ExitCode(), out.String(), errs.String())
	}
	if log, _, _ := l.exhibit("custody", "log", r.Exhibit); !strings.Contains(log, "interrupted") {
		l.t.Errorf("the log does not say so:\n%s", log)
	}
}

// arrives waits for a file of more than a few bytes.
func (l *lab) arrives(pattern string) string {
	l.t.Helper()
	for range 600 {
		names, _ := filepath.Glob(l.path("%s", pattern))
		if len(names) == 1 {
			if st, err := os.Stat(names[0]); err == nil && st.Size() > 1000 {
				return names[0]
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	l.t.Fatalf("no %s", pattern)
	return ""
}

// cut takes the cable out: what came is kept, proven up to a checkpoint, and
// the log says so.
func (l *lab) cut() {
	l.t.Helper()
	var once sync.Once
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.arrives("case/exhibits/*/*10.77.0.18*.partial")
		time.Sleep(11 * time.Second) // a checkpoint comes every ten
		once.Do(func() { _ = l.command("ip", "link", "set", "v8", "down").Run() })
	}()
	out, errs, code := l.exhibit("--json", "collect", "--ssh-config", "ssh_config", "-c", "linux_clocks,linux_network", "--capture", "120s", "--stall", "15s", "--retries", "0", "ssh://root@"+address(8))
	<-done
	var r result
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 1 || r.State != "failed" || r.Unfinished == "" || !strings.Contains(r.Error, "ended before the bundle") {
		l.t.Fatalf("%v, exit code %d\n%s%s", err, code, out, errs)
	}
	if log, _, _ := l.exhibit("custody", "log", r.Exhibit); !strings.Contains(log, "bytes came and are kept as") {
		l.t.Errorf("the log does not say so:\n%s", log)
	}
	out, errs, code = l.exhibit("recover", r.Unfinished, "-o", l.path("saved.exhibit.tar.zst"))
	if code != 3 {
		l.t.Fatalf("recover: %d\n%s%s", code, out, errs)
	}
	if out, errs, code := l.exhibit("verify", l.path("saved.exhibit.tar.zst")); code != 3 || !strings.HasPrefix(out, "VERIFIED-PREFIX") {
		l.t.Errorf("verify: %d\n%s%s", code, out, errs)
	}
}
