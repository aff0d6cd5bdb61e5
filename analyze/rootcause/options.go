package rootcause

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
)

const second = int64(time.Second)

// Options bound and inform the walk. The zero Options are usable: nothing is
// left out by time, private address ranges count as internal.
type Options struct {
	// Horizon is how far before the alert causes are looked for; 0: no limit.
	Horizon time.Duration
	// MaxEdges bounds the edges of the graph that is shown; 0: 50.
	MaxEdges int
	// MaxDepth bounds the steps from the alert back; 0: 40.
	MaxDepth int
	// MaxNodes bounds the nodes that are expanded; 0: 5,000.
	MaxNodes int
	// MaxFacts bounds the retained events; 0: 1,000,000 (about 170 bytes each
	// and their distinct strings). Beyond it, those longest
	// before the alert and after it are left out, and counted in Graph.Gaps.
	MaxFacts int
	// Internal lists the address ranges of the organisation. Nil: the private,
	// loopback and link-local ranges.
	Internal []netip.Prefix
	// Evidence, where given, is asked for cron tables, units and key lists, so
	// that their content and not only their time can be joined. Optional.
	Evidence []analyze.Evidence
	// Log, where given, is told what the walk does.
	Log *slog.Logger
}

func (o Options) defaults() Options {
	if o.MaxEdges <= 0 {
		o.MaxEdges = 50
	}
	if o.MaxDepth <= 0 {
		o.MaxDepth = 40
	}
	if o.MaxNodes <= 0 {
		o.MaxNodes = 5000
	}
	if o.MaxFacts <= 0 {
		o.MaxFacts = 1_000_000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// internal reports whether an address belongs to the organisation.
func (o *Options) internal(ip string) bool {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	if o.Internal == nil {
		return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
	}
	for _, p := range o.Internal {
		if p.Contains(a) {
			return true
		}
	}
	return a.IsLoopback()
}
