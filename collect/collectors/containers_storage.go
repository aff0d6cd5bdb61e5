package collectors

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/boltread"
)

// containers/storage, which Podman, CRI-O and Buildah share, keeps per driver
// DRIVER-containers/containers.json, DRIVER-images/images.json and
// DRIVER-layers/layers.json, and the layers in DRIVER/ID.

// storageContainer is one entry of containers.json.
type storageContainer struct {
	ID       string   `json:"id"`
	Names    []string `json:"names"`
	Image    string   `json:"image"`
	Layer    string   `json:"layer"`
	Metadata string   `json:"metadata"`
	Created  string   `json:"created"`
}

// storageImage is one entry of images.json.
type storageImage struct {
	ID     string   `json:"id"`
	Digest string   `json:"digest"`
	Names  []string `json:"names"`
}

// podmanState is what we use of a container's state in Podman's database
// (libpod/container.go, ContainerState).
type podmanState struct {
	State        int64  `json:"state"`
	PID          int64  `json:"pid"`
	StartedTime  string `json:"startedTime"`
	FinishedTime string `json:"finishedTime"`
	ExitCode     int64  `json:"exitCode"`
	CgroupPath   string `json:"cgroupPath"`
}

// podmanStates are libpod/define.ContainerStatus, by their numbers.
var podmanStates = []string{"unknown", "configured", "created", "running", "stopped", "paused", "exited", "removing", "stopping"}

var storageDrivers = []string{"overlay", "vfs", "btrfs", "zfs", "overlay2", "aufs", "devicemapper"}

// storage reads the containers of every graph root.
func (l *containerLook) storage() {
	for _, dir := range l.found.storage {
		states := l.podmanStates(dir.graph + "/libpod/bolt_state.db")
		for _, driver := range storageDrivers {
			if l.ctx.Err() != nil {
				return
			}
			l.storageContainers(dir, driver, states)
		}
	}
}

func (l *containerLook) storageContainers(dir storageDir, driver string, states map[string]podmanState) {
	list := dir.graph + "/" + driver + "-containers"
	name := list + "/containers.json"
	var containers []storageContainer
	if !l.readJSON(name, &containers, nil) {
		return
	}
	var images []storageImage
	l.readJSON(dir.graph+"/"+driver+"-images/images.json", &images, nil)
	byID := map[string]storageImage{}
	for _, image := range images {
		byID[image.ID] = image
	}
	for _, s := range containers {
		if l.ctx.Err() != nil {
			return
		}
		c := &record.Container{
			Engine: "containers-storage", ID: s.ID, ImageID: s.Image, Created: rfc3339(s.Created),
			Driver: driver, Sources: []record.Bytes{record.Bytes(name)},
		}
		if len(s.Names) > 0 {
			c.Name = s.Names[0]
		}
		image := byID[s.Image]
		if c.ImageDigest = image.Digest; len(image.Names) > 0 {
			c.Image = image.Names[0]
		}
		l.storageOwner(c, s.Metadata)
		l.userdata(c, dir, driver)
		if st, ok := states[s.ID]; ok {
			c.Engine = "podman"
			fromPodman(c, st, dir.graph)
		}
		if driver == "overlay" && plainName(s.Layer) {
			layer := dir.graph + "/overlay/" + s.Layer
			c.Upper, c.Work, c.Rootfs = record.Bytes(layer+"/diff"), record.Bytes(layer+"/work"), record.Bytes(layer+"/merged")
			l.linkedLowers(c, dir.graph+"/overlay", layer)
			if l.text(dir.graph+"/overlay/.has-mount-program") == "true" {
				c.Driver = "fuse-overlayfs"
			}
		}
		l.add(c)
	}
}

// storageOwner tells the engine by the metadata that it gave its container.
func (l *containerLook) storageOwner(c *record.Container, text string) {
	var m struct {
		ImageName string `json:"image-name"`
		Name      string `json:"name"`
		PodName   string `json:"pod-name"`
		PodID     string `json:"pod-id"`
	}
	if text == "" || json.Unmarshal([]byte(text), &m) != nil {
		return
	}
	if m.ImageName != "" && c.Image == "" {
		c.Image = m.ImageName
	}
	switch {
	case m.PodID != "" || m.PodName != "":
		c.Engine = "cri-o"
	case m.Name != "":
		c.Engine = "podman"
	}
}

// userdata reads what the engine keeps beside a container: its OCI
// configuration, CRI-O's state, the number of its process.
func (l *containerLook) userdata(c *record.Container, dir storageDir, driver string) {
	if !plainName(c.ID) {
		return
	}
	below := "/" + driver + "-containers/" + c.ID + "/userdata"
	for _, base := range []string{dir.graph, dir.run} {
		if base == "" {
			continue
		}
		var spec ociSpec
		if l.readJSON(base+below+"/config.json", &spec, c) {
			if spec.Annotations["io.container.manager"] == "libpod" {
				c.Engine = "podman"
			}
			if name := spec.Annotations["io.kubernetes.cri-o.Name"]; name != "" {
				c.Engine = "cri-o"
			}
			if c.Labels == nil {
				c.Labels = spec.Annotations
			}
			l.fromOCI(c, &spec)
		}
		var st struct {
			Status                     string
			Pid                        int64
			Created, Started, Finished string
			ExitCode                   int64
		}
		if l.readJSON(base+below+"/state.json", &st, c) {
			c.State, c.PID, c.Started, c.Finished = st.Status, st.Pid, rfc3339(st.Started), rfc3339(st.Finished)
			if c.Finished != 0 {
				c.ExitCode = &st.ExitCode
			}
		}
		if pid, err := strconv.ParseInt(l.text(base+below+"/pidfile"), 10, 64); err == nil && c.PID == 0 {
			c.PID = pid
			c.Sources = append(c.Sources, record.Bytes(base+below+"/pidfile"))
		}
	}
}

