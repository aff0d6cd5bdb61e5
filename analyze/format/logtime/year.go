package logtime

import "sort"

// Steps finds where the year changes in a log whose lines leave it out. One
// pass over the log calls Add for every stamp; Year then answers for any
// offset once a year is anchored. Only the places where the year changes are
// kept, so memory does not grow with the log.
type Steps struct {
	at      []step // places where the relative year changes
	prev    int64  // key of the stamp before
	rel     int    // relative year of the stamp before
	seen    bool
	last    Stamp // last stamp that was added
	leaps   []int // relative years that have a 29 February, in order of appearance
	fixed   bool  // a stamp with a year was seen
	base    int   // absolute year of relative year 0, when fixed
	dropped bool
}

type step struct {
	offset int64
	rel    int
}

// maxSteps bounds what a hostile log can make Steps remember.
const maxSteps = 4096

const (
	halfYear = 180 * 86400
	// A jump ahead by almost a year is a line of December that was written
	// after the first of January; a smaller one is a log that was silent.
	almostYear = 360 * 86400
)

// Add takes the stamp of the line at offset. Offsets must not decrease.
func (y *Steps) Add(offset int64, s *Stamp) {
	key := s.key()
	switch d := key - y.prev; {
	case y.fixed && s.Year != 0:
		if by := s.Year - y.base - y.rel; by != 0 {
			y.move(offset, by)
		}
	case !y.seen:
	case d < -halfYear:
		y.move(offset, 1)
	case d > almostYear:
		y.move(offset, -1)
	}
	y.prev, y.seen, y.last = key, true, *s
	if s.Month == 2 && s.Day == 29 {
		y.leap()
	}
	if s.Year != 0 && !y.fixed {
		y.Fix(s.Year)
	}
}

// Current returns the year of the stamp that was added last, once the log has
// stated a year.
func (y *Steps) Current() (year int, ok bool) { return y.base + y.rel, y.fixed }

func (y *Steps) move(offset int64, by int) {
	if len(y.at) >= maxSteps {
		y.dropped = true
		return
	}
	y.rel += by
	y.at = append(y.at, step{offset, y.rel})
}

func (y *Steps) leap() {
	for _, r := range y.leaps {
		if r == y.rel {
			return
		}
	}
	if len(y.leaps) < maxSteps/64 {
		y.leaps = append(y.leaps, y.rel)
	}
}

// Fix states the year of the stamp that was added last.
func (y *Steps) Fix(year int) { y.base, y.fixed = year-y.rel, true }

// Fixed reports whether the log itself states a year somewhere.
func (y *Steps) Fixed() bool { return y.fixed }

// Seen reports whether any stamp was added.
func (y *Steps) Seen() bool { return y.seen }

// Overflowed reports whether the log changes its year more often than is
// remembered; years after that point are not reliable.
func (y *Steps) Overflowed() bool { return y.dropped }

// FixFirst states the year of the first stamp.
func (y *Steps) FixFirst(year int) { y.base, y.fixed = year, true }

// FixBefore anchors the last stamp to the latest year in which it is not
// after wall, seconds of the same wall clock, and in which every 29 February
// of the log exists. It returns by how many seconds the last stamp is earlier.
func (y *Steps) FixBefore(wall int64, around int) (earlier int64) {
	for year := around + 1; year > around-12; year-- {
		sec, ok := y.last.Wall(year)
		if !ok || sec > wall || !y.leapsFit(year-y.rel) {
			continue
		}
		y.Fix(year)
		return wall - sec
	}
	y.Fix(around)
	return 0
}

func (y *Steps) leapsFit(base int) bool {
	for _, r := range y.leaps {
		if !leap(base + r) {
			return false
		}
	}
	return true
}

// Walker answers for offsets that do not decrease.
type Walker struct {
	steps *Steps
	next  int
	rel   int
}

// Walker returns a Walker from the beginning of the log.
func (y *Steps) Walker() *Walker { return &Walker{steps: y} }

// Year returns the year of the stamp at offset.
func (w *Walker) Year(offset int64) int {
	for w.next < len(w.steps.at) && w.steps.at[w.next].offset <= offset {
		w.rel = w.steps.at[w.next].rel
		w.next++
	}
	return w.steps.base + w.rel
}

// Year returns the year of the stamp at offset, in any order.
func (y *Steps) Year(offset int64) int {
	i := sort.Search(len(y.at), func(i int) bool { return y.at[i].offset > offset })
	if i == 0 {
		return y.base
	}
	return y.base + y.at[i-1].rel
}
