package collectors

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// ociArchive packs a layer as an image (OCI image layout) named localhost/probe:1.
func ociArchive(t *testing.T, layer, to string) {
	t.Helper()
	f, err := os.Create(to)
	check(t, err)
	defer f.Close()
	w := tar.NewWriter(f)
	put := func(name string, size int64, r io.Reader) {
		check(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size}))
		_, err := io.Copy(w, r)
		check(t, err)
	}
	blob := func(v any) map[string]any {
		text, err := json.Marshal(v)
		check(t, err)
		sum := sha256.Sum256(text)
		put("blobs/sha256/"+hex.EncodeToString(sum[:]), int64(len(text)), strings.NewReader(string(text)))
		return map[string]any{"digest": "sha256:" + hex.EncodeToString(sum[:]), "size": len(text)}
	}
	typed := func(d map[string]any, kind string) map[string]any {
		d["mediaType"] = "application/vnd.oci.image." + kind
		return d
	}
	in, err := os.Open(layer)
	check(t, err)
	defer in.Close()
	h := sha256.New()
	size, err := io.Copy(h, in)
	check(t, err)
	_, err = in.Seek(0, io.SeekStart)
	check(t, err)
	digest := hex.EncodeToString(h.Sum(nil))
	put("blobs/sha256/"+digest, size, in)
	config := typed(blob(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
	}), "config.v1+json")
	manifest := typed(blob(map[string]any{
		"schemaVersion": 2, "config": config, "layers": []any{typed(map[string]any{"digest": "sha256:" + digest, "size": size}, "layer.v1.tar")},
	}), "manifest.v1+json")
	manifest["annotations"] = map[string]string{"io.containerd.image.name": "localhost/probe:1", "org.opencontainers.image.ref.name": "1"}
	text, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{manifest}})
	check(t, err)
	put("index.json", int64(len(text)), strings.NewReader(string(text)))
	layout := `{"imageLayoutVersion":"1.0.0"}`
	put("oci-layout", int64(len(layout)), strings.NewReader(layout))
	check(t, w.Close())
}

func TestContainerdContainersAreWhatCtrSays(t *testing.T) {
	containerd := testenv.Tool(t, "containerd")
	dir := lab(t)
	ociArchive(t, probeImage(t, dir), dir+"/oci.tar")
	check(t, os.WriteFile(dir+"/config.toml", fmt.Appendf(nil, "version = 2\nroot = %q\nstate = %q\n[grpc]\n  address = %q\n", dir+"/root", dir+"/state", dir+"/c.sock"), 0o644))
	stopping(t, dir+"/log", containerd, "-c", dir+"/config.toml")
	ctr := testenv.Tool(t, "ctr") + " -a " + dir + "/c.sock -n lab "
	within30(t, "containerd answers", func() bool { return exec.Command("sh", "-c", ctr+"version").Run() == nil })
	shell(t, ctr+"images import --platform linux/amd64 "+dir+"/oci.tar")
	shell(t, ctr+"run -d --snapshotter overlayfs --env SECRET=1 --label a=b localhost/probe:1 evil /prog one")
	t.Cleanup(func() { shell(t, ctr+"task rm -f evil; "+ctr+"c rm evil") })
	mount := shell(t, ctr+"snapshots --snapshotter overlayfs mounts /x evil")
	_, options, _ := strings.Cut(strings.Fields(mount)[6], ",")
	lower, upper, work := overlayOptions(options)
	within30(t, "the probe is done", func() bool { _, err := os.Stat(upper + "/done"); return err == nil })
	var info struct {
		CreatedAt string
		Labels    map[string]string
	}
	check(t, json.Unmarshal([]byte(shell(t, ctr+"c info evil")), &info))
	pid := strings.Fields(strings.Split(shell(t, ctr+"task ls"), "\n")[1])[1]
	digest := shell(t, ctr+"images ls | grep -o 'sha256:[0-9a-f]*'")

	got, l, out := containerRecords(t, engines{containerd: []containerdDir{{dir + "/root", dir + "/state"}}})
	c := got["evil"]
	if c == nil {
		t.Fatalf("containers %v, problems %+v", got, out.problems)
	}
	have := fmt.Sprintln(c.Engine, c.Namespace, c.Image, c.ImageDigest, c.Created, c.State, c.PID, c.StartTicks != 0, c.Labels, c.Args, string(c.Upper), string(c.Work), string(c.Lower[0]), len(c.Lower), c.Env[len(c.Env)-1], c.Privileged, c.HostPID, c.Errors)
	want := fmt.Sprintln("containerd", "lab", "localhost/probe:1", strings.TrimSpace(digest), rfc3339(info.CreatedAt), "running", pid, true, info.Labels, []string{"/prog", "one"}, upper, work, lower[0], len(lower), "SECRET", false, false, []string(nil))
	if have != want {
		t.Errorf("have %s\nwant %s", have, want)
	}
	check(t, l.changes())
	changes := changeLines(t, out.streams[record.ContainerChanges])
	for name, want := range map[string]string{"/added.sh": "added", "/etc/changed.conf": "changed", "/etc/removed.conf": "deleted", "/opt/dir/old": "deleted", "/opt/dir/fresh": "added"} {
		if changes[name].Change != want {
			t.Errorf("%s: %q, want %q", name, changes[name].Change, want)
		}
	}
}