func fromPodman(c *record.Container, st podmanState, graph string) {
	c.Sources = append(c.Sources, record.Bytes(graph+"/libpod/bolt_state.db"))
	if st.State >= 0 && st.State < int64(len(podmanStates)) {
		c.State = podmanStates[st.State]
	}
	if st.PID != 0 {
		c.PID = st.PID
	}
	c.Started, c.Finished = rfc3339(st.StartedTime), rfc3339(st.FinishedTime)
	if c.Finished != 0 && c.State != "running" {
		c.ExitCode = &st.ExitCode
	}
	if st.CgroupPath != "" {
		c.Cgroup = record.Bytes(st.CgroupPath)
	}
}

// podmanStates reads ctr/ID/state of Podman's bbolt database
// (libpod/boltdb_state.go), JSON. Newer Podmans keep it in SQLite, db.sql,
// which is taken whole.
func (l *containerLook) podmanStates(name string) map[string]podmanState {
	if _, err := l.host.Stat(name); err != nil {
		return nil
	}
	states := map[string]podmanState{}
	l.readBolt(name, func(root *boltread.Bucket) error {
		clear(states)
		b, err := root.Bucket("ctr")
		if err != nil || b == nil {
			return err
		}
		return b.Each(func(e boltread.Entry) error {
			if e.Bucket == nil || len(states) >= maxContainers {
				return nil
			}
			text, ok, err := e.Bucket.Get("state")
			if err != nil || !ok {
				return err
			}
			var st podmanState
			if err := decodeJSON(text.Value, &st); err != nil {
				l.out.Problem(problemAt(evidence.Corrupt, name, "state of container "+strconv.Quote(string(e.Key))+": "+err.Error()))
				return nil
			}
			states[string(e.Key)] = st
			return nil
		})
	})
	return states
}

// unowned adds the overlays that are mounted and belong to no container known:
// an engine of another kind, or somebody without one.
func (l *containerLook) unowned() {
	if !l.host.Live {
		return // what is mounted is mounted by somebody else
	}
	mounts, err := l.host.Mounts()
	if err != nil {
		return // the mounts collector says so
	}
	known := map[string]bool{}
	for _, c := range l.list {
		known[string(c.Upper)], known[string(c.Rootfs)] = true, true
	}
	for _, m := range mounts {
		if m.FSType != "overlay" || m.Point == "/" {
			continue
		}
		lower, upper, work := overlayOptions(m.SuperOpts)
		if upper == "" || known[upper] || known[m.Point] {
			continue
		}
		known[upper] = true
		c := &record.Container{
			Engine: "overlay", ID: "mount-" + strconv.FormatInt(m.ID, 10), Driver: "overlay", State: "mounted",
			Upper: record.Bytes(upper), Work: record.Bytes(work), Rootfs: record.Bytes(m.Point), Sources: []record.Bytes{record.Bytes("/proc/self/mountinfo")},
		}
		for _, dir := range lower {
			c.Lower = append(c.Lower, record.Bytes(dir))
		}
		if slices.ContainsFunc(append(lower, upper), func(dir string) bool { return !strings.HasPrefix(dir, "/") }) {
			c.Errors = append(c.Errors, fmt.Sprintf("layers %q and %q are below a folder that the mount does not name", upper, lower))
			c.Upper, c.Work, c.Lower = nil, nil, nil
		}
		l.add(c)
	}
}

// overlayOptions reads lowerdir, upperdir and workdir of an overlay's super
// options. The kernel escapes "," and ":" in names with a backslash
// (fs/overlayfs/params.c).
func overlayOptions(options string) (lower []string, upper, work string) {
	for _, option := range splitEscaped(options, ',') {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "upperdir":
			upper = unescape(value)
		case "workdir":
			work = unescape(value)
		case "lowerdir":
			for _, dir := range splitEscaped(value, ':') {
				if dir != "" { // "::" marks layers of data only
					lower = append(lower, unescape(dir))
				}
			}
		case "lowerdir+":
			lower = append(lower, unescape(value))
		}
	}
	return lower, upper, work
}

// splitEscaped splits at a byte that no backslash stands before.
func splitEscaped(s string, sep byte) []string {
	var out []string
	from := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			out = append(out, s[from:i])
			from = i + 1
		}
	}
	return append(out, s[from:])
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out = append(out, s[i])
	}
	return string(out)
}
