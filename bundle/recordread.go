package bundle

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Limits of the lists in a record.
const (
	maxHoles    = 8192
	maxUnread   = 4096
	maxSegments = 32768
)

// parseRecord reads the two lines of one leaf, each with its LF. Keys it does
// not know are checked for form and passed over, so that later minor additions
// stay readable.
func parseRecord(content, meta []byte) (*record, error) {
	r := &record{off: -1, item: evidence.Item{Index: -1}}
	if err := parseContentLine(content, r); err != nil {
		return nil, fmt.Errorf("content line: %w", err)
	}
	index := r.item.Index
	if err := parseMetaLine(meta, r); err != nil {
		return nil, fmt.Errorf("metadata line: %w", err)
	}
	if r.item.Index != index {
		return nil, fmt.Errorf("lines of leaves %d and %d are paired", index, r.item.Index)
	}
	return r, r.check()
}

// lineScanner checks the frame of a line: its length and the one LF at its end.
func lineScanner(line []byte) (*scanner, error) {
	switch {
	case len(line) > maxLine:
		return nil, errors.New("longer than 1 MiB")
	case len(line) == 0 || line[len(line)-1] != '\n':
		return nil, errors.New("does not end with LF")
	case bytes.IndexByte(line, '\n') != len(line)-1:
		return nil, errors.New("holds more than one line")
	}
	return &scanner{b: line[:len(line)-1]}, nil
}

func parseContentLine(line []byte, r *record) error {
	s, err := lineScanner(line)
	if err != nil {
		return err
	}
	it := &r.item
	var salt string
	segs, stored := int64(0), int64(-1)
	bodyKey := ""
	s.object(maxKeys, func(key string) {
		switch key {
		case "i":
			it.Index = s.int64()
		case "salt":
			salt = s.text()
		case "k":
			it.Kind = evidence.Kind(s.text())
		case "size":
			it.Size = s.int64()
		case "sha256":
			it.SHA256 = s.digest()
		case "md5":
			it.MD5 = s.text()
		case "sha1":
			it.SHA1 = s.text()
		case "stored":
			stored = s.int64()
		case "holes":
			it.Holes = s.extents(maxHoles)
		case "sums":
			it.SumsStored = s.text() == "stored"
		case "unread":
			it.Unread = s.unread()
		case "segs":
			segs = s.int64()
		case "blk":
			s.block(r)
		case "header", "trailer":
			r.body, bodyKey = bytes.Clone(s.skip()), key
		default:
			s.skip()
		}
	})
	if err := s.end(); err != nil {
		return err
	}
	if isBody := it.Kind == evidence.KindHeader || it.Kind == evidence.KindTrailer; isBody != (r.body != nil) ||
		isBody && (bodyKey != string(it.Kind) || r.body[0] != '{') {
		return errors.New("has a header or trailer where its kind has none, or the reverse")
	}
	if segs < 0 || segs > maxSegments {
		return errors.New("has an impossible number of segments")
	}
	if it.Kind == evidence.KindErased {
		return errors.New("has a kind that stands in no line")
	}
	r.segs = make([]evidence.Extent, segs)
	it.Stored = max(stored, 0)
	if it.Kind.HasContent() != (stored >= 0) {
		return errors.New("has stored bytes where its kind has none, or the reverse")
	}
	return checkSalt(salt)
}

func parseMetaLine(line []byte, r *record) error {
	s, err := lineScanner(line)
	if err != nil {
		return err
	}
	it := &r.item
	var salt string
	seen, wantSegs := r.segs != nil, len(r.segs) // the content line need not have been read
	r.segs = nil
	s.object(maxKeys, func(key string) {
		switch key {
		case "i":
			it.Index = s.int64()
		case "salt":
			salt = s.text()
		case "member":
			it.Member = s.text()
		case "off":
			r.off = s.int64()
		case "segs":
			r.segs = s.extents(maxSegments)
		case "src", "src_b64":
			it.Source = s.raw(key)
		case "path", "path_b64":
			it.Path = s.raw(key)
		case "link", "link_b64":
			it.Link = s.raw(key)
		case "collector", "collector_b64":
			it.Collector = s.raw(key)
		case "rule", "rule_b64":
			it.Rule = s.raw(key)
		case "stat":
			it.Stat = s.stat()
		case "after":
			it.After = s.stat()
		case "changed":
			it.Changed = s.bool()
		case "detail", "detail_b64":
			it.Detail = s.raw(key)
		case "t0":
			it.Started = s.time()
		case "t1":
			it.Finished = s.time()
		default:
			s.skip()
		}
	})
	if err := s.end(); err != nil {
		return err
	}
	if seen && len(r.segs) != wantSegs {
		return errors.New("lists another number of segments than the content line")
	}
	return checkSalt(salt)
}

// check tests what must hold between the fields of a record.
func (r *record) check() error {
	it := &r.item
	if it.Index < 0 || it.Size < 0 || it.Stored < 0 {
		return errors.New("record has a negative index or size")
	}
	if !it.Kind.HasContent() {
		if it.Member != "" || r.off >= 0 || len(r.segs) > 0 {
			return fmt.Errorf("record of kind %s names stored bytes", clip(string(it.Kind)))
		}
		return nil
	}
	if !inertName(it.Member) {
		return fmt.Errorf("record names member %.80q", it.Member)
	}
	if err := checkRanges(it.Holes, it.Size); err != nil {
		return fmt.Errorf("holes: %w", err)
	}
	stored := it.Size
	for _, h := range it.Holes {
		stored -= h.Length
	}
	if stored != it.Stored {
		return errors.New("stored bytes and holes do not add up to the size")
	}
	if it.SumsStored != sumsStored(it.Holes) {
		return errors.New("says wrongly what its digests cover")
	}
	if len(r.segs) == 0 {
		if r.off < 0 {
			return errors.New("record has no offset")
		}
		return nil
	}
	sum := int64(0)
	for _, s := range r.segs {
		if s.Offset < 0 || s.Length < 0 || s.Length > it.Stored-sum {
			return errors.New("segments do not add up to the stored bytes")
		}
		sum += s.Length
	}
	if sum != it.Stored || len(it.Holes) > 0 || r.off >= 0 {
		return errors.New("segments do not add up to the stored bytes")
	}
	return nil
}

