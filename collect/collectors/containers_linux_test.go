package collectors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// lab is a folder on a file system of its own in which overlays can be made;
// the test is skipped where that is not permitted.
func lab(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skipped: mounting needs root")
	}
	dir, err := os.MkdirTemp("", "ctr")
	check(t, err)
	if err := unix.Mount("lab", dir, "tmpfs", 0, ""); err != nil {
		os.Remove(dir)
		t.Skipf("skipped: mount tmpfs: %v", err)
	}
	t.Cleanup(func() {
		// What an engine left mounted below goes with it.
		for range 100 {
			text, err := os.ReadFile("/proc/self/mountinfo")
			check(t, err)
			mounts, _ := collect.ParseMountInfo(text)
			last := ""
			for _, m := range mounts {
				if within(m.Point, dir) {
					last = m.Point
				}
			}
			if last == "" {
				break
			}
			if err := unix.Unmount(last, unix.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", last, err)
				break
			}
		}
		check(t, os.Remove(dir))
	})
	return dir
}

func overlayMount(t *testing.T, point, options string) {
	t.Helper()
	check(t, os.MkdirAll(point, 0o755))
	if err := unix.Mount("overlay", point, "overlay", 0, options); err != nil {
		t.Skipf("skipped: mount overlay: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) }) // may be gone with its folder
}

// overlayChanges runs the comparison for one container.
func overlayChanges(t *testing.T, root string, c *record.Container) (map[string]record.ContainerChange, *memoryTaker) {
	t.Helper()
	h := openHost(t, root)
	out := newMemoryTaker(h)
	l := &containerLook{ctx: context.Background(), host: h, out: out, list: []*record.Container{c}}
	check(t, l.changes())
	return changeLines(t, out.streams[record.ContainerChanges]), out
}

func changeLines(t *testing.T, text []byte) map[string]record.ContainerChange {
	t.Helper()
	got := map[string]record.ContainerChange{}
	for line := range bytes.Lines(text) {
		var c record.ContainerChange
		check(t, json.Unmarshal(line, &c))
		if _, twice := got[string(c.Path)]; twice {
			t.Errorf("%q is there twice", c.Path)
		}
		got[string(c.Path)] = c
	}
	return got
}

// differences is what diff(1) says of two trees, as the topmost paths that are
// in one only, and the files that differ.
func differences(t *testing.T, before, after string) map[string]string {
	t.Helper()
	cmd := exec.Command(testenv.Tool(t, "diff"), "-rq", "--no-dereference", before, after)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	text, err := cmd.Output()
	if err == nil {
		t.Fatal("diff sees no difference")
	}
	got := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "Only in "):
			dir, name, _ := strings.Cut(strings.TrimPrefix(line, "Only in "), ": ")
			if rest, ok := strings.CutPrefix(dir, after); ok {
				got[rest+"/"+name] = "added"
			} else {
				got[strings.TrimPrefix(dir, before)+"/"+name] = "deleted"
			}
		case strings.HasPrefix(line, "Files "), strings.HasPrefix(line, "Symbolic links "), strings.HasPrefix(line, "File "):
			_, rest, _ := strings.Cut(line, before)
			name, _, _ := strings.Cut(rest, " ")
			got[name] = "changed"
		default:
			t.Fatalf("diff says %q", line)
		}
	}
	return got
}

// compareChanges holds what the collector found against what diff sees.
func compareChanges(t *testing.T, got map[string]record.ContainerChange, want map[string]string) {
	t.Helper()
	for name, change := range want {
		if got[name].Change != change {
			t.Errorf("%s: %q, diff says %s", name, got[name].Change, change)
		}
	}
	for name, c := range got {
		if c.Change == "changed" {
			continue // also what has the same content as before, and folders
		}
		explained := want[name] == c.Change
		for dir := filepath.Dir(name); dir != "/" && !explained; dir = filepath.Dir(dir) {
			explained = c.Change == "added" && (want[dir] == "added" || want[dir] == "changed")
		}
		if !explained {
			t.Errorf("%s: %s, which diff does not see", name, c.Change)
		}
	}
}

