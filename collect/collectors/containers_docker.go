package collectors

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// dockerConfig is what we use of config.v2.json (moby: container.Container).
type dockerConfig struct {
	ID      string
	Created string
	Name    string
	Path    string
	Args    []string
	Image   string // id
	Driver  string
	LogPath string
	State   struct {
		Running, Paused, Restarting, Dead, OOMKilled, RemovalInProgress bool

		Pid                   int64
		ExitCode              int64
		StartedAt, FinishedAt string
	}
	Config struct {
		User, WorkingDir string
		Env              []string
		Image            string
		Labels           map[string]string
	}
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress, GlobalIPv6Address, MacAddress string }
		Ports    map[string][]dockerPort
	}
	MountPoints map[string]struct {
		Source, Destination, Name, Type string

		RW bool
	}
	AppArmorProfile, SeccompProfile, ProcessLabel string
}

type dockerPort struct{ HostIP, HostPort string }

// dockerHostConfig is what we use of hostconfig.json (moby: HostConfig).
type dockerHostConfig struct {
	Privileged                                bool
	NetworkMode, PidMode, IpcMode, UsernsMode string //nolint:revive // the JSON keys
	CapAdd, CapDrop, SecurityOpt              []string
	PortBindings                              map[string][]dockerPort
	RestartPolicy                             struct{ Name string }
	Devices                                   []struct{ PathOnHost, PathInContainer, CgroupPermissions string }
}

// docker reads the containers of every data-root.
func (l *containerLook) docker() {
	for _, root := range l.found.docker {
		digests := map[string]map[string]string{}
		for _, id := range l.names(root + "/containers") {
			if l.ctx.Err() != nil {
				return
			}
			l.dockerContainer(root, id, digests)
		}
	}
}

func (l *containerLook) dockerContainer(root, id string, digests map[string]map[string]string) {
	dir := root + "/containers/" + id
	c := &record.Container{Engine: "docker", ID: id, Sources: []record.Bytes{}}
	var cfg dockerConfig
	var host dockerHostConfig
	had := l.readJSON(dir+"/config.v2.json", &cfg, c)
	had = l.readJSON(dir+"/hostconfig.json", &host, c) || had
	if !had && len(c.Errors) == 0 {
		return // no container's folder
	}
	if cfg.ID != "" && cfg.ID != id {
		c.Errors = append(c.Errors, fmt.Sprintf("config.v2.json says that it is of %q", cfg.ID))
	}
	l.fromDockerConfig(c, &cfg)
	fromDockerHost(c, &host)
	if plainName(cfg.Driver) {
		if digests[cfg.Driver] == nil {
			digests[cfg.Driver] = l.dockerDigests(root + "/image/" + cfg.Driver + "/repositories.json")
		}
		c.ImageDigest = digests[cfg.Driver][cfg.Image]
		l.dockerLayers(c, root, id)
	}
	l.add(c)
}

func (l *containerLook) fromDockerConfig(c *record.Container, cfg *dockerConfig) {
	c.Name = strings.TrimPrefix(cfg.Name, "/")
	c.Image, c.ImageID, c.Driver, c.Log = cfg.Config.Image, cfg.Image, cfg.Driver, cfg.LogPath
	c.Created, c.Started, c.Finished = rfc3339(cfg.Created), rfc3339(cfg.State.StartedAt), rfc3339(cfg.State.FinishedAt)
	c.PID, c.CWD, c.User, c.Labels = cfg.State.Pid, cfg.Config.WorkingDir, cfg.Config.User, cfg.Config.Labels
	if cfg.Path != "" {
		c.Args = append([]string{cfg.Path}, cfg.Args...)
	}
	c.Env = l.environment(cfg.Config.Env)
	switch st := cfg.State; {
	case st.Paused:
		c.State = "paused"
	case st.Restarting:
		c.State = "restarting"
	case st.Running:
		c.State = "running"
	case st.RemovalInProgress:
		c.State = "removing"
	case st.Dead:
		c.State = "dead"
	case c.Started == 0:
		c.State = "created"
	default:
		c.State = "exited"
	}
	if c.Finished != 0 && c.State != "running" {
		c.ExitCode = &cfg.State.ExitCode
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.NetworkSettings.Networks)) {
		n := cfg.NetworkSettings.Networks[name]
		for _, address := range []string{n.IPAddress, n.GlobalIPv6Address, n.MacAddress} {
			if address != "" {
				c.Addresses = append(c.Addresses, name+" "+address)
			}
		}
	}
	c.Ports = dockerPorts(cfg.NetworkSettings.Ports)
	for _, target := range slices.Sorted(maps.Keys(cfg.MountPoints)) {
		m := cfg.MountPoints[target]
		c.Mounts = append(c.Mounts, record.ContainerMount{Type: m.Type, Source: m.Source, Target: m.Destination, Name: m.Name, Write: m.RW})
	}
	for _, s := range [][2]string{{"apparmor", cfg.AppArmorProfile}, {"seccomp", cfg.SeccompProfile}, {"selinux", cfg.ProcessLabel}} {
		if s[1] != "" {
			c.Security = append(c.Security, s[0]+"="+s[1])
		}
	}
}

