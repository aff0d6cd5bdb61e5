package bundle

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// BlockSize is the size of the blocks that are hashed one by one in items of
// at least BlockMin bytes.
const (
	BlockSize = 4 << 20
	BlockMin  = 8 << 20
)

// record is what the two manifest lines of one leaf say: the item and where
// its bytes are in the tar.
type record struct {
	item    evidence.Item
	off     int64             // tar offset of the stored bytes; -1 where there is none
	segs    []evidence.Extent // tar ranges of the numbered members of a segmented item
	blkRoot evidence.Digest   // Merkle root over the digests of the blocks; zero where there is none
	body    []byte            // JSON of the header or trailer; nil for other kinds
}

// lineWriter appends the members of one JSON object in the order of the calls.
type lineWriter struct{ b []byte }

func (l *lineWriter) key(k string) {
	if n := len(l.b); n > 0 && l.b[n-1] != '{' {
		l.b = append(l.b, ',')
	}
	l.b = append(append(append(l.b, '"'), k...), '"', ':')
}

func (l *lineWriter) int(k string, v int64) {
	l.key(k)
	l.b = strconv.AppendInt(l.b, v, 10)
}

func (l *lineWriter) uint(k string, v uint64) {
	l.key(k)
	l.b = strconv.AppendUint(l.b, v, 10)
}

// text writes a string; left out when empty. Bytes that are no UTF-8 go under
// the key with _b64 behind it.
func (l *lineWriter) text(k, v string) {
	switch {
	case v == "":
	case utf8.ValidString(v):
		l.key(k)
		l.b = appendJSONString(l.b, v)
	default:
		l.key(k + "_b64")
		l.base64(v)
	}
}

func (l *lineWriter) base64(v string) {
	l.b = append(l.b, '"')
	l.b = base64.StdEncoding.AppendEncode(l.b, []byte(v))
	l.b = append(l.b, '"')
}

// time writes a time; left out when zero.
func (l *lineWriter) time(k string, t time.Time) {
	if !t.IsZero() {
		l.key(k)
		l.b = appendJSONString(l.b, formatTime(t))
	}
}

func (l *lineWriter) extents(k string, list []evidence.Extent) {
	if len(list) == 0 {
		return
	}
	l.key(k)
	l.b = append(l.b, '[')
	for i, e := range list {
		if i > 0 {
			l.b = append(l.b, ',')
		}
		l.b = fmt.Appendf(l.b, "[%d,%d]", e.Offset, e.Length)
	}
	l.b = append(l.b, ']')
}

// unread writes the ranges that were lost while reading.
func (l *lineWriter) unread(list []evidence.Unread) {
	if len(list) == 0 {
		return
	}
	l.key("unread")
	l.b = append(l.b, '[')
	for i, u := range list {
		if i > 0 {
			l.b = append(l.b, ',')
		}
		l.b = fmt.Appendf(l.b, "[%d,%d,", u.Offset, u.Length)
		l.b = append(appendJSONString(l.b, u.Reason), ']')
	}
	l.b = append(l.b, ']')
}

// formatTime writes RFC 3339 with nanoseconds in UTC; years that RFC 3339
// cannot express become "@" and the Unix time.
func formatTime(t time.Time) string {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return fmt.Sprintf("@%d.%09d", t.Unix(), t.Nanosecond())
	}
	return t.Format(time.RFC3339Nano)
}

// parseTime reads both forms of formatTime.
func parseTime(s string) (time.Time, error) {
	if len(s) == 0 || s[0] != '@' {
		t, err := time.Parse(time.RFC3339Nano, s)
		return t.UTC(), err
	}
	dot := len(s) - 10
	if dot < 2 || s[dot] != '.' {
		return time.Time{}, fmt.Errorf("time %.40q is not in a known form", s)
	}
	sec, err := strconv.ParseInt(s[1:dot], 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read seconds: %w", err)
	}
	nsec, err := strconv.ParseUint(s[dot+1:], 10, 32)
	if err != nil {
		return time.Time{}, fmt.Errorf("read nanoseconds: %w", err)
	}
	return time.Unix(sec, int64(nsec)).UTC(), nil
}

