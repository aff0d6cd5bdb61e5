package logtime

import "time"

// Clock turns the wall clock of one zone into instants. It remembers the
// zone's current period, so that a log in order costs a few comparisons per
// line. It belongs to one goroutine.
type Clock struct {
	loc    *time.Location
	lo, hi int64 // wall seconds between which offset is the only one
	offset int64
}

// NewClock returns a Clock of loc.
func NewClock(loc *time.Location) *Clock { return &Clock{loc: loc} }

// Instant is the meaning of a wall clock time.
type Instant struct {
	Unix   int64 // seconds since 1970 UTC
	Last   int64 // the later meaning when the hour was repeated; Unix otherwise
	Offset int64 // seconds east of UTC that were applied to get Unix
	Gap    bool  // no such wall time: the clock was moved forward over it
}

// Instant returns the meaning of wall, seconds since 1970 as the zone's clock
// showed them. An hour that was shown twice when the clock was moved back has
// two meanings; Unix is the first.
func (c *Clock) Instant(wall int64) Instant {
	if wall >= c.lo && wall < c.hi {
		return Instant{Unix: wall - c.offset, Last: wall - c.offset, Offset: c.offset}
	}
	before, after := c.offsetAt(wall-86400), c.offsetAt(wall+86400)
	if before == after {
		c.remember(wall - before)
		return Instant{Unix: wall - before, Last: wall - before, Offset: before}
	}
	first := c.offsetAt(wall-before) == before
	second := c.offsetAt(wall-after) == after
	switch {
	case first && second:
		return Instant{Unix: wall - before, Last: wall - after, Offset: before}
	case second:
		return Instant{Unix: wall - after, Last: wall - after, Offset: after}
	default:
		return Instant{Unix: wall - before, Last: wall - before, Offset: before, Gap: !first}
	}
}

func (c *Clock) offsetAt(unix int64) int64 {
	_, off := time.Unix(unix, 0).In(c.loc).Zone()
	return int64(off)
}

// remember stores the part of the zone period around unix that is more than a
// day from its ends.
func (c *Clock) remember(unix int64) {
	t := time.Unix(unix, 0).In(c.loc)
	_, off := t.Zone()
	start, end := t.ZoneBounds()
	c.offset = int64(off)
	c.lo, c.hi = -1<<60, 1<<60
	if !start.IsZero() {
		c.lo = start.Unix() + c.offset + 86400
	}
	if !end.IsZero() {
		c.hi = end.Unix() + c.offset - 86400
	}
}
