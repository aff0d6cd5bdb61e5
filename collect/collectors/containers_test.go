package collectors

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/boltread"
)

// boltFile writes a database: keys with "/" are paths of buckets.
func boltFile(t testing.TB, path string, entries map[string]string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	db, err := bbolt.Open(path, 0o600, nil)
	check(t, err)
	check(t, db.Update(func(tx *bbolt.Tx) error {
		for at, value := range entries {
			names := strings.Split(at, "/")
			b, err := tx.CreateBucketIfNotExists([]byte(names[0]))
			for _, name := range names[1 : len(names)-1] {
				if err != nil {
					return err
				}
				b, err = b.CreateBucketIfNotExists([]byte(name))
			}
			if err != nil {
				return err
			}
			if err := b.Put([]byte(names[len(names)-1]), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	}))
	check(t, db.Close())
}

// anyOf packs a protobuf Any.
func anyOf(name, value string) string {
	out := binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(name)))
	out = append(out, name...)
	out = binary.AppendUvarint(append(out, 2<<3|2), uint64(len(value)))
	return string(append(out, value...))
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, []byte(text), 0o644))
}

// containersOf runs the collector on a root and returns its records by id.
func containersOf(t testing.TB, root string) (map[string]record.Container, *memoryTaker) {
	t.Helper()
	h := openHost(t, root)
	out := newMemoryTaker(h)
	check(t, linuxContainers.Run(context.Background(), h, out))
	got := map[string]record.Container{}
	for line := range bytes.Lines(out.streams[record.Containers]) {
		var c record.Container
		check(t, json.Unmarshal(line, &c))
		got[c.ID] = c
	}
	return got, out
}

