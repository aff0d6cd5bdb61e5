package collectors

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/pkgdb"
)

// follow returns the path that a name leads to over links, in any of its
// folders, and the metadata of what is there; "" and nil for nothing.
func (c *comparison) follow(name string) (real string, st *evidence.Stat) {
	todo := strings.Split(name, "/")
	for hops := 0; len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		switch next {
		case "", ".":
			continue
		case "..":
			real = real[:max(strings.LastIndexByte(real, '/'), 0)]
			continue
		}
		var err error
		if st, err = c.host.Stat(real + "/" + next); err != nil {
			return "", nil
		}
		if st.Mode&modeType != modeLink {
			real += "/" + next
			continue
		}
		target, err := c.host.Readlink(real + "/" + next)
		if hops++; err != nil || hops > maxHops {
			return "", nil
		}
		if strings.HasPrefix(target, "/") {
			real = ""
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	// What was looked at last may be a link to "..".
	if st, _ = c.host.Stat(orRoot(real)); st == nil { //nolint:errcheck // nil says that it is not there
		return "", nil
	}
	return real, st
}

// owned reads a file and says what the packages' databases know of it. The
// name is one without links in its folders.
func (c *comparison) owned(ctx context.Context, name string) record.OwnedFile {
	r := record.OwnedFile{Path: record.Bytes(name)}
	real, st := c.follow(name)
	if st == nil {
		r.Detail = "it leads to nothing"
		return r
	}
	if real != name {
		r.Target = record.Bytes(real)
	}
	r.Mode, r.UID, r.GID, r.Size, r.Inode = st.Mode, st.UID, st.GID, st.Size, st.Inode
	r.Mtime, r.Ctime, r.Btime = nanoseconds(st.Modified), nanoseconds(st.Changed), nanoseconds(st.Born)
	if st.Mode&modeType != modeRegular {
		r.Detail = "no regular file"
		return r
	}
	own := c.table.find(real)
	switch {
	case own != nil:
		p := c.table.packages[own.pkg]
		r.Manager, r.Package, r.Check = p.manager, record.Bytes(p.name), "listed"
	case c.table.complete && len(c.table.files) > 0 && c.table.program(real):
		r.Check = "unowned"
	default:
		r.Check = "unknown"
	}
	if st.Size > maxComparedFile || st.Size > c.left {
		r.Detail = "more bytes than the comparison may read"
		return r
	}
	c.left -= st.Size
	if own == nil || own.algo == pkgdb.NoDigest {
		sum, note := c.reader.sum(ctx, c.host, real, st, nil, maxComparedFile)
		if r.Detail = note; note == "" {
			r.SHA256 = sum.String()
		}
		return r
	}
	h := own.algo.New()
	sum, note := c.reader.sum(ctx, c.host, real, st, h, maxComparedFile)
	if r.Detail = note; note != "" {
		return r
	}
	r.SHA256, r.Check = sum.String(), "same"
	if want := own.digest[:own.algo.Size()]; string(h.Sum(nil)) != string(want) {
		r.Check, r.Algorithm, r.Want = "changed", own.algo.String(), hex.EncodeToString(want)
	}
	return r
}
