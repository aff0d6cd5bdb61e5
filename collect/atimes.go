package collect

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// atimeSample is how many of the files read are looked at again at the end.
const atimeSample = 64

// atimes is a sample of the files that were opened, each as likely to be in it
// as any other (reservoir sampling), with their access times from before.
type atimes struct {
	mu     sync.Mutex
	of     int64
	sample []AtimeSeen
}

// AtimeSample compares access times from before a file was opened with those
// at the end of the run.
type AtimeSample struct {
	Of    int64       `json:"of"` // files opened by a definition
	Files []AtimeSeen `json:"files"`
	Moved int         `json:"moved"` // files of the sample; whoever else reads a file moves it, too
	Lost  int         `json:"lost"`  // gone at the end, or no longer to be looked at
}

// AtimeSeen is one file of the sample; times in ns since 1970.
type AtimeSeen struct {
	Path   record.Bytes `json:"path"`
	Before int64        `json:"before"`
	After  int64        `json:"after"` // 0: lost
}

// opened offers a file that is about to be opened.
func (a *atimes) opened(path string, accessed time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of++
	seen := AtimeSeen{Path: record.Bytes(path), Before: accessed.UnixNano()}
	if len(a.sample) < atimeSample {
		a.sample = append(a.sample, seen)
	} else if i := rand.Int64N(a.of); i < atimeSample {
		a.sample[i] = seen
	}
}

// compare looks at the sample again. A file system that stopped answering
// loses its files, and holds this up no more than any other look.
func (a *atimes) compare(h *Host) AtimeSample {
	a.mu.Lock()
	out := AtimeSample{Of: a.of, Files: slices.Clone(a.sample)}
	a.mu.Unlock()
	slices.SortFunc(out.Files, func(x, y AtimeSeen) int { return strings.Compare(string(x.Path), string(y.Path)) })
	for i := range out.Files {
		f := &out.Files[i]
		st, err := h.Stat(string(f.Path))
		switch {
		case err != nil:
			out.Lost++
		default:
			if f.After = st.Accessed.UnixNano(); f.After != f.Before {
				out.Moved++
			}
		}
	}
	return out
}
