package bundle

import "sort"

// frameGroupSize is how many frames share one pair of offsets: looking one up
// adds at most that many sizes.
const frameGroupSize = 64

// frameList is the frames of a file in order, each behind the one before it,
// in a little more than 8 bytes each: a small file may hold millions. It only
// grows, and what is in it can be read by many. A nil list is empty.
type frameList struct {
	groups []*frameGroup
	last   frameAt // of no size: where the next one begins
	n      int
	form   form // of all frames
}

type frameGroup struct {
	file, tar int64
	spans     [frameGroupSize]span
}

func (l *frameList) len() int {
	if l == nil {
		return 0
	}
	return l.n
}

func (l *frameList) add(packed, plain int) {
	if l.n%frameGroupSize == 0 {
		l.groups = append(l.groups, &frameGroup{file: l.last.file, tar: l.last.tar})
	}
	l.groups[l.n/frameGroupSize].spans[l.n%frameGroupSize] = span{uint32(packed), uint32(plain)}
	l.last.file += int64(packed)
	l.last.tar += int64(plain)
	l.n++
}

// end is where the file and the tar go on behind the last frame.
func (l *frameList) end() frameAt {
	if l == nil {
		return frameAt{}
	}
	return l.last
}

func (l *frameList) at(i int) frameAt {
	g := l.groups[i/frameGroupSize]
	f := frameAt{file: g.file, tar: g.tar, form: l.form}
	for _, s := range g.spans[:i%frameGroupSize] {
		f.file += int64(s.packed)
		f.tar += int64(s.plain)
	}
	s := g.spans[i%frameGroupSize]
	f.packed, f.plain = int(s.packed), int(s.plain)
	return f
}

// search is the first frame for which a condition holds that, once true, stays
// so; len when there is none.
func (l *frameList) search(ok func(frameAt) bool) int {
	if l.len() == 0 {
		return 0
	}
	g := sort.Search(len(l.groups), func(i int) bool { return ok(l.at(min((i+1)*frameGroupSize, l.n) - 1)) })
	first := g * frameGroupSize
	if first >= l.n {
		return l.n
	}
	return first + sort.Search(min(frameGroupSize, l.n-first), func(i int) bool { return ok(l.at(first + i)) })
}

// holding is the frame that holds a tar offset.
func (l *frameList) holding(off int64) int {
	return l.search(func(f frameAt) bool { return f.tar+int64(f.plain) > off })
}

// from is the frame that begins at a place of the file and of the tar.
func (l *frameList) from(file, tar int64) (frameAt, bool) {
	i := l.search(func(f frameAt) bool { return f.file >= file })
	if i == l.len() {
		return frameAt{}, false
	}
	f := l.at(i)
	return f, f.file == file && f.tar == tar
}

func (l *frameList) equal(o *frameList) bool {
	if l.len() != o.len() || l.end() != o.end() {
		return false
	}
	for i := range l.len() {
		if l.span(i) != o.span(i) {
			return false
		}
	}
	return true
}

func (l *frameList) span(i int) span { return l.groups[i/frameGroupSize].spans[i%frameGroupSize] }
