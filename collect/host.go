package collect

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Errors of Host that callers tell apart with errors.Is. Others wrap the
// system's error (fs.ErrNotExist, fs.ErrPermission, unix.EIO …).
var (
	// ErrTooBig says that a file is longer than the caller allowed.
	ErrTooBig = errors.New("longer than the limit")
	// ErrNotRegular says that content was asked of something that is no
	// regular file: a folder, a link, a device, a FIFO or a socket.
	ErrNotRegular = errors.New("not a regular file")
	// ErrUnsupported says that this program was built for a system whose
	// hosts it cannot collect, or that cannot be asked for this.
	ErrUnsupported = errors.New("not supported on this system")
	// ErrTimeout says that a file system did not answer in time.
	ErrTimeout = errors.New("the file system did not answer in time")
)

// Host is the machine being collected: the running one, or one whose file
// systems are mounted below Root. All paths its methods take are absolute
// paths of the host as raw bytes; they are resolved inside Root, links too.
// Get one from OpenHost. The methods are safe for concurrent use.
type Host struct {
	Root string // "/" for the running host
	Live bool   // processes, network and kernel state can be asked

	// What the run asks of the packet capture: how long it goes on at least,
	// even when everything else is done sooner (0: as long as the rest
	// takes), and on which interfaces (none: all that are up). A capture
	// ends when its context does, and then returns nil.
	CaptureFor        time.Duration
	CaptureInterfaces []string

	sys    hostSystem // what only this system's code knows of the host
	system string     // see System
	detect sync.Once

	rootFD    int
	realRoot  string      // Root without symbolic links, as mountinfo names it
	noXattrAt atomic.Bool // the kernel has no listxattrat(2)

	ownMu sync.Mutex
	own   map[fileID]struct{}

	names  sync.Once
	users  map[uint32]string
	groups map[uint32]string

	mountMu sync.Mutex
	mounts  []MountPoint
	strikes map[int64]int // by mount: errands lost to it
	struck  atomic.Bool   // there are strikes
	errands errands

	effectsMu sync.Mutex
	effects   []string
	hashed    hashed

	governor *governor  // nil: nothing is bounded
	planned  *planCount // not nil: a run is only planned, no file is opened
	doing    activity

	looks     atomic.Int64 // at the metadata of a name
	opened    atomic.Int64 // files opened for reading
	withAtime atomic.Int64 // of these, opened without O_NOATIME
	links     atomic.Int64 // symbolic links read, which moves their access time
}

type fileID struct {
	dev   string
	inode uint64
}

// DirEntry is one name in a folder. Type holds the file type bits of st_mode
// (unix.S_IFREG and so on), 0 when the file system does not say.
type DirEntry struct {
	Name string
	Type uint32
}

// Exclude names a file of our own (the bundle being written, a log): it is
// never collected, by whatever path it is reached. dev is "major:minor" as
// evidence.Stat has it.
func (h *Host) Exclude(dev string, inode uint64) {
	h.ownMu.Lock()
	defer h.ownMu.Unlock()
	if h.own == nil {
		h.own = map[fileID]struct{}{}
	}
	h.own[fileID{dev, inode}] = struct{}{}
}

// Excluded reports whether Exclude named this file.
func (h *Host) Excluded(dev string, inode uint64) bool {
	h.ownMu.Lock()
	defer h.ownMu.Unlock()
	_, own := h.own[fileID{dev, inode}]
	return own
}

// Opened returns how many files were opened for reading so far and how many
// of these without O_NOATIME, so that their access times may have moved.
func (h *Host) Opened() (files, withAtime int64) {
	return h.opened.Load(), h.withAtime.Load()
}

// maxEffects bounds what Effect keeps.
const maxEffects = 1000

// Effect notes for the footprint what the run did to the host beyond reading,
// in words.
func (h *Host) Effect(what string) {
	h.effectsMu.Lock()
	defer h.effectsMu.Unlock()
	switch n := len(h.effects); {
	case n < maxEffects:
		h.effects = append(h.effects, what)
	case n == maxEffects:
		h.effects = append(h.effects, "and more of the kind")
	}
}

// LinksRead returns how many symbolic links were read or followed so far in a
// way that may move their access times.
func (h *Host) LinksRead() int64 { return h.links.Load() }

// Walker is what WalkWith calls. Visit is required.
type Walker struct {
	// Visit gets each name with its metadata, a folder before its content.
	// An error ends the walk. ErrSkipFolder leaves out what is below a folder.
	Visit func(path string, st *evidence.Stat) error
	// Failed gets each name whose metadata or content list cannot be read.
	Failed func(path string, err error)
	// LeftOut gets each folder that is not entered and each own file, with
	// the reason.
	LeftOut func(path, reason string)
	// Xattrs, when not 0, has the extended attributes of each name read into
	// its metadata, up to so many bytes of a name; more are a Failed one.
	Xattrs int
}

// ErrSkipFolder, returned by Walker.Visit for a folder, leaves out its content.
var ErrSkipFolder = errors.New("leave out this folder")

// pollWait bounds a read of a file that says "nothing yet" (/proc/kmsg).
const pollWait = 5 * time.Second

// Bounds on extended attributes: the kernel's own per list and per value, and
// ours over all values of one file.
const (
	maxXattrList  = 64 << 10
	maxXattrTotal = 1 << 20
)

// plan counts a file that a run would open, and refuses it.
func (h *Host) plan(path string) error {
	st, err := h.Stat(path)
	if err != nil {
		return err
	}
	h.planned.opened(st)
	return &fs.PathError{Op: "open", Path: path, Err: ErrPlanned}
}

// readSmall reads up to max bytes with few allocations; hint is the stated
// size, 0 for the files of /proc.
func readSmall(f *os.File, hint, max int64) ([]byte, error) {
	_ = f.SetReadDeadline(time.Now().Add(pollWait)) // refused where the file cannot make us wait
	if hint <= 0 {
		hint = 4096
	}
	buf := make([]byte, 0, min(hint+1, max+1, 1<<20))
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := f.Read(buf[len(buf):min(int64(cap(buf)), max+1)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > max {
			return buf[:max], &fs.PathError{Op: "read", Path: f.Name(), Err: ErrTooBig}
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}
