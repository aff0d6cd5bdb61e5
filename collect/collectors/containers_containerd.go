package collectors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/boltread"
)

// containerd's metadata (metadata/buckets.go) is a bbolt database:
//
//	v1/NAMESPACE/containers/ID/{image,createdat,updatedat,spec,snapshotKey,snapshotter,labels/,runtime/,extensions/}
//	v1/NAMESPACE/images/NAME/target/digest
//	v1/NAMESPACE/snapshots/SNAPSHOTTER/KEY/{name,parent}
//
// spec is a protobuf Any around the OCI configuration as JSON, times are Go's
// time.MarshalBinary. name is the key in the snapshotter's own database
// (snapshots/storage/bolt.go): v1/snapshots/NAME/{id,parent}, id a varint and
// the folder's name.

// snapshotKey names a snapshot as a container does.
type snapshotKey struct{ namespace, snapshotter, key string }

// containerdMeta is what one pass over meta.db found.
type containerdMeta struct {
	containers []containerdContainer
	specs      int                  // bytes of specs and labels that are held
	digests    map[[2]string]string // namespace and image → digest
	snapshots  map[snapshotKey]string
}

type containerdContainer struct {
	record      *record.Container
	spec        []byte
	key         snapshotKey
	criMetadata []byte
}

// maxSnapshots bounds the snapshots that are held.
const maxSnapshots = 100000

// readBolt reads a database that may be written to meanwhile: again when it
// was, three times at most.
func (l *containerLook) readBolt(name string, read func(*boltread.Bucket) error) bool {
	f, err := l.host.Open(name)
	if err != nil {
		l.lost(name, err)
		return false
	}
	defer f.Close()
	for range 3 {
		var db *boltread.DB
		if db, err = boltread.Open(patientReader{l.host, f}); err != nil {
			break
		}
		if err = read(db.Root()); err == nil || errors.Is(err, boltread.ErrFormat) {
			// What does not fit together may have been written meanwhile.
			if changed := db.Changed(); changed != nil || err == nil {
				err = changed
			}
		}
		if !errors.Is(err, boltread.ErrChanged) {
			break
		}
	}
	if err == nil {
		return true
	}
	p := evidence.Problem{Code: evidence.Corrupt, Path: name, Detail: err.Error(), Ref: evidence.Ref{Offset: -1, Length: -1}}
	if errors.Is(err, boltread.ErrChanged) {
		p.Code = evidence.Changed
	} else if !errors.Is(err, boltread.ErrFormat) {
		p.Code = codeOf(err)
	}
	l.out.Problem(p)
	return false
}

// patientReader reads a file whose file system may hang.
type patientReader struct {
	host *collect.Host
	file interface {
		ReadAt(p []byte, off int64) (int, error)
	}
}

func (r patientReader) ReadAt(p []byte, off int64) (int, error) {
	b, err := collect.Patiently(r.host, hashStall, nil, func() ([]byte, error) {
		b := make([]byte, len(p))
		n, err := r.file.ReadAt(b, off)
		return b[:n], err
	})
	return copy(p, b), err
}

// containerd reads every containerd's database.
func (l *containerLook) containerd() {
	for _, dir := range l.found.containerd {
		if l.ctx.Err() != nil {
			return
		}
		name := dir.root + "/io.containerd.metadata.v1.bolt/meta.db"
		var m containerdMeta
		ok := l.readBolt(name, func(root *boltread.Bucket) error {
			m = containerdMeta{digests: map[[2]string]string{}, snapshots: map[snapshotKey]string{}}
			return m.read(root)
		})
		if !ok && len(m.containers) == 0 {
			continue
		}
		layers := map[string]map[string]overlaySnapshot{}
		for _, c := range m.containers {
			if l.ctx.Err() != nil {
				return
			}
			c.record.Sources = append(c.record.Sources, record.Bytes(name))
			l.containerdContainer(dir, &m, c, layers)
		}
	}
}

func (m *containerdMeta) read(root *boltread.Bucket) error {
	v1, err := root.Bucket("v1")
	if err != nil || v1 == nil {
		return err
	}
	return v1.Each(func(ns boltread.Entry) error {
		if ns.Bucket == nil {
			return nil // the version
		}
		return ns.Bucket.Each(func(kind boltread.Entry) error {
			if kind.Bucket == nil {
				return nil
			}
			return kind.Bucket.Each(func(e boltread.Entry) error {
				switch {
				case e.Bucket == nil:
					return nil
				case string(kind.Key) == "containers":
					return m.container(string(ns.Key), string(e.Key), e.Bucket)
				case string(kind.Key) == "images":
					return m.image(string(ns.Key), string(e.Key), e.Bucket)
				case string(kind.Key) == "snapshots":
					return m.snapshot(string(ns.Key), string(e.Key), e.Bucket)
				}
				return nil
			})
		})
	})
}

