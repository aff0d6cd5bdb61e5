package collectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

const linuxContainersName = "linux_containers"

var linuxContainers = register(Containers(LeaveSecrets))

// Containers collects what Docker, containerd, Podman, CRI-O and Kubernetes
// keep on disk, a record of every container, and what each has changed in its
// file system. No engine is asked. The shelf holds the one that leaves secrets
// where they are.
func Containers(secrets Secrets) collect.Collector {
	return collect.Collector{
		Name:     linuxContainersName,
		Doc:      "Containers of Docker, containerd, Podman and CRI-O from disk, what each changed in its file system, and Kubernetes' state of the node",
		Tier:     collect.TierSessions,
		Deadline: time.Hour,
		Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
			return collectContainers(ctx, h, out, secrets)
		},
	}
}

// containerLook is one run of the collector.
type containerLook struct {
	ctx     context.Context
	host    *collect.Host
	out     collect.Taker
	secrets Secrets
	found   engines

	list []*record.Container
	byID map[string]*record.Container // of any engine; containerd's of Docker are Docker's
	boot int64
	held int // bytes of the records
	over int // containers left out because there are too many
}

// maxContainers and maxHeld bound the records held at once.
const (
	maxContainers = 10000
	maxHeld       = 12 << 20
)

func collectContainers(ctx context.Context, h *collect.Host, out collect.Taker, secrets Secrets) error {
	l := &containerLook{ctx: ctx, host: h, out: out, secrets: secrets, byID: map[string]*record.Container{}}
	l.found = findEngines(ctx, h, out)
	l.readBoot()
	for _, look := range []func(){l.docker, l.containerd, l.storage, l.unowned} {
		if look(); ctx.Err() != nil {
			break
		}
	}
	if l.over > 0 {
		out.Problem(problemAt(evidence.TooBig, record.Containers, fmt.Sprintf("%d containers left out: %d, or %d bytes of records, are the most", l.over, maxContainers, maxHeld)))
	}
	lines := collect.NewRecords(ctx, out, evidence.Item{Path: record.Containers, Source: "file", Rule: "containers"})
	var err error
	for _, c := range l.list {
		l.process(c)
		if err = lines.Write(c); err != nil {
			break
		}
	}
	if err = errors.Join(err, lines.Close()); err != nil {
		return err
	}
	out.Seen("containers", len(l.list))
	if err := ctx.Err(); err != nil {
		return err
	}
	run := pathRun{collector: linuxContainersName, host: h, out: out, homes: l.found.homes, secrets: secrets}
	if err := takePaths(ctx, run, containerDefinitions(l.found)); err != nil {
		return err
	}
	return l.changes()
}

// add keeps a container, or returns the one that is known by its id already.
func (l *containerLook) add(c *record.Container) *record.Container {
	if known := l.byID[c.ID]; known != nil && known.Engine != "containerd" && c.Engine == "containerd" {
		return known
	}
	text, err := json.Marshal(c)
	if l.held += len(text); err != nil || l.held > maxHeld || len(l.list) >= maxContainers {
		l.over++
		return c
	}
	l.list = append(l.list, c)
	if l.byID[c.ID] == nil {
		l.byID[c.ID] = c
	}
	return c
}

// lost records what could not be read; that it is not there is no loss.
func (l *containerLook) lost(name string, err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p := evidence.Problem{Code: codeOf(err), Path: name, Detail: err.Error(), Ref: evidence.Ref{Offset: -1, Length: -1}}
		if errors.Is(err, collect.ErrTooBig) {
			p.Code = evidence.TooBig
		}
		l.out.Problem(p)
	}
}

// maxContainerJSON bounds one of the engines' JSON files.
const maxContainerJSON = 4 << 20

// readJSON reads a JSON file into v and reports whether it was there. What is
// wrong with it goes to the record, or, where there is none, to a problem.
func (l *containerLook) readJSON(name string, v any, c *record.Container) bool {
	text, err := l.host.ReadFile(name, maxContainerJSON)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false
	case err != nil:
		l.lost(name, err)
	default:
		if err = decodeJSON(text, v); err == nil {
			if c != nil {
				c.Sources = append(c.Sources, record.Bytes(name))
			}
			return true
		}
		l.out.Problem(problemAt(evidence.Corrupt, name, err.Error()))
	}
	if c != nil {
		c.Errors = append(c.Errors, path.Base(name)+": "+withoutPath(err))
	}
	return false
}

