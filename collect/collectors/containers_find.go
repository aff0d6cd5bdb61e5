package collectors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
)

// engines are the folders in which container engines keep their state.
type engines struct {
	docker     []string        // data-root
	containerd []containerdDir // root with its state
	storage    []storageDir    // graphroot of containers/storage with its runroot
	kubelet    []string        // root-dir
	sockets    []engineSocket
	homes      []string
	daemons    map[string]bool // programs that run: dockerd, podman
}

type containerdDir struct{ root, state string }

type storageDir struct{ graph, run string }

type engineSocket struct {
	path, api string
	served    bool // an engine is running that would serve it
}

// maxEngineDirs bounds each list: configuration and command lines of a host
// may name anything.
const maxEngineDirs = 64

// defaultEngines are the places where engines keep their state unless told.
func defaultEngines() engines {
	return engines{
		docker: []string{"/var/lib/docker", "/var/snap/docker/common/var-lib-docker"},
		containerd: []containerdDir{
			{"/var/lib/containerd", "/run/containerd"},
			{"/var/lib/docker/containerd/daemon", "/run/docker/containerd/daemon"},
			{"/var/lib/rancher/k3s/agent/containerd", "/run/k3s/containerd"},
			{"/var/lib/rancher/rke2/agent/containerd", "/run/k3s/containerd"},
			{"/var/lib/k0s/containerd", "/run/k0s/containerd"},
			{"/var/snap/microk8s/common/var/lib/containerd", "/var/snap/microk8s/common/run/containerd"},
		},
		storage: []storageDir{{"/var/lib/containers/storage", "/run/containers/storage"}},
		kubelet: []string{"/var/lib/kubelet", "/var/lib/k0s/kubelet", "/var/snap/microk8s/common/var/lib/kubelet"},
		sockets: []engineSocket{
			{path: "/run/docker.sock", api: "docker"},
			{path: "/run/podman/podman.sock", api: "docker"},
			{path: "/run/containerd/containerd.sock", api: "cri"},
			{path: "/run/crio/crio.sock", api: "cri"},
			{path: "/run/k3s/containerd/containerd.sock", api: "cri"},
			{path: "/run/k0s/containerd.sock", api: "cri"},
		},
	}
}

// findEngines returns the places where engines keep their state by default, by
// their configuration, and by the command lines of those that run.
func findEngines(ctx context.Context, h *collect.Host, out collect.Taker) engines {
	e := defaultEngines()
	if out != nil { // who asks sockets only needs none
		e.homes = homesOf(h, out)
	}
	for _, home := range e.homes {
		if st, err := h.Stat(home + "/.local/share/containers/storage"); err == nil {
			e.addStorage(home+"/.local/share/containers/storage", fmt.Sprintf("/run/user/%d/containers", st.UID))
		}
		if _, err := h.Stat(home + "/.local/share/docker"); err == nil {
			e.docker = add(e.docker, home+"/.local/share/docker")
		}
	}
	users, _ := h.ReadDir("/run/user") // none has logged in
	for _, u := range users {
		for _, name := range []string{"docker.sock", "podman/podman.sock"} {
			e.sockets = add(e.sockets, engineSocket{path: "/run/user/" + u.Name + "/" + name, api: "docker"})
		}
	}
	e.configured(h)
	if h.Live {
		e.running(ctx, h)
	}
	for i, s := range e.sockets {
		daemon := "dockerd"
		if strings.Contains(s.path, "podman") {
			daemon = "podman"
		}
		e.sockets[i].served = e.daemons[daemon]
	}
	return e
}

// add appends a place once.
func add[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) || len(list) >= maxEngineDirs {
		return list
	}
	return append(list, v)
}

// folder cleans a path that configuration names; ok says that it may be one.
func folder(s string) (string, bool) {
	if !strings.HasPrefix(s, "/") || strings.IndexByte(s, 0) >= 0 || len(s) > 4095 {
		return "", false
	}
	s = path.Clean(s)
	return s, s != "/"
}

func (e *engines) addDocker(dir string) {
	if dir, ok := folder(dir); ok {
		e.docker = add(e.docker, dir)
		e.addContainerd(dir+"/containerd/daemon", "")
	}
}

// configured reads the engines' own configuration.
func (e *engines) configured(h *collect.Host) {
	for _, name := range []string{"/etc/docker/daemon.json", "/var/snap/docker/current/config/daemon.json"} {
		text, err := h.ReadFile(name, 1<<20)
		if err != nil {
			continue // the files are taken elsewhere, which records why not
		}
		var c struct {
			DataRoot string   `json:"data-root"`
			Graph    string   `json:"graph"`
			ExecRoot string   `json:"exec-root"`
			Hosts    []string `json:"hosts"`
		}
		_ = json.Unmarshal(text, &c) // what is readable of it
		e.addDocker(c.DataRoot)
		e.addDocker(c.Graph)
		for _, host := range c.Hosts {
			e.addSocket(host, "docker")
		}
	}
	for _, name := range []string{"/etc/containerd/config.toml", "/etc/k0s/containerd.toml"} {
		text, _ := h.ReadFile(name, 1<<20) //nolint:errcheck // as above
		e.addContainerd(tomlString(text, "root"), tomlString(text, "state"))
	}
	for _, name := range append([]string{"/etc/containers/storage.conf", "/usr/share/containers/storage.conf"}, inHomes(e.homes, "/.config/containers/storage.conf")...) {
		text, _ := h.ReadFile(name, 1<<20) //nolint:errcheck // as above
		e.addStorage(tomlString(text, "graphroot"), tomlString(text, "runroot"))
	}
}

