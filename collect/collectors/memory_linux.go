package collectors

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/footprint"
	"github.com/exhibit-dfir/exhibit/internal/kcore"
)

// memorySymbols are what an analyst needs to make sense of memory: types
// (BTF), addresses, layout. Where RELEASE stands is the kernel's release.
var memorySymbols = []string{
	"/sys/kernel/btf/vmlinux", "/boot/System.map-RELEASE", "/boot/config-RELEASE", "/proc/config.gz",
	"/proc/kallsyms", "/sys/kernel/vmcoreinfo", "/proc/iomem", "/proc/version", "/sys/kernel/security/lockdown",
}

const (
	maxIomem  = 4 << 20
	maxConfig = 4 << 20
)

func collectMemory(ctx context.Context, opt MemoryOptions, h *collect.Host, out collect.Taker) error {
	release := kernelRelease(h)
	var symbols []string
	for _, path := range memorySymbols {
		if strings.Contains(path, "RELEASE") && release == "" {
			continue
		}
		symbols = append(symbols, strings.ReplaceAll(path, "RELEASE", release))
	}
	m := &memoryRun{out: out}
	m.sources = []physicalSource{
		{"/proc/kcore", m.openKcore}, {"/dev/crash", openDevice("/dev/crash", "")}, {"/dev/mem", openDevice("/dev/mem", "1:1")},
	}
	err := m.acquire(ctx, opt, h, release)
	// Also when memory itself could not be taken: then this is what there is.
	if err == nil || ctx.Err() == nil {
		err = errors.Join(err, takeFiles(ctx, out, "kernel symbols", symbols))
	}
	return errors.Join(err, m.finish(ctx))
}

// kernelRelease is the release as a part of a file name, "" when it is none.
func kernelRelease(h *collect.Host) string {
	text, err := h.ReadFile("/proc/sys/kernel/osrelease", 256)
	release := strings.TrimSpace(string(text))
	if err != nil || strings.ContainsAny(release, "/\x00") || release == "" {
		return ""
	}
	return release
}

// acquire takes memory from the first source that gives any.
func (m *memoryRun) acquire(ctx context.Context, opt MemoryOptions, h *collect.Host, release string) error {
	text, err := h.ReadFile("/proc/iomem", maxIomem)
	var ram []kcore.Range
	if err == nil {
		ram, err = kcore.SystemRAM(text)
	}
	if err != nil {
		return m.none(ctx, "which addresses are memory is not known: "+err.Error())
	}
	var reasons []string
	for _, source := range m.sources {
		img, err := source.open(h, ram)
		if err == nil {
			if err = img.readable(); err == nil {
				return m.from(ctx, img, opt.From)
			}
			img.close()
		}
		why := err.Error() + restrictions(h, source.name, release)
		reasons = append(reasons, source.name+": "+why)
		if err := m.record(MemoryRecord{What: "source", Source: source.name, Why: why}); err != nil {
			return err
		}
	}
	return m.none(ctx, strings.Join(reasons, "; "))
}

// from takes memory from a source that was found good.
func (m *memoryRun) from(ctx context.Context, img memoryImage, from uint64) error {
	defer img.close()
	if err := m.record(MemoryRecord{What: "source", Source: img.name, Used: true, Why: "the first that could be read"}); err != nil {
		return err
	}
	if len(m.notes) > 0 {
		if err := m.out.Stream(ctx, memoryItem(memoryNotes), bytes.NewReader(m.notes)); err != nil {
			return err
		}
	}
	return m.take(ctx, img, from)
}

// none records that there is no memory to be had, and why.
func (m *memoryRun) none(ctx context.Context, why string) error {
	it := memoryItem(MemoryName)
	it.Kind, it.Size, it.Detail = evidence.KindSkipped, 0, "main memory not taken: "+why
	m.lose(evidence.Unsupported, MemoryName, it.Detail)
	return m.out.Note(ctx, it)
}