// checkRanges demands ranges in order, apart, not empty, inside size.
func checkRanges(list []evidence.Extent, size int64) error {
	end := int64(-1)
	for _, e := range list {
		if e.Offset <= end || e.Length <= 0 || e.Offset > size || e.Length > size-e.Offset {
			return fmt.Errorf("range %d+%d is out of order or out of bounds", e.Offset, e.Length)
		}
		end = e.Offset + e.Length
	}
	return nil
}

func checkSalt(salt string) error {
	if len(salt) != 32 {
		return errors.New("salt has not 16 bytes")
	}
	for i := range len(salt) {
		if c := salt[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return errors.New("salt is not lower-case hexadecimal")
		}
	}
	return nil
}

func clip(s string) string { return fmt.Sprintf("%.40q", s) }

func (s *scanner) digest() evidence.Digest {
	d, err := evidence.ParseDigest(s.text())
	if err != nil {
		s.fail(err.Error())
	}
	return d
}

// raw reads text, or base64 under a key that ends in _b64.
func (s *scanner) raw(key string) string {
	v := s.text()
	if len(key) < 4 || key[len(key)-4:] != "_b64" {
		return v
	}
	return s.decode(v)
}

func (s *scanner) decode(v string) string {
	b, err := base64.StdEncoding.Strict().DecodeString(v)
	if err != nil {
		s.fail("bad base64")
	}
	return string(b)
}

func (s *scanner) time() time.Time {
	t, err := parseTime(s.text())
	if err != nil {
		s.fail("bad time")
	}
	return t
}

func (s *scanner) extents(limit int) []evidence.Extent {
	var list []evidence.Extent
	s.array(func() {
		if len(list) == limit {
			s.fail("list too long")
			return
		}
		var e evidence.Extent
		s.expect('[')
		e.Offset = s.int64()
		s.expect(',')
		e.Length = s.int64()
		s.expect(']')
		list = append(list, e)
	})
	return list
}

func (s *scanner) unread() []evidence.Unread {
	var list []evidence.Unread
	s.array(func() {
		if len(list) > maxUnread {
			s.fail("list too long")
			return
		}
		var u evidence.Unread
		s.expect('[')
		u.Offset = s.int64()
		s.expect(',')
		u.Length = s.int64()
		s.expect(',')
		u.Reason = s.text()
		s.expect(']')
		list = append(list, u)
	})
	return list
}

func (s *scanner) block(r *record) {
	s.object(maxKeys, func(key string) {
		switch key {
		case "size":
			if s.int64() != BlockSize {
				s.fail("block size is not 4 MiB")
			}
		case "root":
			r.blkRoot = s.digest()
		default:
			s.skip()
		}
	})
}

// statFields are the numbers of a stat that may be left out, by their key.
var statFields = map[string]evidence.StatFields{
	"mode": evidence.StatMode, "uid": evidence.StatIDs, "gid": evidence.StatIDs, "ino": evidence.StatInode,
	"nlink": evidence.StatNlink, "blocks": evidence.StatBlocks, "size": evidence.StatSize,
}

func (s *scanner) stat() *evidence.Stat {
	st := new(evidence.Stat)
	st.Unknown = evidence.StatMode | evidence.StatIDs | evidence.StatInode | evidence.StatNlink | evidence.StatBlocks | evidence.StatSize
	s.object(maxKeys, func(key string) {
		st.Unknown &^= statFields[key]
		switch key {
		case "mode":
			st.Mode = s.uint32()
		case "uid":
			st.UID = s.uint32()
		case "gid":
			st.GID = s.uint32()
		case "owner", "owner_b64":
			st.Owner = s.raw(key)
		case "group", "group_b64":
			st.Group = s.raw(key)
		case "ino":
			st.Inode = s.uint64()
		case "dev", "dev_b64":
			st.Dev = s.raw(key)
		case "mnt":
			st.MountID = s.uint64()
		case "nlink":
			st.Nlink = s.uint32()
		case "size":
			st.Size = s.int64()
		case "blocks":
			st.Blocks = s.int64()
		case "attr":
			st.Attributes = s.uint64()
		case "rdev", "rdev_b64":
			st.Rdev = s.raw(key)
		case "atime":
			st.Accessed = s.time()
		case "mtime":
			st.Modified = s.time()
		case "ctime":
			st.Changed = s.time()
		case "btime":
			st.Born = s.time()
		case "xattr", "xattr_b64":
			s.xattrs(st, key)
		default:
			s.skip()
		}
	})
	return st
}

func (s *scanner) xattrs(st *evidence.Stat, key string) {
	if st.Xattrs == nil {
		st.Xattrs = map[string][]byte{}
	}
	s.object(maxLine, func(name string) {
		if key == "xattr_b64" {
			name = s.decode(name)
		}
		st.Xattrs[name] = []byte(s.decode(s.text()))
	})
}
