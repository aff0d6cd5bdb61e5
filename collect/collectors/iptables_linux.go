package collectors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/xtables"
	"golang.org/x/sys/unix"
)

func collectIPTables(ctx context.Context, h *collect.Host, out collect.Taker) error {
	s := newSets(record.IPTables)
	err := eachNetns(ctx, h, out, record.IPTables, func(ns *netns) error {
		for _, family := range []xtables.Family{xtables.IPv4, xtables.IPv6} {
			names, size, err := readAt(unix.AT_FDCWD, "/proc/thread-self/net/"+family.Names, nil, maxSmall)
			if errors.Is(err, fs.ErrNotExist) {
				continue // not loaded
			}
			s.lostIn(out, ns, record.IPTables, err)
			for name := range strings.FieldsSeq(string(names[:size])) {
				if err := takeIPTable(ctx, out, ns, family, name, s); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return errors.Join(err, s.write(context.WithoutCancel(ctx), out, "getsockopt"))
}

// takeIPTable takes one table. An error means that the run ends.
func takeIPTable(ctx context.Context, out collect.Taker, ns *netns, family xtables.Family, name string, s *sets) error {
	info, b, err := family.Table(name)
	if err != nil {
		s.lostIn(out, ns, record.IPTables, fmt.Errorf("table %q of %s: %w", name, family.Name, err))
		return nil
	}
	text, partly := family.Text(info, b)
	r := record.IPTable{
		Netns: ns.name, Family: family.Name, Table: name, Entries: int64(info.Entries), Text: record.Bytes(text),
		Content: "live/iptables/" + strconv.FormatUint(ns.inode, 10) + "-" + family.Name + "-" + name,
	}
	switch {
	case errors.Is(partly, xtables.ErrLong):
		out.Problem(problemAt(evidence.TooBig, r.Content, partly.Error()))
	case partly != nil:
		out.Problem(problemAt(evidence.Corrupt, r.Content, partly.Error()))
	}
	it := evidence.Item{Kind: evidence.KindStream, Path: r.Content, Source: "getsockopt", Size: -1, Rule: "iptables entries"}
	if err := out.Stream(ctx, it, bytes.NewReader(b)); err != nil {
		return err
	}
	s.put(record.IPTables, r)
	return nil
}