// A node of Kubernetes with containerd, off: the Kubernetes plugin keeps more
// than containerd does.
func TestContainersOfAKubernetesNode(t *testing.T) {
	root := t.TempDir()
	dir := root + "/srv/ctd"
	writeFile(t, root+"/etc/containerd/config.toml", "version = 2\nroot = \"/srv/ctd\" # moved\nstate = '/run/ctd'\n")
	created, err := time.Unix(1700000000, 5).UTC().MarshalBinary()
	check(t, err)
	c := "v1/k8s.io/containers/abc/"
	boltFile(t, dir+"/io.containerd.metadata.v1.bolt/meta.db", map[string]string{
		"v1/version": "\x08",
		c + "image":  "docker.io/library/nginx:1", c + "createdat": string(created), c + "snapshotKey": "abc", c + "snapshotter": "overlayfs",
		c + "spec":             anyOf("types.containerd.io/opencontainers/runtime-spec/1/Spec", `{"process":{"args":["nginx"],"env":["A=1"],"capabilities":{"bounding":["CAP_SYS_ADMIN","CAP_SYS_MODULE","CAP_SYS_RAWIO"]}},"root":{"path":"rootfs"},"mounts":[{"destination":"/host","source":"/","options":["rbind","rw"]}],"linux":{"cgroupsPath":"kubepods:cri:abc","namespaces":[{"type":"mount"}]}}`),
		"v1/k8s.io/images/x/y": "", c + "labels/io.kubernetes.pod.name": "web", c + "extensions/io.cri-containerd.container.metadata": anyOf("x", `{"Version":"v1","Metadata":{"ID":"abc","Name":"web_1","SandboxID":"pod7","LogPath":"/var/log/pods/x/0.log"}}`),
		"v1/k8s.io/snapshots/overlayfs/abc/name": "k8s.io/9/abc",
	})
	// The names of images have slashes.
	db, err := bbolt.Open(dir+"/io.containerd.metadata.v1.bolt/meta.db", 0o600, nil)
	check(t, err)
	check(t, db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.Bucket([]byte("v1")).Bucket([]byte("k8s.io")).Bucket([]byte("images")).CreateBucket([]byte("docker.io/library/nginx:1"))
		if err != nil {
			return err
		}
		if b, err = b.CreateBucket([]byte("target")); err != nil {
			return err
		}
		return b.Put([]byte("digest"), []byte("sha256:feed"))
	}))
	check(t, db.Close())
	check(t, os.MkdirAll(dir+"/io.containerd.snapshotter.v1.overlayfs", 0o755))
	db, err = bbolt.Open(dir+"/io.containerd.snapshotter.v1.overlayfs/metadata.db", 0o600, nil)
	check(t, err)
	check(t, db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("v1"))
		check(t, err)
		b, err = b.CreateBucket([]byte("snapshots"))
		check(t, err)
		for name, s := range map[string]struct {
			id     uint64
			parent string
		}{"k8s.io/9/abc": {300, "k8s.io/8/top"}, "k8s.io/8/top": {7, "k8s.io/1/base"}, "k8s.io/1/base": {1, ""}, "loop": {9, "loop"}} {
			e, err := b.CreateBucket([]byte(name))
			check(t, err)
			check(t, e.Put([]byte("id"), binary.AppendUvarint(nil, s.id)))
			check(t, e.Put([]byte("parent"), []byte(s.parent)))
		}
		return nil
	}))
	check(t, db.Close())
	writeFile(t, dir+"/io.containerd.grpc.v1.cri/containers/abc/status", `{"Version":"v1","Pid":0,"CreatedAt":1700000000000000005,"StartedAt":1700000001000000000,"FinishedAt":1700000009000000000,"ExitCode":137}`)
	snapshots := "/srv/ctd/io.containerd.snapshotter.v1.overlayfs/snapshots/"
	writeFile(t, root+snapshots+"300/fs/tmp/miner", "\x7fELF")
	check(t, os.MkdirAll(root+snapshots+"7/fs/tmp", 0o755))
	writeFile(t, root+"/var/lib/kubelet/pods/u1/volumes/kubernetes.io~secret/s/password", "hunter2")
	writeFile(t, root+"/var/lib/kubelet/pods/u1/volumes/kubernetes.io~projected/api/token", "eyJ")
	writeFile(t, root+"/var/lib/kubelet/pods/u1/volumes/kubernetes.io~projected/api/ca.crt", "CA")
	writeFile(t, root+"/var/lib/kubelet/cpu_manager_state", "{}")
	writeFile(t, root+"/etc/kubernetes/admin.conf", "client-key-data: x")
	writeFile(t, root+"/etc/kubernetes/manifests/api.yaml", "kind: Pod")
	writeFile(t, root+"/var/lib/etcd/member/snap/db", "etcd")
	writeFile(t, root+"/var/log/pods/x/0.log", "log")
	check(t, os.MkdirAll(root+"/var/log/containers", 0o755))
	check(t, os.Symlink("/var/log/pods/x/0.log", root+"/var/log/containers/web.log"))

	got, out := containersOf(t, root)
	have, err := json.Marshal(got["abc"])
	check(t, err)
	want := `{"engine":"containerd","namespace":"k8s.io","id":"abc","name":"web_1","image":"docker.io/library/nginx:1","image_digest":"sha256:feed",` +
		`"created":1700000000000000005,"started":1700000001000000000,"finished":1700000009000000000,"state":"exited","exit_code":137,"cgroup":"kubepods:cri:abc",` +
		`"args":["nginx"],"env":["A"],"mounts":[{"type":"bind","source":"/","target":"/host","write":true}],"privileged":true,"capabilities":["CAP_SYS_ADMIN","CAP_SYS_MODULE","CAP_SYS_RAWIO"],` +
		`"host_pid":true,"host_ipc":true,"host_network":true,"security":["seccomp=unconfined"],"labels":{"io.kubernetes.pod.name":"web","io.kubernetes.sandbox.id":"pod7"},"log":"/var/log/pods/x/0.log",` +
		`"driver":"overlayfs","lower":["` + snapshots + `7/fs","` + snapshots + `1/fs"],"upper":"` + snapshots + `300/fs","work":"` + snapshots + `300/work","rootfs":"/run/ctd/io.containerd.runtime.v2.task/k8s.io/abc/rootfs",` +
		`"sources":["/srv/ctd/io.containerd.metadata.v1.bolt/meta.db","/srv/ctd/io.containerd.grpc.v1.cri/containers/abc/status"]}`
	if string(have) != want {
		t.Errorf("have %s\nwant %s", have, want)
	}
	changes := map[string]record.ContainerChange{}
	for line := range bytes.Lines(out.streams[record.ContainerChanges]) {
		var c record.ContainerChange
		check(t, json.Unmarshal(line, &c))
		changes[string(c.Path)] = c
	}
	if changes["/tmp"].Change != "changed" || changes["/tmp/miner"].Change != "added" {
		t.Errorf("changes %+v", changes)
	}
	pod := "/var/lib/kubelet/pods/u1/volumes/"
	for name, sum := range map[string]string{
		pod + "kubernetes.io~secret/s/password": "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7", pod + "kubernetes.io~projected/api/token": "",
		"/etc/kubernetes/admin.conf": "", "/var/lib/etcd/member/snap/db": "",
	} {
		note, ok := out.note(name)
		if _, taken := out.file(name); taken || !ok || !strings.Contains(note.Detail, "SHA-256 of the file: "+sum) {
			t.Errorf("%s: %+v, taken %t", name, note, taken)
		}
	}
	for name, rule := range map[string]string{
		pod + "kubernetes.io~projected/api/ca.crt": "kubelet state", "/var/lib/kubelet/cpu_manager_state": "kubelet state", "/etc/kubernetes/manifests/api.yaml": "kubernetes configuration",
		"/var/log/pods/x/0.log": "logs of pods", "/var/log/containers/web.log": "logs of containers", "/srv/ctd/io.containerd.metadata.v1.bolt/meta.db": "containerd state",
		snapshots + "300/fs/tmp/miner": "changes of container containerd abc web_1",
	} {
		if out.rules[name] != rule {
			t.Errorf("%s was taken for %q, want %q", name, out.rules[name], rule)
		}
	}
}

