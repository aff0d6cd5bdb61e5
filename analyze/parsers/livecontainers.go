package parsers

import (
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// stateContainers reads the containers that the files of engines tell of. One
// event for each time that an engine noted - action container-created,
// container-started, container-finished -, and one per container at the time of
// the look, action container-state, which has the attributes: image, state,
// mounts from the host, privileges. container_id is the engine's id, pid that of
// its first process.
var stateContainers = register(analyze.Parser{
	Name: "state_containers", Doc: "containers of every engine: when they were created, started and ended, and how they were during collection", Version: 1, Family: "state",
	Types: []string{"linux:container:state"}, Match: ofSet(record.Containers), Parse: diskSet("linux:container:state", containerRow),
})

func containerRow(s *stateSet, c *record.Container) error {
	if c.ID == "" && len(c.Upper) == 0 {
		return errNoSubject
	}
	about := func(ev *timeline.Event, verb string) {
		ev.ContainerID, ev.Unit = s.out.Str(c.ID), s.out.Str(c.Name)
		if c.PID > 0 {
			ev.PID = c.PID
		}
		name := ev.Unit
		if name == "" {
			name = ev.ContainerID
		}
		if name == "" {
			name = s.bytes(c.Upper)
		}
		ev.Message = s.out.Join(s.out.Str(c.Engine), " container ", name, " ", verb)
		if c.Image != "" {
			ev.Message = s.out.Join(ev.Message, ", image ", s.out.Str(c.Image))
		}
	}
	for _, t := range []struct {
		at                 int64
		action, desc, verb string
	}{
		{c.Created, "container-created", "Creation Time", "was created"},
		{c.Started, "container-started", "Start Time", "was started"},
		{c.Finished, "container-finished", "End Time", "ended"},
	} {
		if t.at > 0 {
			about(s.dated(t.at, t.action, "host", t.desc), t.verb)
			s.str("engine", c.Engine)
		}
	}
	ev := s.at(0, "container-state", "host")
	state := c.State
	if state == "" {
		state = "of unknown state"
	}
	about(ev, s.out.Join("is ", s.out.Str(state)))
	if c.Privileged {
		ev.Message = s.out.Join(ev.Message, ", privileged")
	}
	ev.Cmdline = s.out.Text(cutText([]byte(strings.Join(c.Args, " "))))
	ev.CWD = s.out.Str(c.CWD)
	s.str("engine", c.Engine)
	s.str("state", c.State)
	s.str("namespace", c.Namespace)
	s.str("image", c.Image)
	s.str("image_id", c.ImageID)
	s.str("image_digest", c.ImageDigest)
	if c.ExitCode != nil {
		s.out.AttrInt("exit_code", *c.ExitCode)
	}
	s.yes("privileged", c.Privileged)
	s.yes("host_pid", c.HostPID)
	s.yes("host_ipc", c.HostIPC)
	s.yes("host_network", c.HostNetwork)
	s.str("user", c.User)
	s.str("restart", c.Restart)
	for _, m := range c.Mounts[:min(len(c.Mounts), listMax)] {
		access := " ro"
		if m.Write {
			access = " rw"
		}
		s.str("mount", m.Source+":"+m.Target+access)
	}
	for _, list := range []struct {
		key    string
		values []string
	}{{"capability", c.Capabilities}, {"security", c.Security}, {"device", c.Devices}, {"port", c.Ports}, {"address", c.Addresses}, {"error", c.Errors}} {
		for _, v := range list.values[:min(len(list.values), listMax)] {
			s.str(list.key, v)
		}
	}
	s.text("upper", c.Upper)
	return nil
}

// liveForeignMounts reads the mounts of other mount namespaces than the
// collector's: of containers, of services with folders of their own, of who
// hides something. One event per mount at the time of the look: file is the
// mount point as a process of the namespace sees it, pid such a process.
var liveForeignMounts = register(analyze.Parser{
	Name: "live_foreign_mounts", Doc: "mounts of other mount namespaces during collection", Version: 1, Family: "live",
	Types: []string{"linux:foreign_mount:state"}, Match: ofSet(record.ForeignMounts), Parse: liveSet("linux:foreign_mount:state", foreignMountRow),
})

func foreignMountRow(s *stateSet, m *record.ForeignMount) error {
	if len(m.Point) == 0 || m.Mntns == "" {
		return errNoSubject
	}
	ev := s.at(0, "mount-state", "host")
	ev.File, ev.File2 = s.bytes(m.Point), s.bytes(m.Source)
	if m.PID > 0 {
		ev.PID = m.PID
	}
	ev.Message = s.out.Join(s.out.Str(m.FSType), " ", ev.File2, " mounted on ", ev.File, " in mount namespace ", s.out.Str(m.Mntns))
	s.str("mntns", m.Mntns)
	s.str("fstype", m.FSType)
	s.str("options", m.Options)
	s.text("super_options", m.SuperOpts)
	if string(m.Root) != "/" {
		s.text("root", m.Root)
	}
	s.str("dev", m.Dev)
	s.num("id", m.ID)
	s.num("parent", m.Parent)
	return nil
}

// liveBlockDevices reads the block devices and what made them. One event per
// device at the time of the look: unit is its name; of a loop device file is
// what backs it, attr deleted that it has no name any more.
var liveBlockDevices = register(analyze.Parser{
	Name: "live_block_devices", Doc: "disks, partitions, loop devices, device mapper and RAID during collection", Version: 1, Family: "live",
	Types: []string{"linux:block_device:state"}, Match: ofSet(record.BlockDevices), Parse: liveSet("linux:block_device:state", blockRow),
})

func blockRow(s *stateSet, d *record.BlockDevice) error {
	if d.Name == "" {
		return errNoSubject
	}
	ev := s.at(0, "block-device-state", "host")
	ev.Unit = s.out.Str(d.Name)
	ev.Message = s.out.Join("block device ", ev.Unit)
	switch {
	case d.Loop != nil:
		ev.File = s.bytes(d.Loop.File)
		ev.Message = s.out.Join(ev.Message, ", loop device of ", ev.File)
		if d.Loop.Deleted {
			ev.Message = s.out.Join(ev.Message, ", which was deleted")
		}
		s.yes("deleted", d.Loop.Deleted)
		s.num("offset", d.Loop.Offset)
		s.num("size_limit", d.Loop.SizeLimit)
	case d.DM != nil:
		ev.Message = s.out.Join(ev.Message, ", device mapper ", s.out.Str(d.DM.Kind), " ", s.bytes(d.DM.Name))
		s.text("dm_name", d.DM.Name)
		s.text("dm_uuid", d.DM.UUID)
		s.str("dm_kind", d.DM.Kind)
	case d.MD != nil:
		ev.Message = s.out.Join(ev.Message, ", ", s.out.Str(d.MD.Level), " ", s.out.Str(d.MD.State))
		s.str("md_level", d.MD.Level)
		s.num("md_degraded", d.MD.Degraded)
	}
	s.str("dev", d.Dev)
	s.str("disk", d.Disk)
	s.num("bytes", d.Bytes)
	s.num("start", d.Start)
	s.yes("read_only", d.ReadOnly)
	s.yes("removable", d.Removable)
	s.text("model", d.Model)
	s.str("slaves", strings.Join(d.Slaves[:min(len(d.Slaves), listMax)], ","))
	s.str("holders", strings.Join(d.Holders[:min(len(d.Holders), listMax)], ","))
	return nil
}
