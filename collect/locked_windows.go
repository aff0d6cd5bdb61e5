package collect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sys/windows"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// openLocked opens a file that its user keeps others from reading: a registry
// hive, a file of NTFS itself. Asking for its metadata is refused to nobody, and
// neither is asking where its clusters are (FSCTL_GET_RETRIEVAL_POINTERS); they
// are read from the volume, which needs an administrator. No shadow copy is
// made. What the file system holds in memory and has not written is not seen.
func (h *Host) openLocked(path string) (lockedFile, error) {
	m, ok := h.MountOf(path)
	if !h.Live || !ok || m.FSType != "ntfs" || h.planned != nil {
		return nil, ErrUnsupported
	}
	f, err := Patiently(h, lookWait, func(f *rawFile) { f.Close() }, func() (*rawFile, error) { return h.openRaw(path, m.Point[1:]) })
	if err != nil {
		return nil, err
	}
	h.opened.Add(1)
	return f, nil
}

func (h *Host) openRaw(path, drive string) (_ *rawFile, err error) {
	place, err := h.openAt(path, accessLook, lookOptions)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err) // not locked but refused or gone
	}
	f := &rawFile{h: h, place: place, volume: windows.InvalidHandle}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	attributes, tag, err := attributesOf(place)
	if err != nil {
		return nil, err
	}
	if attributes&attributesElsewhere != 0 {
		return nil, errElsewhere
	}
	if windowsMode(attributes, tag) != modeRegular {
		return nil, ErrUnsupported
	}
	if attributes&(attributeCompressed|attributeEncrypted) != 0 {
		return nil, errors.New("compressed or encrypted by NTFS, which is not read from the volume")
	}
	st, err := statHandle(place)
	if err != nil {
		return nil, err
	}
	f.size = st.Size
	if f.runs, err = extentsOf(place); err != nil {
		return nil, fmt.Errorf("where its clusters are: %w", err)
	}
	name, err := windows.UTF16PtrFromString(`\\.\` + drive)
	if err != nil {
		return nil, err
	}
	if f.volume, err = windows.CreateFile(name, windows.GENERIC_READ, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING, 0, 0); err != nil {
		f.volume = windows.InvalidHandle
		return nil, fmt.Errorf("open volume %s: %w", drive, err)
	}
	// NTFS_VOLUME_DATA_BUFFER (MS-FSCC 2.3.29): bytes per cluster at 44.
	var data [96]byte
	var n uint32
	if err := windows.DeviceIoControl(f.volume, fsctlVolumeData, nil, 0, &data[0], uint32(len(data)), &n, nil); err != nil {
		return nil, fmt.Errorf("ask volume %s: %w", drive, err)
	}
	if f.cluster = int64(binary.LittleEndian.Uint32(data[44:])); f.cluster < 512 || f.cluster > 2<<20 || f.cluster&(f.cluster-1) != 0 {
		return nil, fmt.Errorf("volume %s states clusters of %d bytes", drive, f.cluster)
	}
	return f, nil
}

// fsctlVolumeData is FSCTL_GET_NTFS_VOLUME_DATA (MS-FSCC 2.3.28).
const fsctlVolumeData = 0x00090064

// maxExtents bounds the extents of one file.
const maxExtents = 1 << 20

func extentsOf(place windows.Handle) ([]clusters, error) {
	var runs []clusters
	buf := make([]byte, 16+16*4096)
	for vcn := int64(0); len(runs) < maxExtents; {
		ask := binary.LittleEndian.AppendUint64(nil, uint64(vcn))
		var n uint32
		err := windows.DeviceIoControl(place, windows.FSCTL_GET_RETRIEVAL_POINTERS, &ask[0], 8, &buf[0], uint32(len(buf)), &n, nil)
		if err != nil && err != windows.ERROR_MORE_DATA {
			return nil, err
		}
		some, ok := retrievalPointers(buf[:n])
		if !ok || len(some) == 0 || some[0].vcn != vcn {
			return nil, errors.New("the answer breaks its format")
		}
		runs = append(runs, some...)
		if err == nil {
			return runs, nil
		}
		last := some[len(some)-1]
		vcn = last.vcn + last.count
	}
	return nil, ErrTooBig
}

// rawFile reads the clusters of one file from its volume.
type rawFile struct {
	h       *Host
	place   windows.Handle // the file, for its metadata
	volume  windows.Handle
	runs    []clusters
	cluster int64
	size    int64

	mu sync.Mutex
	at int64 // of Read
}

func (f *rawFile) Fd() uintptr { return uintptr(f.place) }

func (f *rawFile) Stat() (*evidence.Stat, error) { return f.h.StatFile(f) }

func (f *rawFile) Close() error {
	if f.volume != windows.InvalidHandle {
		_ = windows.CloseHandle(f.volume)
	}
	return windows.CloseHandle(f.place)
}

func (f *rawFile) Read(p []byte) (int, error) {
	f.mu.Lock()
	at := f.at
	f.mu.Unlock()
	n, err := f.ReadAt(p, at)
	f.mu.Lock()
	f.at += int64(n)
	f.mu.Unlock()
	return n, err
}

// ReadAt reads whole clusters, as a volume wants it.
func (f *rawFile) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		at := off + int64(done)
		if at >= f.size {
			return done, io.EOF
		}
		n, err := f.readRun(p[done:min(len(p), done+int(min(f.size-at, 1<<20)))], at)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// readRun reads from one run of clusters. What lies behind the last is not
// there.
func (f *rawFile) readRun(p []byte, at int64) (int, error) {
	vcn, skip := at/f.cluster, at%f.cluster
	for _, r := range f.runs {
		if vcn < r.vcn || vcn >= r.vcn+r.count {
			continue
		}
		left := (r.vcn+r.count-vcn)*f.cluster - skip
		p = p[:min(int64(len(p)), left)]
		if r.lcn < 0 {
			clear(p)
			return len(p), nil
		}
		whole := (skip + int64(len(p)) + f.cluster - 1) / f.cluster * f.cluster
		buf := make([]byte, whole)
		place := (r.lcn + vcn - r.vcn) * f.cluster
		o := windows.Overlapped{Offset: uint32(place), OffsetHigh: uint32(place >> 32)}
		var n uint32
		if err := windows.ReadFile(f.volume, buf, &n, &o); err != nil {
			return 0, err
		}
		got := copy(p, buf[min(skip, int64(n)):n])
		if got < len(p) {
			return got, io.ErrUnexpectedEOF
		}
		return got, nil
	}
	return 0, fmt.Errorf("no clusters at offset %d: %w", at, io.ErrUnexpectedEOF)
}
