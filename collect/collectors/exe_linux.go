package collectors

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"golang.org/x/sys/unix"
)

// exeKey tells executables apart: most processes share a few.
type exeKey struct {
	dev   string
	inode uint64
	size  int64
	ctime unix.StatxTimestamp
}

type exeHash struct {
	sum string
	err error
}

const deletedSuffix = " (deleted)"

// executable fills in what the link exe says and hashes the file behind it,
// each file once. The link leads to the file that runs, also when its name is
// gone or means another file by now.
func (s *sweep) executable(p *process, r *record.Process, fail func(string, error)) {
	target, err := p.link("exe")
	if err != nil {
		if !r.KThread && !gone(err) {
			fail("exe", err)
		}
		return
	}
	r.Exe = record.Bytes(target)
	if m, ok := s.h.MountOf(target); ok && m.Storage() == collect.Remote {
		r.Errors = append(r.Errors, "exe: not hashed, on a "+m.FSType+" file system")
		return
	}
	st, err := p.statLink("exe")
	if err != nil {
		fail("exe", err)
		return
	}
	r.ExeSize, r.ExeInode, r.ExeDev = st.size, st.inode, st.dev
	if r.ExeDeleted = st.deleted; r.ExeDeleted {
		r.Exe = record.Bytes(bytes.TrimSuffix(r.Exe, []byte(deletedSuffix)))
	}
	key := exeKey{st.dev, st.inode, st.size, st.ctime}
	hash, known := s.hashes[key]
	if !known && st.regular() {
		hash.sum, hash.err = hashLink(s.ctx, p, "exe")
		s.hashes[key] = hash
	}
	fail("exe", hash.err)
	r.ExeSHA256 = hash.sum
}

// hashWait is how long one read of an executable may take.
const hashWait = 10 * time.Second

// hashLink hashes the file behind a link of the process. The buffer is its
// own: a read that never returns keeps it.
func hashLink(ctx context.Context, p *process, name string) (string, error) {
	f, err := p.open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	buf := make([]byte, 256<<10)
	h := evidence.NewHash()
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := collect.Patiently(p.all.h, hashWait, nil, func() (int, error) { return f.Read(buf) })
		if errors.Is(err, collect.ErrTimeout) {
			return "", err
		}
		h.Write(buf[:n])
		p.all.h.Pace(ctx, n)
		if err == io.EOF {
			return evidence.DigestOf(h).String(), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// nameOf is the path in a link's text, the kernel's mark taken off.
func nameOf(target string, deleted bool) string {
	if deleted {
		return strings.TrimSuffix(target, deletedSuffix)
	}
	return target
}