func (m *memoryRun) openKcore(h *collect.Host, ram []kcore.Range) (memoryImage, error) {
	f, err := h.Open("/proc/kcore")
	if err != nil {
		return memoryImage{}, err
	}
	core, err := kcore.Open(f)
	var pieces []kcore.Piece
	if err == nil {
		pieces, err = core.Locate(ram)
	}
	if err != nil {
		f.Close()
		return memoryImage{}, fmt.Errorf("/proc/kcore: %w", err)
	}
	m.notes = core.Notes
	return memoryImage{name: "/proc/kcore", r: f, pieces: pieces, close: f.Close}, nil
}

// openDevice opens a device whose offsets are physical addresses. It is never
// opened before it was seen to be a character device of that number, so that
// a name that was put there does nothing.
func openDevice(path, number string) func(*collect.Host, []kcore.Range) (memoryImage, error) {
	return func(h *collect.Host, ram []kcore.Range) (memoryImage, error) {
		fail := func(err error) (memoryImage, error) {
			return memoryImage{}, &os.PathError{Op: "open", Path: path, Err: err}
		}
		st, err := h.Stat(path)
		if err != nil {
			return memoryImage{}, err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFCHR || number != "" && st.Rdev != number || !strings.HasPrefix(st.Rdev, "1:") && !strings.HasPrefix(st.Rdev, "10:") {
			return fail(errors.New("not the device of that name"))
		}
		if h.Root != "/" {
			return fail(errors.New("devices are read of the running root only"))
		}
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return fail(err)
		}
		footprint.ProcFile()
		f := os.NewFile(uintptr(fd), path)
		if now, err := h.StatFile(f); err != nil || now.Rdev != st.Rdev || now.Mode&unix.S_IFMT != unix.S_IFCHR {
			f.Close()
			return fail(errors.New("replaced while it was opened"))
		}
		return deviceImage(path, f, ram), nil
	}
}

// deviceImage is an opened device whose offsets are physical addresses.
func deviceImage(name string, f *os.File, ram []kcore.Range) memoryImage {
	img := memoryImage{name: name, r: f, close: f.Close}
	for _, r := range ram {
		img.pieces = append(img.pieces, kcore.Piece{Range: r, Offset: int64(r.Start)})
	}
	return img
}

// restrictions says in words which of the kernel's restrictions explain that
// a source cannot be read.
func restrictions(h *collect.Host, source, release string) string {
	var said strings.Builder
	// The mode in force stands in brackets: "none [integrity] confidentiality".
	if text, err := h.ReadFile("/sys/kernel/security/lockdown", 256); err == nil {
		if _, rest, ok := strings.Cut(string(text), "["); ok {
			if mode, _, ok := strings.Cut(rest, "]"); ok && mode != "none" {
				fmt.Fprintf(&said, " (kernel lockdown: %q)", mode)
			}
		}
	}
	options := map[string][]string{
		"/proc/kcore": {"CONFIG_PROC_KCORE"}, "/dev/mem": {"CONFIG_DEVMEM", "CONFIG_STRICT_DEVMEM"},
	}[source]
	config := kernelConfig(h, release)
	for _, option := range options {
		for line := range strings.Lines(config) {
			line = strings.TrimSpace(line)
			if line == option+"=y" || line == "# "+option+" is not set" {
				fmt.Fprintf(&said, " (%s)", line)
			}
		}
	}
	return said.String()
}

func kernelConfig(h *collect.Host, release string) string {
	if packed, err := h.ReadFile("/proc/config.gz", maxConfig); err == nil {
		if z, err := gzip.NewReader(bytes.NewReader(packed)); err == nil {
			if text, err := io.ReadAll(io.LimitReader(z, maxConfig)); err == nil {
				return string(text)
			}
		}
	}
	if release == "" {
		return ""
	}
	text, err := h.ReadFile("/boot/config-"+release, maxConfig)
	if err != nil {
		return ""
	}
	return string(text)
}
