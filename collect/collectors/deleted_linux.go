package collectors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// rescue recovers content. Items are named by where they were found, for
// example /proc/412/exe; Link is what the kernel says of the name it had.
type rescue struct {
	ctx   context.Context
	h     *collect.Host
	out   collect.Taker
	taken map[exeKey]string
	count map[string]int // by rule
}

const (
	ruleExe  = "executable without its name"
	ruleFD   = "open file without a name"
	ruleMaps = "mapped file without a name"
)

func collectDeleted(ctx context.Context, h *collect.Host, out collect.Taker) error {
	proc, err := openProcesses(h)
	if err != nil {
		return err
	}
	defer proc.close()
	pids, err := proc.list()
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	s := &rescue{ctx: ctx, h: h, out: out, taken: map[exeKey]string{}, count: map[string]int{}}
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return err
		}
		if pid == int64(os.Getpid()) {
			continue // what we hold open is ours
		}
		p, err := proc.process(pid)
		if err != nil {
			continue // ended
		}
		err = s.process(p)
		p.close()
		if err != nil {
			return err
		}
	}
	for _, rule := range []string{ruleExe, ruleFD, ruleMaps} {
		out.Seen(rule, s.count[rule])
	}
	return nil
}

func (s *rescue) process(p *process) error {
	if err := s.executable(p); err != nil {
		return err
	}
	fds, err := listNumbers(p.fd, "fd")
	if err != nil && !gone(err) {
		s.out.Problem(problemOf(err, p.path("fd")))
	}
	for _, fd := range fds {
		name := "fd/" + strconv.FormatInt(fd, 10)
		target, err := p.link(name)
		if err != nil || !strings.HasSuffix(target, deletedSuffix) {
			continue
		}
		if err := s.take(p, name, target, ruleFD); err != nil {
			return err
		}
	}
	return s.mappings(p)
}

func (p *process) path(name string) string {
	return "/proc/" + strconv.FormatInt(p.pid, 10) + "/" + name
}

// executable takes an executable that has no name any more, or whose name
// means another file by now.
func (s *rescue) executable(p *process) error {
	target, err := p.link("exe")
	if err != nil {
		if !gone(err) {
			s.out.Problem(problemOf(err, p.path("exe")))
		}
		return nil
	}
	st, err := p.statLink("exe")
	if err != nil {
		return nil
	}
	if !st.deleted && !s.replaced(p, target, st) {
		return nil
	}
	return s.take(p, "exe", target, ruleExe)
}

// replaced reports whether the name leads to another file than the one that
// runs, seen from the process's own root.
func (s *rescue) replaced(p *process, target string, running linked) bool {
	if m, ok := s.h.MountOf(target); ok && m.Storage() == collect.Remote {
		return false
	}
	named, err := p.statLink("root" + target)
	if err != nil {
		return gone(err)
	}
	return named.inode != running.inode || named.dev != running.dev
}

// mappings takes mapped files without a name: a library or memfd whose
// descriptor was closed is held by nothing else.
func (s *rescue) mappings(p *process) error {
	maps, more, err := p.execMaps()
	if err != nil && !errors.Is(err, collect.ErrTimeout) {
		return nil // a kernel thread, ended, or not permitted, which fd told
	}
	if more || err != nil {
		detail := "only some of the executable mappings were looked at"
		if err != nil {
			detail += ": " + err.Error()
		}
		s.out.Problem(evidence.Problem{
			Code: evidence.TooBig, Path: p.path("maps"), Detail: detail, Ref: evidence.Ref{Offset: -1, Length: -1},
		})
	}
	for _, m := range maps {
		target := string(m.Path)
		if !strings.HasSuffix(target, deletedSuffix) {
			continue
		}
		if err := s.take(p, "map_files/"+m.Start+"-"+m.End, target, ruleMaps); err != nil {
			return err
		}
	}
	return nil
}

// take takes the regular file behind a link of the process, once.
func (s *rescue) take(p *process, name, target, rule string) error {
	st, err := p.statLink(name)
	if err != nil {
		if !gone(err) {
			s.out.Problem(problemOf(err, p.path(name)))
		}
		return nil
	}
	if !st.regular() {
		return nil
	}
	s.count[rule]++
	it := evidence.Item{
		Kind: evidence.KindStream, Source: "proc", Path: p.path(name), Link: nameOf(target, st.deleted), Rule: rule,
	}
	key := exeKey{dev: st.dev, inode: st.inode}
	if s.h.Excluded(st.dev, st.inode) {
		return nil
	}
	if first, again := s.taken[key]; again {
		it.Kind, it.Detail = evidence.KindSkipped, "the same file as "+first
		return s.out.Note(s.ctx, it)
	}
	f, err := p.open(name)
	if err != nil {
		if gone(err) {
			return nil
		}
		it.Kind, it.Detail = evidence.KindError, err.Error()
		if codeOf(err) == evidence.Denied {
			it.Kind = evidence.KindDenied
		}
		s.out.Problem(problemOf(err, it.Path))
		return s.out.Note(s.ctx, it)
	}
	defer f.Close()
	s.taken[key] = it.Path
	return s.out.Open(s.ctx, it, f)
}