// decodeJSON reads one value. A field of an unexpected type costs that field
// only: engines change their files, and the rest is as good as before.
func decodeJSON(text []byte, v any) error {
	err := json.Unmarshal(text, v)
	if odd := (*json.UnmarshalTypeError)(nil); errors.As(err, &odd) {
		return nil
	}
	return err
}

// text reads a file of one line.
func (l *containerLook) text(name string) string {
	b, err := l.host.ReadFile(name, 64<<10)
	l.lost(name, err)
	return strings.TrimSpace(string(b))
}

// names lists the folders in a folder.
func (l *containerLook) names(dir string) []string {
	entries, err := l.host.ReadDir(dir)
	l.lost(dir, err)
	var out []string
	for _, e := range entries {
		if e.Type == modeDir || e.Type == 0 {
			out = append(out, e.Name)
		}
	}
	return out
}

// plainName says that text from an engine's file is one name, so that a path
// made of it stays in its folder.
func plainName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, "/\x00")
}

// rfc3339 is a time of Go's JSON as ns since 1970, 0 for none and for Go's
// zero time.
func rfc3339(s string) int64 {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 1971 || t.Year() > 2261 {
		return 0
	}
	return t.UnixNano()
}

// environment gives the names of variables, with values where they were
// ordered.
func (l *containerLook) environment(env []string) []string {
	if l.secrets == TakeSecrets {
		return env
	}
	out := make([]string, len(env))
	for i, v := range env {
		out[i], _, _ = strings.Cut(v, "=")
	}
	return out
}

// withoutPath leaves the path out that the record has already.
func withoutPath(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Op + ": " + p.Err.Error()
	}
	return err.Error()
}

// readBoot reads when the kernel started, which start times count from.
func (l *containerLook) readBoot() {
	if l.host.Live {
		text, _ := l.host.ReadFile("/proc/stat", 16<<20) //nolint:errcheck // the processes collector says so
		l.boot = parseBootTime(text)
	}
}

// process looks whether the process that the files name is running, and is the
// container's: numbers are given again, and files outlive a crash.
func (l *containerLook) process(c *record.Container) {
	if !l.host.Live || c.PID <= 0 {
		return
	}
	dir := "/proc/" + strconv.FormatInt(c.PID, 10)
	text, err := l.host.ReadFile(dir+"/stat", 64<<10)
	if err != nil {
		c.Errors = append(c.Errors, fmt.Sprintf("process %d is not running", c.PID))
		return
	}
	st, ok := parseProcStat(text)
	if !ok {
		c.Errors = append(c.Errors, fmt.Sprintf("process %d: stat is not in the kernel's format", c.PID))
		return
	}
	text, _ = l.host.ReadFile(dir+"/cgroup", 64<<10) //nolint:errcheck // ended meanwhile
	// /proc counts in hundredths of a second whatever the kernel's clock
	// (USER_HZ); the boot time is good to a second.
	const ticks = 100
	began := startNS(l.boot, st.startTicks, ticks)
	near := c.Started != 0 && began > c.Started-processSlack && began < c.Started+processSlack
	if !near && (c.ID == "" || !strings.Contains(string(text), c.ID)) {
		c.Errors = append(c.Errors, fmt.Sprintf("process %d is another's: it is in no control group of the container and did not start when the container did", c.PID))
		return
	}
	c.StartTicks = st.startTicks
	if at := parseCgroup(text); len(at) > 0 {
		c.Cgroup = at
	}
	c.Namespaces = map[string]string{}
	for _, name := range []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"} {
		if target, err := l.host.Readlink(dir + "/ns/" + name); err == nil {
			c.Namespaces[name] = target
		}
	}
}

// processSlack is how far apart the starts of a container and of its process
// may be, in ns.
const processSlack = 10e9
