package collectors

import (
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// ociSpec is what we use of an OCI runtime configuration (opencontainers
// runtime-spec, config.json).
type ociSpec struct {
	Process struct {
		Args []string
		Env  []string
		CWD  string
		User struct {
			UID, GID int64
			Username string
		}
		Capabilities    struct{ Bounding []string }
		ApparmorProfile string
		SelinuxLabel    string
	}
	Root   struct{ Path string }
	Mounts []struct {
		Destination, Type, Source string

		Options []string
	}
	Annotations map[string]string
	Linux       struct {
		CgroupsPath string
		Namespaces  []struct{ Type, Path string }
		Devices     []struct{ Path string }
		MaskedPaths []string
		Seccomp     *struct{}
		UIDMappings []struct{}
	}
}

// allCapabilities stand for the whole set: with these three a container is as
// good as the host's root.
var allCapabilities = []string{"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO"}

// fromOCI adds what a runtime configuration says to what the engine's files
// have said.
func (l *containerLook) fromOCI(c *record.Container, s *ociSpec) {
	if len(s.Process.Args) == 0 && s.Root.Path == "" && len(s.Mounts) == 0 {
		return
	}
	if c.Args == nil {
		c.Args = s.Process.Args
	}
	if c.Env == nil {
		c.Env = l.environment(s.Process.Env)
	}
	if c.CWD == "" {
		c.CWD = s.Process.CWD
	}
	if c.User == "" {
		c.User = s.Process.User.Username
	}
	if c.Rootfs == nil && strings.HasPrefix(s.Root.Path, "/") {
		c.Rootfs = record.Bytes(s.Root.Path)
	}
	if c.Cgroup == nil {
		c.Cgroup = record.Bytes(s.Linux.CgroupsPath)
	}
	bounding := s.Process.Capabilities.Bounding
	if c.Capabilities == nil {
		c.Capabilities = bounding
	}
	c.Privileged = c.Privileged || s.Annotations["io.podman.annotations.privileged"] == "TRUE" ||
		s.Annotations["io.kubernetes.cri-o.PrivilegedRuntime"] == "true" ||
		len(s.Linux.MaskedPaths) == 0 && !slices.ContainsFunc(allCapabilities, func(name string) bool { return !slices.Contains(bounding, name) })
	own := map[string]bool{}
	for _, ns := range s.Linux.Namespaces {
		own[ns.Type] = true
	}
	c.HostPID, c.HostIPC, c.HostNetwork = c.HostPID || !own["pid"], c.HostIPC || !own["ipc"], c.HostNetwork || !own["network"]
	if c.Mounts == nil {
		for _, m := range s.Mounts {
			if m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind") {
				c.Mounts = append(c.Mounts, record.ContainerMount{Type: "bind", Source: m.Source, Target: m.Destination, Write: !slices.Contains(m.Options, "ro")})
			}
		}
	}
	if c.Devices == nil {
		for _, d := range s.Linux.Devices {
			c.Devices = append(c.Devices, d.Path)
		}
	}
	if s.Linux.Seccomp == nil && !slices.Contains(c.Security, "seccomp=unconfined") {
		c.Security = append(c.Security, "seccomp=unconfined")
	}
	if p := s.Process.ApparmorProfile; p != "" && !slices.Contains(c.Security, "apparmor="+p) {
		c.Security = append(c.Security, "apparmor="+p)
	}
	if p := s.Process.SelinuxLabel; p != "" && !slices.Contains(c.Security, "selinux="+p) {
		c.Security = append(c.Security, "selinux="+p)
	}
	if own["user"] {
		c.Security = append(c.Security, "userns=own")
	}
}