func TestOtherDriversAreSaidNotToBeCompared(t *testing.T) {
	root := t.TempDir()
	store := root + "/home/u/.local/share/containers/storage"
	writeFile(t, store+"/vfs-containers/containers.json", `[{"id":"v1","names":["old"],"layer":"l1","metadata":"{\"pod-name\":\"p\",\"image-name\":\"i\"}","created":"2024-01-02T03:04:05Z"}]`)
	writeFile(t, store+"/overlay/.has-mount-program", "true")
	writeFile(t, store+"/overlay-containers/containers.json", `[{"id":"f1","layer":"l2"},{"id":"../../x","layer":"../../../etc"}]`)
	writeFile(t, root+"/var/lib/docker/containers/bad/config.v2.json", `{"ID":"other","Driver":"../..","State":{"Pid":"x"},"Created":"never"`)
	got, out := containersOf(t, root)
	if c := got["v1"]; c.Engine != "cri-o" || c.Name != "old" || c.Image != "i" || c.Created != 1704164645e9 {
		t.Errorf("%+v", c)
	}
	if c := got["../../x"]; c.Upper != nil || c.Lower != nil {
		t.Errorf("a layer outside of its folder: %+v", c)
	}
	if c := got["bad"]; len(c.Errors) != 1 {
		t.Errorf("%+v", c)
	}
	var said []string
	for _, p := range out.problems {
		said = append(said, p.Detail)
	}
	for _, want := range []string{"changes of container cri-o v1 are not told: layers of the driver vfs", "changes of container containers-storage f1 are not told: layers of the driver fuse-overlayfs", "unexpected end of JSON input"} {
		if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("nobody says %q: %q", want, said)
		}
	}
}

func TestCommandLinesOfEnginesSayWhereTheyKeepWhat(t *testing.T) {
	var e engines
	for _, line := range []string{
		"/usr/bin/dockerd --data-root=/d1 -H unix:///d1.sock", "dockerd -g /d2/../d3", "dockerd --data-root relative", "dockerd --data-root /",
		"/usr/local/bin/containerd --root /c1 --state /c2 -a /c.sock", "conmon -b /g/overlay-containers/x/userdata -p /r/overlay-containers/x/userdata/pidfile", "kubelet --root-dir /k", "sh -c dockerd --data-root /no",
	} {
		e.command(strings.Fields(line))
	}
	have := fmt.Sprint(e.docker, e.containerd, e.storage, e.kubelet, e.sockets)
	if want := "[/d1 /d3] [{/d1/containerd/daemon } {/d3/containerd/daemon } {/c1 /c2}] [{/g /r}] [/k] [{/d1.sock docker false} {/c.sock cri false}]"; have != want {
		t.Errorf("have %s\nwant %s", have, want)
	}
}

func TestOverlayOptionsWithEscapes(t *testing.T) {
	lower, upper, work := overlayOptions(`rw,lowerdir=/a\:b:/c::/data,upperdir=/u\,v\\,workdir=/w,userxattr`)
	if have := fmt.Sprintf("%q %q %q", lower, upper, work); have != `["/a:b" "/c" "/data"] "/u,v\\" "/w"` {
		t.Error(have)
	}
}

