package collectors

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/netlink"
)

func collectAudit(ctx context.Context, _ *collect.Host, out collect.Taker) error {
	s := newSets(record.Audit, record.AuditRules)
	st, err := netlink.Audit()
	switch {
	case err == nil:
		s.put(record.Audit, record.AuditStatus{
			Enabled: int64(st.Enabled), Failure: int64(st.Failure), PID: int64(st.PID), RateLimit: int64(st.RateLimit),
			BacklogLimit: int64(st.BacklogLimit), Lost: int64(st.Lost), Backlog: int64(st.Backlog), Features: int64(st.Features),
		})
	case errors.Is(err, netlink.ErrNotThere): // a kernel without CONFIG_AUDIT
		s.absent[record.Audit], s.absent[record.AuditRules] = err, err
		return s.write(ctx, out, "netlink")
	default:
		out.Problem(problemOf(err, record.Audit))
	}
	err = netlink.AuditRules(func(b []byte) {
		text, ok := netlink.AuditRule(b)
		if !ok {
			text = "not readable"
		}
		s.put(record.AuditRules, record.AuditRule{Text: record.Bytes(text), Data: hex.EncodeToString(b)})
	})
	if err != nil {
		out.Problem(problemOf(err, record.AuditRules))
	}
	return s.write(ctx, out, "netlink")
}
