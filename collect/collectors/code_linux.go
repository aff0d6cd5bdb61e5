package collectors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

const (
	ruleAnonymous = "executable memory without a file"
	ruleModified  = "executable mapping that differs from its file"

	// codeGap is how many bytes that were never touched are zeros inside of an
	// item: code that lies farther apart is in items of its own, so that a
	// mapping of terabytes with little in it takes little.
	codeGap = 1 << 20
	// maxCodeGaps bounds the gaps of one process that are remembered.
	maxCodeGaps = 1 << 16
	// maxCodePieces bounds the items of one process.
	maxCodePieces = 1024
	// maxCodeBytes bounds what is taken of one process: emulators and compilers
	// at run time have gigabytes of code. Past it a problem says how to get it.
	maxCodeBytes = 64 << 20
)

// codeTaker takes executable memory. Items are named
// live/code/PID-START/ADDRESS-ADDRESS.bin, in hexadecimal, and hold the bytes
// from the first address to the second, pages that were never touched as zeros.
// Link is the mapping's name, Detail says why it was taken.
type codeTaker struct {
	ctx   context.Context
	h     *collect.Host
	out   collect.Taker
	seen  map[evidence.Digest]string // what was stored, by content
	count map[string]int
}

func collectCode(ctx context.Context, h *collect.Host, out collect.Taker) error {
	proc, err := openProcesses(h)
	if err != nil {
		return err
	}
	defer proc.close()
	pids, err := proc.list()
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	c := &codeTaker{ctx: ctx, h: h, out: out, seen: map[evidence.Digest]string{}, count: map[string]int{}}
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return err
		}
		if pid == int64(os.Getpid()) {
			continue // what runs here is ours
		}
		if err := c.process(proc, pid); err != nil {
			return err
		}
	}
	for _, rule := range []string{ruleAnonymous, ruleModified} {
		out.Seen(rule, c.count[rule])
	}
	return nil
}

// piece is code that becomes one item.
type piece struct {
	pages
	gaps []pages // that were never touched, in order
	rule string
	name string
	why  string
}

func (c *codeTaker) process(proc *processes, pid int64) error {
	p, err := proc.process(pid)
	if err != nil {
		return nil // ended
	}
	defer p.close()
	text, err := p.read("stat", maxStatus)
	st, ok := parseProcStat(text)
	if err != nil || !ok || st.flags&kernelThread != 0 {
		return nil
	}
	list, full, err := p.codeMappings()
	if len(list) == 0 && err == nil {
		return nil
	}
	lose := func(code evidence.Code, why string) {
		c.out.Problem(evidence.Problem{Code: code, Path: pathOfPID(pid), Detail: why, Ref: evidence.Ref{Offset: -1, Length: -1}})
	}
	if err != nil {
		if !gone(err) {
			lose(codeOf(err), "executable memory not looked at: "+plainError(err))
		}
		return nil
	}
	if full {
		lose(evidence.TooBig, fmt.Sprintf("only the first %d executable mappings were looked at", maxMappings))
	}
	a, err := p.memory()
	if err != nil {
		if !gone(err) {
			lose(codeOf(err), "executable memory not taken: "+plainError(err))
		}
		return nil
	}
	defer a.close()
	pieces, err := codePieces(a, list)
	if errors.Is(err, errCodeBytes) {
		lose(evidence.TooBig, fmt.Sprintf("more than %d bytes of executable memory: only the first were taken; --process-memory %d takes all", maxCodeBytes, pid))
	} else if errors.Is(err, errPieces) {
		lose(evidence.TooBig, fmt.Sprintf("executable memory in more than %d places: the others were not taken", maxCodePieces))
	} else if err != nil && !errors.Is(err, errGone) && !gone(err) {
		lose(codeOf(err), "executable memory taken in part: "+causeOf(err))
	}
	for _, one := range pieces {
		if err := c.take(a, pid, st.startTicks, one); err != nil {
			return err
		}
	}
	return nil
}

// codeMappings are the executable mappings of a process that can hold what no
// file holds: those without a file, and private ones of files.
func (p *process) codeMappings() ([]mapping, bool, error) {
	m := mappings{keep: func(m *mapping) bool {
		return m.executable() && !kernelMapping(string(m.path)) && m.skipped() == ""
	}}
	cut, err := p.pieces("maps", maxMapText, func(_ int64, text []byte) error {
		m.add(text)
		return nil
	})
	return m.list, m.full || cut, err
}

var (
	errPieces    = errors.New("too many pieces")
	errCodeBytes = errors.New("too many bytes")
)