// appendContentLine writes the first line of a record: what the bytes are.
func appendContentLine(dst []byte, r *record, salt []byte) []byte {
	it := &r.item
	l := lineWriter{append(dst, '{')}
	l.int("i", it.Index)
	l.text("salt", hex.EncodeToString(salt))
	l.text("k", string(it.Kind))
	if it.Kind.HasContent() || it.Size != 0 {
		l.int("size", it.Size)
	}
	if !it.SHA256.IsZero() {
		l.text("sha256", it.SHA256.String())
	}
	l.text("md5", it.MD5)
	l.text("sha1", it.SHA1)
	if it.Kind.HasContent() {
		l.int("stored", it.Stored)
	}
	l.extents("holes", it.Holes)
	if it.SumsStored {
		l.text("sums", "stored")
	}
	l.unread(it.Unread)
	if len(r.segs) > 0 {
		l.int("segs", int64(len(r.segs)))
	}
	if !r.blkRoot.IsZero() {
		l.key("blk")
		l.b = fmt.Appendf(l.b, `{"size":%d,"root":"%s"}`, BlockSize, r.blkRoot)
	}
	if r.body != nil {
		l.key(string(it.Kind))
		l.b = append(l.b, r.body...)
	}
	return append(l.b, '}', '\n')
}

// appendMetaLine writes the second line of a record: what it was called and
// what the host said of it.
func appendMetaLine(dst []byte, r *record, salt []byte) []byte {
	it := &r.item
	l := lineWriter{append(dst, '{')}
	l.int("i", it.Index)
	l.text("salt", hex.EncodeToString(salt))
	l.text("member", it.Member)
	if r.off >= 0 {
		l.int("off", r.off)
	}
	l.extents("segs", r.segs)
	l.text("src", it.Source)
	l.text("path", it.Path)
	l.text("link", it.Link)
	l.text("collector", it.Collector)
	l.text("rule", it.Rule)
	l.stat("stat", it.Stat)
	l.stat("after", it.After)
	if it.Changed {
		l.key("changed")
		l.b = append(l.b, "true"...)
	}
	l.text("detail", it.Detail)
	l.time("t0", it.Started)
	l.time("t1", it.Finished)
	return append(l.b, '}', '\n')
}

// stat writes what statx said; left out when nil.
func (l *lineWriter) stat(k string, s *evidence.Stat) {
	if s == nil {
		return
	}
	l.key(k)
	l.b = append(l.b, '{')
	known := func(f evidence.StatFields) bool { return s.Unknown&f == 0 }
	if known(evidence.StatMode) {
		l.uint("mode", uint64(s.Mode))
	}
	if known(evidence.StatIDs) {
		l.uint("uid", uint64(s.UID))
		l.uint("gid", uint64(s.GID))
	}
	l.text("owner", s.Owner)
	l.text("group", s.Group)
	if known(evidence.StatInode) {
		l.uint("ino", s.Inode)
	}
	l.text("dev", s.Dev)
	if s.MountID != 0 {
		l.uint("mnt", s.MountID)
	}
	if known(evidence.StatNlink) {
		l.uint("nlink", uint64(s.Nlink))
	}
	if known(evidence.StatSize) {
		l.int("size", s.Size)
	}
	if known(evidence.StatBlocks) {
		l.int("blocks", s.Blocks)
	}
	if s.Attributes != 0 {
		l.uint("attr", s.Attributes)
	}
	l.text("rdev", s.Rdev)
	l.time("atime", s.Accessed)
	l.time("mtime", s.Modified)
	l.time("ctime", s.Changed)
	l.time("btime", s.Born)
	l.xattrs(s.Xattrs)
	l.b = append(l.b, '}')
}

// xattrs writes extended attributes in the order of their names: those with
// UTF-8 names under xattr, the rest with base64 names under xattr_b64.
func (l *lineWriter) xattrs(attrs map[string][]byte) {
	var plain, coded []string
	for name := range attrs {
		if utf8.ValidString(name) {
			plain = append(plain, name)
		} else {
			coded = append(coded, name)
		}
	}
	l.xattrObject("xattr", plain, attrs, func(n string) string { return n })
	l.xattrObject("xattr_b64", coded, attrs, func(n string) string {
		return base64.StdEncoding.EncodeToString([]byte(n))
	})
}

func (l *lineWriter) xattrObject(k string, names []string, attrs map[string][]byte, spell func(string) string) {
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	l.key(k)
	l.b = append(l.b, '{')
	for _, name := range names {
		if n := len(l.b); l.b[n-1] != '{' {
			l.b = append(l.b, ',')
		}
		l.b = append(appendJSONString(l.b, spell(name)), ':')
		l.base64(string(attrs[name]))
	}
	l.b = append(l.b, '}')
}