func TestChangesOfAnOverlayAreWhatDiffSees(t *testing.T) {
	dir := lab(t)
	for _, sub := range []string{"base", "mid", "midwork", "upper", "work"} {
		check(t, os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	// The image has two layers, the second of which deletes, hides and adds.
	shell(t, fmt.Sprintf(`cd %s/base && mkdir -p etc opt/app/sub opt/keep usr/bin var/gone var/hidden real &&
		for f in etc/a etc/b etc/gone opt/app/1 opt/app/sub/2 opt/keep/3 usr/bin/x var/gone/y var/hidden/z real/f; do echo $f > $f; done &&
		ln -s /etc link && ln -s usr/bin bin`, dir))
	overlayMount(t, dir+"/image1", fmt.Sprintf("lowerdir=%s/base,upperdir=%s/mid,workdir=%s/midwork", dir, dir, dir))
	shell(t, fmt.Sprintf(`cd %s/image1 && rm -r var/gone etc/gone && rm -r var/hidden && mkdir var/hidden && echo mid > var/hidden/m && echo mid > etc/mid`, dir))
	check(t, unix.Unmount(dir+"/image1", 0))
	overlayMount(t, dir+"/before", fmt.Sprintf("lowerdir=%s/mid:%s/base", dir, dir))
	overlayMount(t, dir+"/after", fmt.Sprintf("lowerdir=%s/mid:%s/base,upperdir=%s/upper,workdir=%s/work", dir, dir, dir, dir))
	shell(t, fmt.Sprintf(`cd %s/after && echo changed >> etc/a && rm etc/b && echo new > etc/new && mkdir -p opt/more/deep && echo n > opt/more/deep/f &&
		rm -r opt/app && mkdir opt/app && echo other > opt/app/1 && mkdir opt/app/sub && echo n > opt/app/sub/n &&
		mkdir var/gone && echo again > var/gone/y && echo h > var/hidden/z && rm link && mkdir link && echo no > link/a && rm bin && mkdir bin && echo evil > bin/x &&
		chmod 600 opt/keep/3 && ln -s /tmp etc/tolink && mkfifo etc/pipe && rm -r real && echo file > real &&
		printf '#!/bin/sh\n' > run.sh && chmod 755 run.sh`, dir))
	want := differences(t, dir+"/before", dir+"/after")
	check(t, unix.Unmount(dir+"/after", 0)) // what is on disk tells it, mounted or not
	c := &record.Container{Engine: "docker", ID: "abc", Driver: "overlay2", Upper: record.Bytes("/upper"), Lower: []record.Bytes{record.Bytes("/mid"), record.Bytes("/base")}}
	got, out := overlayChanges(t, dir, c)
	compareChanges(t, got, want)
	if len(want) < 12 {
		t.Errorf("diff saw only %v", want)
	}
	for name, want := range map[string]string{"/etc": "changed", "/opt/keep/3": "changed", "/opt/app/sub/2": "deleted", "/var/gone": "added", "/link/a": "added", "/bin/x": "added", "/etc/pipe": "added"} {
		if got[name].Change != want {
			t.Errorf("%s: %q, want %q", name, got[name].Change, want)
		}
	}
	if !got["/opt/app"].Opaque || string(got["/etc/tolink"].File.Link) != "/tmp" {
		t.Errorf("folder %+v, link %+v", got["/opt/app"], got["/etc/tolink"])
	}
	if text := string(out.content["/upper/run.sh"]); text != "#!/bin/sh\n" {
		t.Errorf("content of the script: %q", text)
	}
	if rule := out.rules["/upper/etc/new"]; rule != "changes of container docker abc" {
		t.Errorf("taken for %q", rule)
	}
	if len(out.problems) > 0 {
		t.Errorf("problems: %+v", out.problems)
	}
}

// What newer kernels and mounts with other options write.
func TestAttributesOfOverlays(t *testing.T) {
	dir := lab(t)
	shell(t, "cd "+dir+" && mkdir -p lower/etc lower/old upper/etc upper/new && echo a > lower/etc/gone && echo b > lower/etc/owner && echo c > lower/old/f && : > upper/etc/gone && truncate -s 2 upper/etc/owner && echo d > upper/new/f && echo e > upper/new/g && : > upper/etc/empty")
	for name, attr := range map[string][2]string{"etc/gone": {"trusted.overlay.whiteout", ""}, "etc/owner": {"user.overlay.metacopy", ""}, "new": {"trusted.overlay.redirect", "/old"}} {
		if err := unix.Setxattr(filepath.Join(dir, "upper", name), attr[0], []byte(attr[1]), 0); err != nil {
			t.Skipf("skipped: set %s: %v", attr[0], err)
		}
	}
	c := &record.Container{Engine: "docker", ID: "abc", Driver: "overlay2", Upper: record.Bytes("/upper"), Lower: []record.Bytes{record.Bytes("/lower")}}
	got, out := overlayChanges(t, dir, c)
	for name, want := range map[string]string{"/etc/gone": "deleted", "/etc/owner": "changed", "/etc/empty": "added", "/new": "added", "/new/f": "changed", "/new/g": "added"} {
		if got[name].Change != want {
			t.Errorf("%s: %q, want %q", name, got[name].Change, want)
		}
	}
	if _, taken := out.file("/upper/etc/owner"); taken || !got["/etc/owner"].MetaOnly || string(got["/new"].Redirect) != "/old" {
		t.Errorf("taken %t, %+v, %+v", taken, got["/etc/owner"], got["/new"])
	}
}

func TestContentOfChangesByPolicy(t *testing.T) {
	dir := t.TempDir()
	key := shell(t, "cd "+dir+" && "+testenv.Tool(t, "ssh-keygen")+" -q -t ed25519 -N '' -f k && cat k && rm k k.pub")
	for name, text := range map[string]string{
		"etc/app": "configuration", "data.bin": "old data", "tool": "\x7fELF old program", "etc/shadow": "root:x:", "opt/script": "#!/bin/sh\n", "fresh": "written since", "etc/key": key,
	} {
		full := filepath.Join(dir, "upper", name)
		check(t, os.MkdirAll(filepath.Dir(full), 0o755))
		check(t, os.WriteFile(full, []byte(text), 0o644))
	}
	// The inode change time cannot be set: the container starts later.
	c := &record.Container{Engine: "podman", ID: "x\x1b[31m/../y", Driver: "overlay", Upper: record.Bytes("/upper"), Started: time.Now().Add(time.Hour).UnixNano()}
	later := time.Now().Add(2 * time.Hour)
	check(t, os.Chtimes(filepath.Join(dir, "upper/fresh"), later, later))
	got, out := overlayChanges(t, dir, c)
	for _, name := range []string{"etc/app", "tool", "opt/script", "fresh"} {
		if _, ok := out.file("/upper/" + name); !ok {
			t.Errorf("%s was not taken: %+v", name, got["/"+name])
		}
	}
	if l := got["/data.bin"]; l.Content != "hashed" || l.File.SHA256 != strings.Fields(shell(t, "printf 'old data' | sha256sum"))[0] {
		t.Errorf("old data: %+v", l)
	}
	for _, name := range []string{"etc/shadow", "etc/key"} {
		if _, ok := out.file("/upper/" + name); ok {
			t.Errorf("%s was taken", name)
		}
		if note, ok := out.note("/upper/" + name); !ok || !strings.Contains(note.Detail, "left out unless ordered") {
			t.Errorf("record of %s: %+v", name, note)
		}
	}
	for rule := range out.seen {
		if strings.ContainsAny(rule, "\x1b/") {
			t.Errorf("a hostile name in the rule %q", rule)
		}
	}
}

// probe is a program for a container without anything else: it changes files
// and waits.
const probe = `package main

import (
	"os"
	"time"
)

func main() {
	os.WriteFile("/added.sh", []byte("#!/bin/sh\necho hi\n"), 0o755)
	os.WriteFile("/etc/changed.conf", []byte("new\n"), 0o644)
	os.Remove("/etc/removed.conf")
	os.RemoveAll("/opt/dir")
	os.Mkdir("/opt/dir", 0o755)
	os.WriteFile("/opt/dir/fresh", []byte("x"), 0o644)
	os.WriteFile("/done", nil, 0o644)
	time.Sleep(10 * time.Minute)
}
`

// probeImage makes a tar file of a root with the probe in it.
func probeImage(t *testing.T, dir string) string {
	t.Helper()
	root := filepath.Join(dir, "image")
	shell(t, fmt.Sprintf("mkdir -p %[1]s/etc %[1]s/opt/dir %[1]s/tmp %[1]s/proc %[1]s/sys %[1]s/dev && cd %[1]s && echo a > etc/changed.conf && echo b > etc/removed.conf && echo o > opt/dir/old", root))
	check(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(probe), 0o644))
	cmd := exec.Command(testenv.Tool(t, "go"), "build", "-o", filepath.Join(root, "prog"), filepath.Join(dir, "main.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	shell(t, fmt.Sprintf("tar -C %s -cf %s/image.tar .", root, dir))
	return filepath.Join(dir, "image.tar")
}

// within30 waits until something is so, 30 s at most.
func within30(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 300 {
		if so() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("not within 30 s: %s", what)
}

// stopping starts a daemon that the test's end stops.
func stopping(t *testing.T, log string, name string, args ...string) {
	t.Helper()
	f, err := os.Create(log)
	check(t, err)
	defer f.Close()
	cmd := exec.Command(testenv.Tool(t, name), args...)
	cmd.Stdout, cmd.Stderr = f, f
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM) // may have ended
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("%s said:\n%s", name, text[max(0, len(text)-3000):])
		}
	})
}