func TestPodmanContainersAreWhatPodmanSays(t *testing.T) {
	podman := testenv.Tool(t, "podman")
	dir := lab(t)
	image := probeImage(t, dir)
	podman += fmt.Sprintf(" --root %[1]s/storage --runroot %[1]s/run --tmpdir %[1]s/libpod --cgroup-manager cgroupfs --runtime %[2]s --events-backend file --storage-driver overlay ", dir, testenv.Tool(t, "runc"))
	shell(t, podman+"import "+image+" localhost/probe:1")
	id := strings.TrimSpace(shell(t, podman+"run -d --name evil --ulimit nofile=512:512 --ulimit nproc=512:512 --network none -e SECRET_TOKEN=abc --label a=b -v "+dir+":/host:ro localhost/probe:1 /prog one"))
	t.Cleanup(func() {
		shell(t, podman+"rm -f -t 0 evil")
		// The monitor starts a Podman that cleans up, and would make the folder anew.
		within30(t, "podman's helpers have ended", func() bool {
			names, err := filepath.Glob("/proc/[0-9]*/cmdline")
			check(t, err)
			for _, name := range names {
				if text, err := os.ReadFile(name); err == nil && strings.Contains(string(text), dir) {
					return false
				}
			}
			return true
		})
	})
	var inspect []struct {
		Created, Image, ImageDigest, ImageName string

		State struct {
			Status, StartedAt, CgroupPath string
			Pid                           int64
		}
		GraphDriver struct{ Data map[string]string }
	}
	check(t, json.Unmarshal([]byte(shell(t, podman+"inspect evil")), &inspect))
	want := inspect[0]
	data := want.GraphDriver.Data
	within30(t, "the probe is done", func() bool { _, err := os.Stat(data["UpperDir"] + "/done"); return err == nil })

	got, l, out := containerRecords(t, engines{storage: []storageDir{{dir + "/storage", dir + "/run"}}})
	c := got[id]
	if c == nil {
		t.Fatalf("containers %v, problems %+v", got, out.problems)
	}
	var lower []string
	for _, dir := range c.Lower {
		lower = append(lower, string(dir))
	}
	have := fmt.Sprintln(c.Engine, c.Name, c.Image, c.ImageID, c.ImageDigest, c.Created/1e9, c.State, c.PID, c.Started, c.StartTicks != 0, string(c.Upper), string(c.Work), string(c.Rootfs), strings.Join(lower, ":"), c.Args, c.HostPID, c.Privileged, c.Errors)
	wanted := fmt.Sprintln("podman", "evil", want.ImageName, want.Image, want.ImageDigest, rfc3339(want.Created)/1e9, want.State.Status, want.State.Pid, rfc3339(want.State.StartedAt), true, data["UpperDir"], data["WorkDir"], data["MergedDir"], data["LowerDir"], []string{"/prog", "one"}, false, false, []string(nil))
	if have != wanted {
		t.Errorf("have %s\nwant %s", have, wanted)
	}
	found := false
	for _, m := range c.Mounts {
		found = found || m.Target == "/host" && m.Source == dir && !m.Write
	}
	if !found || !strings.Contains(strings.Join(c.Env, " "), "SECRET_TOKEN") || strings.Contains(strings.Join(c.Env, " "), "abc") {
		t.Errorf("mounts %+v, environment %q", c.Mounts, c.Env)
	}
	check(t, l.changes())
	changes := changeLines(t, out.streams[record.ContainerChanges])
	for line := range strings.Lines(shell(t, podman+"diff evil")) {
		change, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		want := map[string]string{"A": "added", "C": "changed", "D": "deleted"}[change]
		if changes[name].Opaque && change == "D" {
			want = "changed" // Podman calls a folder that was made anew deleted
		}
		if changes[name].Change != want {
			t.Errorf("%s: %q, podman says %s", name, changes[name].Change, change)
		}
	}
	if changes["/opt/dir/old"].Change != "deleted" || filepath.Base(string(changes["/added.sh"].File.Path)) != "added.sh" {
		t.Errorf("changes: %+v", changes)
	}
}
