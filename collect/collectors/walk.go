package collectors

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// WalkName is the name of the collector that Walk makes.
const WalkName = "filesystem_walk"

// WalkOptions says how the walk goes about it.
type WalkOptions struct {
	NoHashes bool // no file is opened: metadata alone
}

var filesystemWalk = register(Walk(WalkOptions{}))

// Walk lists every local file system. The shelf has it with the defaults.
func Walk(opt WalkOptions) collect.Collector {
	return collect.Collector{
		Name:     WalkName,
		Doc:      "Metadata and extended attributes of every name on every local file system, SHA-256 by policy, and what is setuid, has capabilities or is immutable",
		Tier:     collect.TierFiles,
		Deadline: 6 * time.Hour,
		Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
			w := &fileWalk{host: h, out: out, hashes: defaultHashPolicy(time.Now())}
			w.hashes.none = opt.NoHashes
			w.privileged = collect.NewRecords(context.WithoutCancel(ctx), out, evidence.Item{Index: -1, Source: "file", Path: record.Privileged})
			it := evidence.Item{
				Index: -1, Kind: evidence.KindStream, Source: "file", Path: record.Files, Size: -1,
				Collector: WalkName, Rule: "file system walk",
			}
			err := streamTo(ctx, out, it, func(to io.Writer) error { return w.run(ctx, to) })
			out.Seen(it.Rule, w.names)
			return errors.Join(err, w.privileged.Close()) // of a walk that was cut short too
		},
	}
}

// fileWalk writes one record.File line a name.
type fileWalk struct {
	host   *collect.Host
	out    collect.Taker
	hashes hashPolicy
	names  int
	// privileged are the lines of files that give rights to who runs them, or
	// that resist being changed.
	privileged *collect.Records
	line       []byte
	reader     fileReader
}

func (w *fileWalk) run(ctx context.Context, to io.Writer) error {
	lines := bufio.NewWriterSize(to, 256<<10)
	var noteErr error
	err := w.host.WalkWith(ctx, "/", collect.Walker{
		Visit: func(path string, st *evidence.Stat) error {
			if noteErr != nil {
				return noteErr
			}
			return w.visit(ctx, lines, path, st)
		},
		Failed: func(path string, err error) {
			w.out.Problem(evidence.Problem{
				Stage: WalkName, Code: codeOf(err), Path: path,
				Ref: evidence.Ref{Offset: -1, Length: -1}, Detail: err.Error(),
			})
		},
		Xattrs: maxWalkXattrs,
		LeftOut: func(path, reason string) {
			if err := w.out.Note(ctx, evidence.Item{
				Index: -1, Kind: evidence.KindSkipped, Source: "file", Path: path,
				Collector: WalkName, Rule: "file system walk", Detail: reason,
			}); err != nil && noteErr == nil {
				noteErr = err
			}
		},
	})
	return errors.Join(err, noteErr, lines.Flush())
}

func (w *fileWalk) visit(ctx context.Context, lines *bufio.Writer, path string, st *evidence.Stat) error {
	w.names++
	w.host.Pace(ctx, 0)
	f := fileRecord(path, st)
	switch st.Mode & modeType {
	case modeLink:
		target, err := w.host.Readlink(path)
		if err != nil {
			f.HashNote = "link not read: " + err.Error()
		}
		f.Link = record.Bytes(target)
	case modeRegular:
		f.HashNote = w.hashes.leaveOut(path, st)
		if f.HashNote == "" {
			f.SHA256, f.HashNote = w.hash(ctx, path, st)
		}
	}
	if privileged(&f) {
		_ = w.privileged.Write(f) //nolint:errcheck // Close says so; the walk goes on
	}
	w.line = appendFileLine(w.line[:0], &f)
	_, err := lines.Write(w.line)
	return err
}

// maxWalkXattrs bounds the extended attributes of one name: an ACL, labels and
// a signature stay far below.
const maxWalkXattrs = 16 << 10

// What statx(2) says of the flags that chattr(1) sets.
const (
	attrImmutable = 0x10 // STATX_ATTR_IMMUTABLE
	attrAppend    = 0x20 // STATX_ATTR_APPEND
)

// privileged reports whether a file gives rights to who runs it, or resists
// being changed. A setgid folder does neither.
func privileged(f *record.File) bool {
	return f.Mode&modeType == modeRegular && f.Mode&modeSetID != 0 || f.Capabilities != nil || f.Attributes&(attrImmutable|attrAppend) != 0
}

// fileRecord is the metadata of a path as a record.
func fileRecord(path string, st *evidence.Stat) record.File {
	f := record.File{
		Path: record.Bytes(path), Mode: st.Mode, UID: st.UID, GID: st.GID, Owner: st.Owner,
		Size: st.Size, Inode: st.Inode, Dev: st.Dev, Nlink: st.Nlink, Attributes: st.Attributes,
		Atime: nanoseconds(st.Accessed), Mtime: nanoseconds(st.Modified),
		Ctime: nanoseconds(st.Changed), Btime: nanoseconds(st.Born), MountID: st.MountID,
	}
	for name, value := range st.Xattrs {
		f.Xattrs = append(f.Xattrs, record.Xattr{Name: record.Bytes(name), Value: value})
	}
	slices.SortFunc(f.Xattrs, func(a, b record.Xattr) int { return bytes.Compare(a.Name, b.Name) })
	if value, ok := st.Xattrs[capabilityXattr]; ok {
		f.Capabilities, _ = fileCapabilities(value) // the value itself is among Xattrs
	}
	return f
}

// hash reads a file whole. note says why there is no hash.
func (w *fileWalk) hash(ctx context.Context, path string, st *evidence.Stat) (sum, note string) {
	if known, ok := w.host.RememberedHash(st); ok {
		return known.String(), ""
	}
	digest, note := w.reader.sum(ctx, w.host, path, st, nil, w.hashes.maxProgram)
	if note != "" {
		return "", note
	}
	return digest.String(), ""
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// hashPolicy decides which files are worth reading whole: what can run, what
// changed lately, and what lies where nothing of value should.
type hashPolicy struct {
	none       bool      // no file is
	since      time.Time // inode changes since then count as late
	maxProgram int64     // largest file that can run
	maxOther   int64     // largest of the rest
	programs   int64     // bytes left for files that can run
	others     int64     // bytes left for the rest
}

func defaultHashPolicy(now time.Time) hashPolicy {
	return hashPolicy{since: now.UTC().AddDate(0, 0, -30), maxProgram: 512 << 20, maxOther: 64 << 20, programs: 32 << 30, others: 8 << 30}
}

// leaveOut says why a file is not hashed, "" when it is.
func (p *hashPolicy) leaveOut(path string, st *evidence.Stat) string {
	if p.none {
		return "not asked for"
	}
	limit, left := p.maxOther, &p.others
	switch {
	case st.Mode&(modeExec|modeSetID) != 0:
		limit, left = p.maxProgram, &p.programs
	case st.Changed.After(p.since), suspectPlace(path):
	default:
		return "not asked for by policy"
	}
	if st.Size > limit {
		return fmt.Sprintf("larger than %d bytes", limit)
	}
	if st.Size > *left {
		return "the walk has read as much as it may"
	}
	*left -= st.Size
	return ""
}

// suspectPlace reports whether a path is in a temporary folder, among the
// devices, or hidden by a leading dot.
func suspectPlace(path string) bool {
	for _, dir := range []string{"/tmp/", "/var/tmp/", "/dev/", "/run/"} {
		if strings.HasPrefix(path, dir) {
			return true
		}
	}
	return strings.Contains(path, "/.")
}