// answering serves one answer to each connection, and returns the socket.
func answering(t *testing.T, answer func(c net.Conn, request string)) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			n, _ := c.Read(buf)
			answer(c, string(buf[:n]))
			c.Close()
		}
	}()
	return socket
}

func TestEnginesAreAskedWithGetOnly(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	socket := answering(t, func(c net.Conn, request string) {
		line, _, _ := strings.Cut(request, "\r\n")
		mu.Lock()
		asked = append(asked, line)
		mu.Unlock()
		body := "{}"
		if strings.Contains(line, "/containers/json") {
			body = `[{"Id":"r1","State":"running"},{"Id":"e1","State":"exited"},{"Id":"../../exec","State":"running"}]`
		}
		fmt.Fprintf(c, "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	})
	h := openHost(t, "/")
	out := newMemoryTaker(h)
	check(t, askEngines(context.Background(), h, out, []engineSocket{{path: socket, api: "docker", served: true}, {path: socket, api: "docker"}, {path: socket, api: "cri", served: true}}))
	mu.Lock()
	defer mu.Unlock()
	want := []string{
		"GET /version HTTP/1.0", "GET /info HTTP/1.0", "GET /images/json?all=1 HTTP/1.0", "GET /networks HTTP/1.0", "GET /volumes HTTP/1.0", "GET /containers/json?all=1 HTTP/1.0",
		"GET /containers/r1/json HTTP/1.0", "GET /containers/r1/changes HTTP/1.0", "GET /containers/e1/json HTTP/1.0",
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q", asked)
	}
	if n := bytes.Count(out.streams[record.ContainerSockets], []byte(`"not_asked"`)); n != 2 {
		t.Errorf("%d sockets not asked: %s", n, out.streams[record.ContainerSockets])
	}
	if !bytes.Contains(out.streams[record.ContainerSockets], []byte("a container of the name")) {
		t.Error("the hostile name is not mentioned")
	}
}

func TestAnswersThatAreNotWholeAreErrors(t *testing.T) {
	for answer, want := range map[string]string{
		"": "no whole head", "SSH-2.0-x\r\n\r\n": "not HTTP", "HTTP/1.1 500 x\r\n\r\n{}": `status "500"`, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}": "2 bytes of 9",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n": "in pieces", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n": "length", "HTTP/1.0 200 OK\r\n\r\n[{": "not whole JSON",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 20000): "no whole head", "HTTP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n": "over the limit",
	} {
		if _, err := readAnswer(strings.NewReader(answer)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", answer, err, want)
		}
	}
	if b, err := readAnswer(strings.NewReader("HTTP/1.0 200 OK\r\n\r\n[1]")); err != nil || string(b) != "[1]" {
		t.Errorf("%q %v", b, err)
	}
}

func TestAHungEngineCostsItsDeadlineOnly(t *testing.T) {
	release := make(chan struct{})
	socket := answering(t, func(net.Conn, string) { <-release })
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := getFromSocket(ctx, socket, "/version"); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("got %v", err)
	}
}

func FuzzContainerFiles(f *testing.F) {
	f.Add([]byte(`{"ID":"x","State":{"Pid":1},"Config":{"Env":["A=b"],"Labels":{"a":"b"}},"MountPoints":{"/d":{"RW":true}}}`), []byte(`{"Privileged":true,"PortBindings":{"80/tcp":[{"HostPort":"1"}]}}`))
	f.Add([]byte(`{"process":{"args":["x"],"capabilities":{"bounding":["CAP_SYS_ADMIN"]}},"linux":{"namespaces":[{"type":"pid"}],"seccomp":{}}}`), []byte(anyOf("t", "{}")))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		l := &containerLook{}
		c := &record.Container{}
		var cfg dockerConfig
		var host dockerHostConfig
		var spec ociSpec
		if decodeJSON(a, &cfg) == nil && decodeJSON(b, &host) == nil {
			l.fromDockerConfig(c, &cfg)
			fromDockerHost(c, &host)
		}
		if decodeJSON(a, &spec) == nil {
			l.fromOCI(c, &spec)
		}
		name, value := protoAny(b)
		if len(name)+len(value) > len(b) {
			t.Error("an Any larger than its bytes")
		}
		l.cri(c, value)
		binaryTime(b)
		overlayOptions(string(b))
		tomlString(a, "root")
		if text, err := json.Marshal(c); err != nil || bytes.ContainsAny(text, "\n\x1b") {
			t.Errorf("record %s: %v", text, err)
		}
		if body, err := readAnswer(bytes.NewReader(a)); err == nil && !json.Valid(body) {
			t.Error("an answer that is no JSON")
		}
	})
}

func FuzzContainerdMetadata(f *testing.F) {
	path := filepath.Join(f.TempDir(), "meta.db")
	boltFile(f, path, map[string]string{"v1/ns/containers/c/spec": anyOf("t", "{}"), "v1/ns/snapshots/o/k/name": "n", "v1/snapshots/n/id": "\x01"})
	seed, err := os.ReadFile(path)
	check(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, in []byte) {
		db, err := boltread.Open(bytes.NewReader(in))
		if err != nil {
			return
		}
		m := containerdMeta{digests: map[[2]string]string{}, snapshots: map[snapshotKey]string{}}
		if err := m.read(db.Root()); err != nil && !errors.Is(err, boltread.ErrFormat) {
			t.Error(err)
		}
		if err := readSnapshots(db.Root(), map[string]overlaySnapshot{}); err != nil && !errors.Is(err, boltread.ErrFormat) {
			t.Error(err)
		}
	})
}