func (m *containerdMeta) container(namespace, id string, b *boltread.Bucket) error {
	if len(m.containers) >= maxContainers {
		return nil
	}
	c := containerdContainer{
		record: &record.Container{Engine: "containerd", Namespace: namespace, ID: id},
		key:    snapshotKey{namespace: namespace},
	}
	err := b.Each(func(e boltread.Entry) error {
		switch string(e.Key) {
		case "image":
			c.record.Image = string(e.Value)
		case "createdat":
			c.record.Created = binaryTime(e.Value)
		case "spec":
			if m.specs += len(e.Value); m.specs > maxHeld || len(e.Value) > maxContainerJSON {
				c.record.Errors = append(c.record.Errors, "spec: left out, there is too much of them")
				return nil
			}
			_, c.spec = protoAny(e.Value)
		case "snapshotKey":
			c.key.key = string(e.Value)
		case "snapshotter":
			c.key.snapshotter = string(e.Value)
		case "labels":
			if e.Bucket == nil {
				return nil
			}
			c.record.Labels = map[string]string{}
			return e.Bucket.Each(func(label boltread.Entry) error {
				if m.specs += len(label.Key) + len(label.Value); m.specs <= maxHeld {
					c.record.Labels[string(label.Key)] = string(label.Value)
				}
				return nil
			})
		case "extensions":
			if e.Bucket == nil {
				return nil
			}
			return e.Bucket.Each(func(x boltread.Entry) error {
				if m.specs += len(x.Value); m.specs > maxHeld {
					return nil
				}
				if string(x.Key) == "io.cri-containerd.container.metadata" || string(x.Key) == "io.cri-containerd.sandbox.metadata" {
					_, c.criMetadata = protoAny(x.Value)
				}
				return nil
			})
		}
		return nil
	})
	m.containers = append(m.containers, c)
	return err
}

func (m *containerdMeta) image(namespace, name string, b *boltread.Bucket) error {
	target, err := b.Bucket("target")
	if err != nil || target == nil || len(m.digests) >= maxSnapshots {
		return err
	}
	digest, _, err := target.Get("digest")
	m.digests[[2]string{namespace, name}] = string(digest.Value)
	return err
}

func (m *containerdMeta) snapshot(namespace, snapshotter string, b *boltread.Bucket) error {
	return b.Each(func(e boltread.Entry) error {
		if e.Bucket == nil || len(m.snapshots) >= maxSnapshots {
			return nil
		}
		name, _, err := e.Bucket.Get("name")
		m.snapshots[snapshotKey{namespace, snapshotter, string(e.Key)}] = string(name.Value)
		return err
	})
}

// containerdContainer completes a container with what is outside of meta.db.
func (l *containerLook) containerdContainer(dir containerdDir, m *containerdMeta, found containerdContainer, layers map[string]map[string]overlaySnapshot) {
	c := l.add(found.record)
	if c != found.record { // Docker's: its own files have said more
		c.Sources = append(c.Sources, found.record.Sources...)
	} else {
		c.Driver = found.key.snapshotter
	}
	if digest := m.digests[[2]string{found.record.Namespace, found.record.Image}]; digest != "" && c.ImageDigest == "" {
		c.ImageDigest = digest
	}
	l.cri(c, found.criMetadata)
	var spec ociSpec
	if len(found.spec) > 0 {
		if err := decodeJSON(found.spec, &spec); err != nil {
			c.Errors = append(c.Errors, "spec: "+err.Error())
		}
	}
	l.fromOCI(c, &spec)
	if dir.state != "" && plainName(found.record.ID) && plainName(found.record.Namespace) {
		task := dir.state + "/io.containerd.runtime.v2.task/" + found.record.Namespace + "/" + found.record.ID
		if pid, err := strconv.ParseInt(l.text(task+"/init.pid"), 10, 64); err == nil {
			c.Sources = append(c.Sources, record.Bytes(task+"/init.pid"))
			if c.PID == 0 {
				c.PID, c.State = pid, "running"
			}
		}
		if c.Rootfs == nil || !strings.HasPrefix(string(c.Rootfs), "/") {
			c.Rootfs = record.Bytes(task + "/rootfs")
		}
	}
	l.criStatus(c, dir.root)
	if c.Upper == nil && found.key.key != "" && found.key.snapshotter == "overlayfs" {
		l.snapshotLayers(c, dir.root, m.snapshots[found.key], layers)
	}
}