func inHomes(homes []string, below string) []string {
	out := make([]string, len(homes))
	for i, home := range homes {
		out[i] = home + below
	}
	return out
}

func (e *engines) addSocket(address, api string) {
	if dir, ok := folder(strings.TrimPrefix(address, "unix://")); ok {
		e.sockets = add(e.sockets, engineSocket{path: dir, api: api})
	}
}

// addContainerd adds a root, or says of a known one where its state is.
func (e *engines) addContainerd(root, state string) {
	root, ok := folder(root)
	if !ok {
		return
	}
	state, _ = folder(state)
	i := slices.IndexFunc(e.containerd, func(d containerdDir) bool { return d.root == root })
	switch {
	case i < 0:
		e.containerd = add(e.containerd, containerdDir{root, state})
	case state != "":
		e.containerd[i].state = state
	}
}

// addStorage is addContainerd for containers/storage.
func (e *engines) addStorage(graph, run string) {
	graph, ok := folder(graph)
	if !ok {
		return
	}
	run, _ = folder(run)
	i := slices.IndexFunc(e.storage, func(d storageDir) bool { return d.graph == graph })
	switch {
	case i < 0:
		e.storage = add(e.storage, storageDir{graph, run})
	case run != "":
		e.storage[i].run = run
	}
}

// tomlString returns the first value of a key that is a plain string on one
// line, which is how these keys are written.
func tomlString(text []byte, key string) string {
	for line := range bytes.Lines(text) {
		name, value, ok := strings.Cut(string(line), "=")
		if !ok || strings.TrimSpace(name) != key {
			continue
		}
		value = strings.TrimSpace(value)
		if len(value) < 2 || value[0] != '"' && value[0] != '\'' {
			continue
		}
		if end := strings.IndexByte(value[1:], value[0]); end >= 0 {
			return value[1 : 1+end]
		}
	}
	return ""
}

// running reads the command lines of the engines that run.
func (e *engines) running(ctx context.Context, h *collect.Host) {
	entries, _ := h.ReadDir("/proc") // the processes collector says why not
	for _, entry := range entries {
		if ctx.Err() != nil {
			return
		}
		if _, err := strconv.ParseUint(entry.Name, 10, 32); err != nil {
			continue
		}
		text, _ := h.ReadFile("/proc/"+entry.Name+"/cmdline", 64<<10) //nolint:errcheck // ended meanwhile
		if args := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"); args[0] != "" {
			e.command(args)
		}
	}
}

// command takes from a command line where its engine keeps what.
func (e *engines) command(args []string) {
	if e.daemons == nil {
		e.daemons = map[string]bool{}
	}
	switch path.Base(args[0]) {
	case "dockerd":
		e.daemons["dockerd"] = true
		e.addDocker(flagValue(args, "--data-root", "-g", "--graph"))
		e.addSocket(flagValue(args, "-H", "--host"), "docker")
		if state, ok := folder(flagValue(args, "--exec-root")); ok {
			root := "/var/lib/docker"
			if other, ok := folder(flagValue(args, "--data-root", "-g", "--graph")); ok {
				root = other
			}
			e.addContainerd(root+"/containerd/daemon", state+"/containerd/daemon")
		}
	case "containerd":
		e.addContainerd(flagValue(args, "--root"), flagValue(args, "--state"))
		e.addSocket(flagValue(args, "-a", "--address"), "cri")
	case "crio":
		e.addStorage(flagValue(args, "-r", "--root"), flagValue(args, "--runroot"))
	case "podman":
		e.daemons["podman"] = e.daemons["podman"] || slices.Contains(args, "service")
		e.addStorage(flagValue(args, "--root"), flagValue(args, "--runroot"))
	case "kubelet":
		if dir, ok := folder(flagValue(args, "--root-dir")); ok {
			e.kubelet = add(e.kubelet, dir)
		}
	case "conmon":
		// Podman and CRI-O keep one beside each container.
		graph, _, ok := strings.Cut(flagValue(args, "-b", "--bundle"), "/overlay-containers/")
		run, _, ok2 := strings.Cut(flagValue(args, "-p", "--container-pidfile"), "/overlay-containers/")
		if ok && ok2 {
			e.addStorage(graph, run)
		}
	}
}

// flagValue returns the value of the first of some flags: --flag value or
// --flag=value.
func flagValue(args []string, names ...string) string {
	for i, arg := range args {
		for _, name := range names {
			if arg == name && i+1 < len(args) {
				return args[i+1]
			}
			if value, ok := strings.CutPrefix(arg, name+"="); ok {
				return value
			}
		}
	}
	return ""
}