func TestContainerFilesOfEveryKindAreTakenForTheirRule(t *testing.T) {
	id := "0123456789abcdef"
	want := map[string]string{
		"/var/lib/docker/containers/" + id + "/config.v2.json":                          "docker state",
		"/var/lib/docker/containers/" + id + "/" + id + "-json.log.1":                   "docker state",
		"/var/lib/docker/containers/" + id + "/local-logs/container.log":                "docker state",
		"/var/lib/docker/image/overlay2/imagedb/content/sha256/" + id:                   "docker state",
		"/var/lib/docker/image/overlay2/layerdb/mounts/" + id + "/mount-id":             "docker state",
		"/var/lib/docker/network/files/local-kv.db":                                     "docker state",
		"/var/lib/docker/buildkit/cache.db":                                             "docker state",
		"/var/lib/docker/overlay2/" + id + "/diff/etc/passwd":                           "",
		"/var/lib/docker/swarm/certificates/swarm-node.key":                             "",
		"/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db":                    "containerd state",
		"/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + id + "/config.json":   "containerd state",
		"/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256/" + id:       "",
		"/var/lib/containers/storage/overlay-containers/" + id + "/userdata/state.json": "podman and CRI-O state",
		"/var/lib/containers/storage/libpod/bolt_state.db":                              "podman and CRI-O state",
		"/var/lib/containers/storage/db.sql":                                            "podman and CRI-O state",
		"/home/u/.local/share/containers/storage/overlay-layers/layers.json":            "podman and CRI-O state",
		"/etc/containers/systemd/web.container":                                         "podman and CRI-O state",
		"/etc/containers/registries.conf.d/x.conf":                                      "podman and CRI-O state",
		"/var/log/pods/ns_pod_uid/web/0.log.20250101":                                   "logs of pods",
		"/var/log/kubernetes/audit/audit.log":                                           "logs of pods",
		"/var/lib/kubelet/pods/u/etc-hosts":                                             "kubelet state",
		"/var/lib/kubelet/checkpoints/checkpoint-x.tar":                                 "kubelet state",
		"/var/lib/kubelet/pki/kubelet-client-current.pem":                               "",
		"/etc/kubernetes/kubelet.conf":                                                  "",
		"/var/lib/cni/networks/cbr0/10.1.2.3":                                           "kubernetes configuration",
		"/var/lib/rancher/k3s/server/token":                                             "",
		"/var/lib/rancher/k3s/server/manifests/x.yaml":                                  "kubernetes configuration",
	}
	var specs []string
	for name := range want {
		specs = append(specs, strings.TrimPrefix(name, "/"))
	}
	h := plant(t, specs...)
	out := newMemoryTaker(h)
	run := pathRun{collector: linuxContainersName, host: h, out: out, homes: []string{"/home/u"}}
	check(t, takePaths(context.Background(), run, containerDefinitions(findEngines(context.Background(), h, out))))
	for name, rule := range want {
		if out.rules[name] != rule {
			t.Errorf("%s was taken for %q, want %q", name, out.rules[name], rule)
		}
	}
}