func dockerPorts(ports map[string][]dockerPort) []string {
	var out []string
	for _, inside := range slices.Sorted(maps.Keys(ports)) {
		for _, p := range ports[inside] {
			out = append(out, p.HostIP+":"+p.HostPort+"->"+inside)
		}
	}
	return out
}

func fromDockerHost(c *record.Container, h *dockerHostConfig) {
	c.Privileged, c.NetworkMode, c.Restart = h.Privileged, h.NetworkMode, h.RestartPolicy.Name
	c.HostNetwork, c.HostPID, c.HostIPC = h.NetworkMode == "host", h.PidMode == "host", h.IpcMode == "host"
	for _, name := range h.CapAdd {
		c.Capabilities = append(c.Capabilities, "+"+capability(name))
	}
	for _, name := range h.CapDrop {
		c.Capabilities = append(c.Capabilities, "-"+capability(name))
	}
	c.Security = append(c.Security, h.SecurityOpt...)
	if h.UsernsMode != "" {
		c.Security = append(c.Security, "userns="+h.UsernsMode)
	}
	for _, d := range h.Devices {
		c.Devices = append(c.Devices, d.PathOnHost+":"+d.PathInContainer+":"+d.CgroupPermissions)
	}
	if len(c.Ports) == 0 { // of one that is not running
		c.Ports = dockerPorts(h.PortBindings)
	}
}

// capability is the full name of what Docker lets people write short.
func capability(name string) string {
	if name = strings.ToUpper(name); name == "ALL" || strings.HasPrefix(name, "CAP_") {
		return name
	}
	return "CAP_" + name
}

// dockerDigests reads which image id has which repository digest.
func (l *containerLook) dockerDigests(name string) map[string]string {
	var file struct {
		Repositories map[string]map[string]string
	}
	l.readJSON(name, &file, nil)
	out := map[string]string{}
	for _, refs := range file.Repositories {
		for ref, id := range refs {
			if _, digest, ok := strings.Cut(ref, "@"); ok && (out[id] == "" || digest < out[id]) {
				out[id] = digest
			}
		}
	}
	return out
}

// dockerLayers finds the folders that a container's file system is made of.
func (l *containerLook) dockerLayers(c *record.Container, root, id string) {
	mount := l.text(root + "/image/" + c.Driver + "/layerdb/mounts/" + id + "/mount-id")
	if !plainName(mount) || c.Driver != "overlay2" && c.Driver != "fuse-overlayfs" {
		return
	}
	dir := root + "/" + c.Driver + "/" + mount
	c.Upper, c.Work, c.Rootfs = record.Bytes(dir+"/diff"), record.Bytes(dir+"/work"), record.Bytes(dir+"/merged")
	l.linkedLowers(c, root+"/"+c.Driver, dir)
}

// linkedLowers reads the file lower of a layer, "l/SHORT:l/SHORT", each a link
// to ../LAYER/diff. Docker and containers/storage share it.
func (l *containerLook) linkedLowers(c *record.Container, layers, dir string) {
	text := l.text(dir + "/lower")
	if text == "" {
		return
	}
	for short := range strings.SplitSeq(text, ":") {
		target, err := l.host.Readlink(layers + "/" + path.Clean("/"+short))
		if err != nil {
			c.Errors = append(c.Errors, fmt.Sprintf("layer %q: %s", short, withoutPath(err)))
			continue
		}
		lower := path.Clean(layers + "/l/" + target)
		if strings.HasPrefix(target, "/") || !strings.HasPrefix(lower, layers+"/") {
			c.Errors = append(c.Errors, fmt.Sprintf("layer %q leads out of the engine's folder", short))
			continue
		}
		c.Lower = append(c.Lower, record.Bytes(lower))
	}
}