// containerRecords runs the collector on the running host for engines at
// places of the test's own.
func containerRecords(t *testing.T, found engines) (map[string]*record.Container, *containerLook, *memoryTaker) {
	t.Helper()
	h, err := collect.OpenHost("/", true)
	check(t, err)
	t.Cleanup(func() { h.Close() })
	out := newMemoryTaker(h)
	l := &containerLook{ctx: context.Background(), host: h, out: out, byID: map[string]*record.Container{}, found: found}
	l.readBoot()
	l.docker()
	l.containerd()
	l.storage()
	got := map[string]*record.Container{}
	for _, c := range l.list {
		l.process(c)
		got[c.ID] = c
	}
	return got, l, out
}

func TestDockerContainersAreWhatDockerSays(t *testing.T) {
	docker := testenv.Tool(t, "dockerd")
	dir := lab(t)
	image := probeImage(t, dir)
	socket := dir + "/docker.sock"
	stopping(t, dir+"/log", docker, "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid", "-H", "unix://"+socket,
		"--iptables=false", "--ip-forward=false", "--bridge=none", "--storage-driver", "overlay2")
	cli := testenv.Tool(t, "docker") + " -H unix://" + socket + " "
	within30(t, "dockerd answers", func() bool { return exec.Command("sh", "-c", cli+"version").Run() == nil })
	shell(t, cli+"import "+image+" probe:1")
	id := strings.TrimSpace(shell(t, cli+"run -d --name evil --network none -e SECRET_TOKEN=abc --label a=b -v "+dir+"/vol:/data:ro --restart always --pid host probe:1 /prog one ''"))
	t.Cleanup(func() { shell(t, cli+"rm -f evil idle") })
	idle := strings.TrimSpace(shell(t, cli+"create --name idle --network host --privileged --cap-add SYS_PTRACE probe:1 /prog"))
	found := engines{docker: []string{dir + "/data"}, containerd: []containerdDir{{dir + "/data/containerd/daemon", dir + "/exec/containerd/daemon"}}}
	var oracle []struct {
		Id, Name, Image, Created string //nolint:revive // the JSON keys

		State struct {
			Pid       int64
			StartedAt string
			Status    string
		}
		GraphDriver struct{ Data map[string]string }
	}
	check(t, json.Unmarshal([]byte(shell(t, cli+"inspect evil idle")), &oracle))
	within30(t, "the probe is done", func() bool { _, err := os.Stat(oracle[0].GraphDriver.Data["UpperDir"] + "/done"); return err == nil })
	got, l, out := containerRecords(t, found)
	if len(got) != 2 {
		t.Errorf("%d containers", len(got))
	}
	for _, want := range oracle {
		c := got[want.Id]
		if c == nil {
			t.Fatalf("no container %s", want.Id)
		}
		var lower []string
		for _, dir := range c.Lower {
			lower = append(lower, string(dir))
		}
		have := []any{c.Engine, "/" + c.Name, c.ImageID, c.Created, c.State, c.PID, c.Started, string(c.Upper), string(c.Work), string(c.Rootfs), strings.Join(lower, ":"), c.Image}
		data := want.GraphDriver.Data
		wanted := []any{"docker", want.Name, want.Image, rfc3339(want.Created), want.State.Status, want.State.Pid, rfc3339(want.State.StartedAt), data["UpperDir"], data["WorkDir"], data["MergedDir"], data["LowerDir"], "probe:1"}
		if !slices.Equal(have, wanted) {
			t.Errorf("have %v\nwant %v", have, wanted)
		}
	}
	c := got[id]
	if c.Privileged || !c.HostPID || c.HostNetwork || c.Restart != "always" || c.Labels["a"] != "b" || !slices.Equal(c.Args, []string{"/prog", "one", ""}) ||
		!slices.Contains(c.Env, "SECRET_TOKEN") || slices.Contains(c.Env, "SECRET_TOKEN=abc") || len(c.Mounts) != 1 || c.Mounts[0].Write || c.Mounts[0].Target != "/data" {
		t.Errorf("have %+v", c)
	}
	if !slices.Contains(got[idle].Capabilities, "+CAP_SYS_PTRACE") || !got[idle].Privileged || !got[idle].HostNetwork || got[idle].PID != 0 {
		t.Errorf("the idle one: %+v", got[idle])
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.PID))
	check(t, err)
	if st, ok := parseProcStat(stat); !ok || st.startTicks != c.StartTicks || c.Namespaces["mnt"] == "" || len(c.Errors) > 0 {
		t.Errorf("its process: %+v, want start %d", c, st.startTicks)
	}
	if !slices.ContainsFunc(c.Sources, func(b record.Bytes) bool { return strings.HasSuffix(string(b), "/moby/"+id+"/init.pid") }) {
		t.Errorf("containerd was not heard: %s", c.Sources)
	}
	l.list = []*record.Container{c}
	check(t, l.changes())
	changes := changeLines(t, out.streams[record.ContainerChanges])
	for line := range strings.Lines(shell(t, cli+"diff evil")) {
		change, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if want := map[string]string{"A": "added", "C": "changed", "D": "deleted"}[change]; changes[name].Change != want {
			t.Errorf("%s: %q, docker says %s", name, changes[name].Change, want)
		}
	}
	if changes["/opt/dir/old"].Change != "deleted" || string(out.content[string(changes["/added.sh"].File.Path)]) != "#!/bin/sh\necho hi\n" {
		t.Errorf("changes: %+v", changes)
	}

	// The same engine, asked.
	check(t, askEngines(context.Background(), l.host, out, []engineSocket{{path: socket, api: "docker", served: true}, {path: dir + "/none.sock", api: "docker", served: true}}))
	var sockets []record.ContainerSocket
	for line := range bytes.Lines(out.streams[record.ContainerSockets]) {
		var s record.ContainerSocket
		check(t, json.Unmarshal(line, &s))
		sockets = append(sockets, s)
	}
	if len(sockets) != 2 || sockets[0].Asked != 9 || len(sockets[0].Items) != 9 || len(sockets[0].Errors) > 0 || sockets[0].Version == "" || sockets[1].Present {
		t.Errorf("sockets: %+v", sockets)
	}
	var answer struct{ Id string } //nolint:revive // the JSON key
	check(t, json.Unmarshal(out.streams["containers/api"+socket+"/containers/"+id+".json"], &answer))
	if answer.Id != id {
		t.Errorf("the answer is of %q", answer.Id)
	}

	// All of it by a run that is told nothing.
	run := live(t, linuxContainers, linuxContainerSockets)
	i := slices.IndexFunc(collecttest.Lines[record.Container](t, run, record.Containers), func(r record.Container) bool { return r.ID == id && r.StartTicks == c.StartTicks })
	if i < 0 {
		t.Error("a run does not find the container")
	}
	if text := run.Content(t, string(changes["/added.sh"].File.Path)); string(text) != "#!/bin/sh\necho hi\n" {
		t.Errorf("content of what was added: %q", text)
	}
	if it := run.Find("containers/api" + socket + "/containers/" + id + ".json"); it.Size == 0 {
		t.Error("a run does not ask the engine")
	}
	if it := run.Find(dir + "/data/containers/" + id + "/config.v2.json"); it.Rule != "docker state" {
		t.Errorf("the engine's own file: %+v", it)
	}
}