// cri takes from the metadata of the Kubernetes plugin what names things. What
// the rest says, the OCI configuration has too.
func (l *containerLook) cri(c *record.Container, text []byte) {
	if len(text) == 0 {
		return
	}
	var m struct {
		Metadata struct{ Name, SandboxID, LogPath string }
	}
	if err := decodeJSON(text, &m); err != nil {
		c.Errors = append(c.Errors, "CRI metadata: "+err.Error())
		return
	}
	if c.Name == "" {
		c.Name = m.Metadata.Name
	}
	if c.Log == "" {
		c.Log = m.Metadata.LogPath
	}
	if m.Metadata.SandboxID != "" {
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		if c.Labels["io.kubernetes.sandbox.id"] == "" {
			c.Labels["io.kubernetes.sandbox.id"] = m.Metadata.SandboxID
		}
	}
}

// criStatus reads the status file of the Kubernetes plugin
// (pkg/cri/store/container/status.go): times in ns.
func (l *containerLook) criStatus(c *record.Container, root string) {
	if c.Namespace != "k8s.io" || !plainName(c.ID) {
		return
	}
	var st struct {
		Pid, CreatedAt, StartedAt, FinishedAt, ExitCode int64
	}
	if !l.readJSON(root+"/io.containerd.grpc.v1.cri/containers/"+c.ID+"/status", &st, c) {
		return
	}
	c.Started, c.Finished = st.StartedAt, st.FinishedAt
	if c.PID == 0 {
		c.PID = st.Pid
	}
	switch {
	case st.FinishedAt != 0:
		c.State, c.ExitCode = "exited", &st.ExitCode
	case st.StartedAt != 0:
		c.State = "running"
	default:
		c.State = "created"
	}
}

// overlaySnapshot is one snapshot of the overlayfs snapshotter.
type overlaySnapshot struct {
	id     uint64
	parent string
}

// snapshotLayers finds the folders of a snapshot and those below it.
func (l *containerLook) snapshotLayers(c *record.Container, root, name string, known map[string]map[string]overlaySnapshot) {
	dir := root + "/io.containerd.snapshotter.v1.overlayfs"
	if known[dir] == nil {
		all := map[string]overlaySnapshot{}
		l.readBolt(dir+"/metadata.db", func(b *boltread.Bucket) error {
			clear(all)
			return readSnapshots(b, all)
		})
		known[dir] = all
	}
	s, ok := known[dir][name]
	if !ok {
		c.Errors = append(c.Errors, fmt.Sprintf("snapshot %q is not in %s/metadata.db", name, dir))
		return
	}
	place := func(s overlaySnapshot, sub string) record.Bytes {
		return record.Bytes(dir + "/snapshots/" + strconv.FormatUint(s.id, 10) + "/" + sub)
	}
	c.Upper, c.Work = place(s, "fs"), place(s, "work")
	for range maxLowers {
		if s, ok = known[dir][s.parent]; !ok {
			return
		}
		c.Lower = append(c.Lower, place(s, "fs"))
	}
	c.Errors = append(c.Errors, "the chain of layers is too long, or a circle")
}

// maxLowers bounds the layers below one container; the kernel takes 500.
const maxLowers = 500

func readSnapshots(root *boltread.Bucket, all map[string]overlaySnapshot) error {
	b, err := root.Bucket("v1", "snapshots")
	if err != nil || b == nil {
		return err
	}
	return b.Each(func(e boltread.Entry) error {
		if e.Bucket == nil || len(all) >= maxSnapshots {
			return nil
		}
		var s overlaySnapshot
		id := 0
		err := e.Bucket.Each(func(f boltread.Entry) error {
			switch string(f.Key) {
			case "id":
				s.id, id = binary.Uvarint(f.Value)
			case "parent":
				s.parent = string(f.Value)
			}
			return nil
		})
		if id > 0 {
			all[string(e.Key)] = s
		}
		return err
	})
}

// protoAny reads google.protobuf.Any: field 1 the type's name, field 2 the
// bytes. Both are "" where it is none.
func protoAny(b []byte) (name string, value []byte) {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag&7 != 2 { // it has fields of bytes only
			return "", nil
		}
		size, m := binary.Uvarint(b[n:])
		if m <= 0 || size > uint64(len(b)-n-m) {
			return "", nil
		}
		field := b[n+m : n+m+int(size)]
		switch tag >> 3 {
		case 1:
			name = string(field)
		case 2:
			value = slices.Clone(field)
		}
		b = b[n+m+int(size):]
	}
	return name, value
}

// binaryTime reads Go's time.MarshalBinary; 0 where it is none.
func binaryTime(b []byte) int64 {
	var t time.Time
	if t.UnmarshalBinary(b) != nil || t.Year() < 1971 || t.Year() > 2261 {
		return 0
	}
	return t.UnixNano()
}