// codePieces says what of the mappings is taken: of those without a file what
// is in memory, of those of files the pages that are no longer the file's.
func codePieces(a *addressSpace, list []mapping) (pieces []piece, err error) {
	gaps, left := 0, uint64(maxCodeBytes)
	for i := range list {
		m := &list[i]
		one := piece{rule: ruleAnonymous, name: string(m.path), why: "no file behind it"}
		var wanted func(uint64) bool
		switch {
		case m.inode == 0:
		case strings.HasPrefix(m.name(), "/memfd:") || m.perms[3] == 's':
			continue // as a file, by linux_deleted, or the file itself
		case a.pagemap < 0:
			continue // not to be told
		default:
			one.rule, wanted = ruleModified, modified
		}
		first, changed := len(pieces), uint64(0)
		err = a.runs(m, wanted, func(run pages) (err error) {
			if left == 0 {
				return errCodeBytes
			}
			whole := run.end
			run.end = min(run.end, run.start+left)
			left -= run.end - run.start
			changed += run.end - run.start
			if run.end < whole {
				defer func() { err = errors.Join(err, errCodeBytes) }()
			}
			if n := len(pieces); n > first && wanted == nil && run.start-pieces[n-1].end <= min(codeGap, left) && gaps < maxCodeGaps {
				last := &pieces[n-1]
				left -= run.start - last.end // zeros are content, too
				last.gaps, last.end = append(last.gaps, pages{last.end, run.start}), run.end
				gaps++
				return nil
			}
			if len(pieces) == maxCodePieces {
				return errPieces
			}
			one.pages = run
			pieces = append(pieces, one)
			return nil
		})
		if wanted != nil {
			for j := first; j < len(pieces); j++ {
				pieces[j].why = fmt.Sprintf("%d bytes of the mapping are no longer the file's", changed)
			}
		}
		if err != nil {
			return pieces, err
		}
	}
	return pieces, nil
}

func (m *mapping) name() string { return string(m.path) }

// take takes one piece, unless its content is in the bundle already.
func (c *codeTaker) take(a *addressSpace, pid, start int64, one piece) error {
	c.count[one.rule]++
	it := evidence.Item{
		Kind: evidence.KindStream, Source: "proc", Rule: one.rule, Link: one.name, Size: -1,
		Path:   fmt.Sprintf("live/code/%d-%d/%x-%x.bin", pid, start, one.start, one.end),
		Detail: fmt.Sprintf("executable memory of process %d: %s", pid, one.why),
	}
	sum := evidence.NewHash()
	if err := c.copy(a, it.Path, one, sum, false); err != nil {
		return err
	}
	if first, again := c.seen[evidence.DigestOf(sum)]; again && a.lost == nil {
		it.Kind, it.Size, it.Detail = evidence.KindSkipped, 0, it.Detail+"; the same content as "+first
		return c.out.Note(c.ctx, it)
	}
	// It may have changed since: what is remembered is what is stored.
	sum.Reset()
	err := streamTo(c.ctx, c.out, it, func(to io.Writer) error {
		return c.copy(a, it.Path, one, io.MultiWriter(to, sum), true)
	})
	if err == nil && a.lost == nil {
		c.seen[evidence.DigestOf(sum)] = it.Path
	}
	return err
}

// copy writes the bytes of a piece. Pages that cannot be read are zeros in it,
// and problems where tell is set; so are those of a process that ended.
func (c *codeTaker) copy(a *addressSpace, path string, one piece, to io.Writer, tell bool) error {
	gaps := one.gaps
	for at := one.start; at < one.end; {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		end := one.end
		if len(gaps) > 0 {
			if end = gaps[0].start; at == end {
				// Not read: reading would make the page.
				if _, err := to.Write(make([]byte, gaps[0].end-at)); err != nil {
					return err
				}
				at, gaps = gaps[0].end, gaps[1:]
				continue
			}
		}
		size := int(min(end-at, memoryBlock))
		data, err := a.read(at, size)
		c.h.Pace(c.ctx, size)
		if _, werr := to.Write(data); werr != nil {
			return werr
		}
		at += uint64(len(data))
		if len(data) == size {
			continue
		}
		lost := min(a.page-at%a.page, end-at)
		if a.lost != nil {
			lost, err = one.end-at, a.lost
		}
		if tell {
			c.out.Problem(evidence.Problem{
				Code: evidence.IOError, Path: path, Ref: evidence.Ref{Offset: int64(at - one.start), Length: int64(lost)},
				Detail: "not read: " + causeOf(err) + " at address 0x" + strconv.FormatUint(at, 16),
			})
		}
		if a.lost != nil {
			return nil // the item ends here
		}
		if _, err := to.Write(make([]byte, lost)); err != nil {
			return err
		}
		at += lost
	}
	return nil
}
