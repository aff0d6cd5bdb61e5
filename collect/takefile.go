package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

const (
	// smallFile is read into memory before the bundle is asked, so that a
	// read that hangs holds up nobody else.
	smallFile = 1 << 20
	// readStall is how long one read of a file may take.
	readStall = 30 * time.Second
	// maxPseudo bounds a file of /proc or /sys, which has no size and may
	// have no end.
	maxPseudo = 256 << 20
)

var smallBuffers = sync.Pool{New: func() any { b := make([]byte, smallFile+1); return &b }}

// File takes a path of the host.
func (t *taker) File(ctx context.Context, path, rule string) error {
	if err := t.stop(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	h := t.r.host
	it := t.stamp(evidence.Item{Path: path, Rule: rule, Started: time.Now()})
	mount, known := h.MountOf(path)
	if known && mount.Storage() == Remote {
		it.Kind, it.Detail = evidence.KindSkipped, "on a "+mount.FSType+" file system, which may not answer"
		return t.put(it, Skipped)
	}
	pseudo := known && mount.Storage() == Pseudo
	if pseudo && h.Live {
		it.Source = "proc"
	}
	st, err := h.Stat(path)
	if err != nil {
		return t.failed(it, err)
	}
	it.Stat = st
	if h.Excluded(st.Dev, st.Inode) {
		it.Kind, it.Detail = evidence.KindSkipped, "own file of this run"
		return t.put(it, Skipped)
	}
	switch st.Mode & modeType {
	case modeRegular:
		if err := t.regular(ctx, it, pseudo); err != nil || pseudo {
			return err
		}
		return t.streamsOf(ctx, path, rule)
	case modeDir:
		it.Kind = evidence.KindDir
	case modeLink:
		it.Kind = evidence.KindSymlink
		if it.Link, err = h.Readlink(path); err != nil {
			return t.failed(it, err)
		}
	default:
		it.Kind = evidence.KindDevice
	}
	st.Xattrs = t.xattrsOf(path)
	knowOwner(st)
	it.Finished = time.Now()
	if err := t.put(it, Collected); err != nil || it.Kind != evidence.KindDir {
		return err
	}
	return t.streamsOf(ctx, path, rule)
}

// xattrsOf reads extended attributes; that they cannot be read is a problem,
// not a reason to leave out the rest.
func (t *taker) xattrsOf(path string) map[string][]byte {
	attrs, err := t.r.host.Xattrs(path)
	if err != nil {
		_, _, code := classify(err)
		t.Problem(evidence.Problem{
			Code: code, Path: path, Ref: evidence.Ref{Offset: -1, Length: -1},
			Detail: "extended attributes: " + reason(err),
		})
	}
	return attrs
}

// regular takes the content of a regular file.
func (t *taker) regular(ctx context.Context, it evidence.Item, pseudo bool) error {
	if first, samePath, again := t.r.taken.find(it); again {
		return t.again(ctx, it, first, samePath)
	}
	if where, held := t.r.opt.Held.where(it.Path, it.Stat); held && !pseudo {
		it.Kind, it.Detail = evidence.KindSkipped, "unchanged since "+where
		return t.put(it, Held)
	}
	if size := dataSize(it.Stat); t.r.opt.MaxFileSize > 0 && size > t.r.opt.MaxFileSize {
		it.Kind, it.Detail = evidence.KindSkipped, fmt.Sprintf("%d bytes, over the limit of %d", size, t.r.opt.MaxFileSize)
		return t.put(it, Skipped)
	}
	if !pseudo {
		t.r.atimes.opened(it.Path, it.Stat.Accessed)
	}
	f, err := t.r.host.Open(it.Path)
	if err != nil {
		return t.locked(ctx, it, err)
	}
	defer f.Close()
	st, err := t.r.host.StatFile(f)
	if err != nil {
		return t.failed(it, err)
	}
	if st.Mode&modeType != modeRegular { // replaced since the look
		return t.failed(it, fmt.Errorf("replaced before it was opened: %w", ErrNotRegular))
	}
	it.Stat, it.Kind = st, evidence.KindFile
	if st.Xattrs, err = Patiently(t.r.host, lookWait, nil, func() (map[string][]byte, error) { return t.r.host.fileXattrs(f, it.Path) }); err != nil {
		st.Xattrs = t.xattrsOf(it.Path)
	}
	knowOwner(st)
	if pseudo {
		return t.pseudo(ctx, it, f)
	}
	it.Size = st.Size
	return t.known(ctx, it, f)
}

// again records a second name or a second definition of a file whose content
// is in the bundle.
func (t *taker) again(ctx context.Context, it evidence.Item, first takenFile, samePath bool) error {
	leave, err := t.r.enter(ctx, 0)
	if err != nil {
		return err
	}
	defer leave()
	name, index, here := t.r.itemIn(first.number)
	if samePath && here {
		it.Detail = "already taken as " + name
		it.Index, it.Size = index, it.Stat.Size
		t.account(it, Collected)
		return nil
	}
	it.Kind, it.Detail = evidence.KindSkipped, "the same file as "+name
	return t.putHere(it, Skipped)
}

// pseudo takes a file that the kernel makes while it is read: it has no size
// before.
func (t *taker) pseudo(ctx context.Context, it evidence.Item, f *os.File) error {
	_ = f.SetReadDeadline(time.Now().Add(pollWait)) // refused where the file cannot make us wait
	buf := smallBuffers.Get().(*[]byte)
	n, err := t.readSmall(f, *buf)
	if err == ErrTimeout { // somebody may still write into the buffer
		return t.failed(it, err)
	}
	defer smallBuffers.Put(buf)
	t.r.host.Pace(ctx, n)
	if err != nil && n == 0 {
		return t.failed(it, err)
	}
	it.Size = int64(n)
	done, why := t.r.limit.admit(it.Size)
	if why != "" {
		return t.leftOut(it, why)
	}
	defer done()
	c := content{r: bytes.NewReader((*buf)[:n])}
	if err == nil && n == len(*buf) { // more than fits
		_ = f.SetReadDeadline(time.Now().Add(time.Minute))
		it.Size = -1
		g := guard(ctx, io.MultiReader(c.r, io.LimitReader(f, maxPseudo)), nil, readStall)
		defer g.Close()
		goOn, ended := t.r.limit.stream()
		defer ended()
		g.goOn, g.pace = goOn, t.paceFor(ctx)
		return t.add(ctx, it, content{r: g}, g)
	}
	if err != nil {
		_, _, code := classify(err)
		t.Problem(evidence.Problem{
			Code: code, Path: it.Path, Detail: "reading stopped: " + reason(err),
			Ref: evidence.Ref{Offset: int64(n), Length: -1},
		})
	}
	return t.add(ctx, it, c, nil)
}

// readSmall fills a buffer from a file that may hang: ErrTimeout then, and
// the buffer may not be used again.
func (t *taker) readSmall(f io.Reader, buf []byte) (int, error) {
	return Patiently(t.r.host, lookWait, nil, func() (int, error) { return readFull(f, buf) })
}

// readFull reads until the buffer is full or the file ends.
func readFull(f io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) {
		m, err := f.Read(buf[n:])
		n += m
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// known takes a file whose size was known when it was opened: exactly that
// many bytes, whatever happens to it meanwhile.
func (t *taker) known(ctx context.Context, it evidence.Item, f ReaderAt) error {
	after := func() (*evidence.Stat, error) { return t.r.host.StatFile(f) }
	if it.Stat != nil && it.Size > smallFile && it.Stat.Blocks*512 < it.Size {
		t.holesIn(&it, f.Fd())
	}
	data := it.Size
	for _, h := range it.Holes {
		data -= h.Length
	}
	done, why := t.r.limit.admit(data)
	if why != "" {
		return t.leftOut(it, why)
	}
	defer done()
	t.r.host.doing.set("read", it.Path)
	if it.Size <= smallFile {
		buf := smallBuffers.Get().(*[]byte)
		n, err := t.readSmall(f, (*buf)[:it.Size])
		if err == ErrTimeout { // somebody may still write into the buffer
			return t.failed(it, err)
		}
		defer smallBuffers.Put(buf)
		t.r.host.Pace(ctx, n)
		leave, detail := t.isSecret((*buf)[:n])
		if detail != "" && int64(n) < it.Size {
			detail += fmt.Sprintf("; only %d of %d bytes were read", n, it.Size)
		}
		if leave {
			it.Kind, it.Detail, it.Size, it.Holes = evidence.KindSkipped, detail, 0, nil
			return t.put(it, Skipped)
		}
		if detail != "" {
			it.Detail = detail
		}
		c := content{r: bytes.NewReader((*buf)[:n]), after: after}
		if err != nil {
			c.r = io.MultiReader(c.r, failing{err})
		}
		return t.addKnown(ctx, it, c, nil)
	}
	g := guard(ctx, io.LimitReader(f, it.Size), f, readStall)
	defer g.Close()
	g.pace = t.paceFor(ctx)
	return t.addKnown(ctx, it, content{r: g, at: g, after: after}, g)
}

func (t *taker) isSecret(content []byte) (leave bool, detail string) {
	if t.secret == nil {
		return false, ""
	}
	return t.secret(content)
}

// paceFor keeps the reading of one item to the budget, and tells the heartbeat
// how far it came.
func (t *taker) paceFor(ctx context.Context) func(n int) {
	return func(n int) {
		t.r.host.doing.read(n)
		t.r.host.Pace(ctx, n)
	}
}

// failing is a reader that gives its error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (t *taker) addKnown(ctx context.Context, it evidence.Item, c content, g *guarded) error {
	if err := t.add(ctx, it, c, g); err != nil {
		return err
	}
	if g != nil && errors.Is(g.lost, ctx.Err()) && ctx.Err() != nil {
		return ctx.Err()
	}
	return nil
}

// holesIn is holesOf with bounded patience.
func (t *taker) holesIn(it *evidence.Item, fd uintptr) {
	type extents struct {
		holes []evidence.Extent
		end   int64
	}
	m, err := Patiently(t.r.host, readStall, nil, func() (extents, error) {
		holes, end := holesOf(fd, it.Size)
		return extents{holes, end}, nil
	})
	if err != nil {
		return // read as data, as far as it answers
	}
	it.Holes = m.holes
	if m.end < it.Size {
		t.Problem(evidence.Problem{
			Code: evidence.TooBig, Path: it.Path, Ref: evidence.Ref{Offset: m.end, Length: it.Size - m.end},
			Detail: fmt.Sprintf("more than %d holes in %d bytes: only the first %d bytes were taken", maxHoles, it.Size, m.end),
		})
		it.Size = m.end
	}
}

// Open takes an open file.
func (t *taker) Open(ctx context.Context, it evidence.Item, f ReaderAt) error {
	if err := t.stop(); err != nil {
		return err
	}
	it = t.stamp(it)
	it.Started = time.Now()
	st, err := t.r.host.StatFile(f)
	if err != nil {
		return t.failed(it, err)
	}
	it.Stat = st
	if it.Kind == "" {
		it.Kind = evidence.KindStream
	}
	if st.Mode&modeType != modeRegular {
		return t.failed(it, ErrNotRegular)
	}
	if size := dataSize(st); t.r.opt.MaxFileSize > 0 && size > t.r.opt.MaxFileSize {
		it.Kind, it.Detail = evidence.KindSkipped, fmt.Sprintf("%d bytes, over the limit of %d", size, t.r.opt.MaxFileSize)
		return t.put(it, Skipped)
	}
	it.Size = st.Size
	return t.known(ctx, it, f)
}
