// Package disk finds the file systems of a disk image and lets the kernel read
// them without changing a byte: read-only devices, read-only mounts, no replay
// of journals, in a mount namespace that ends with the process.
package disk

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// Volume is a stretch of a disk that holds, or may hold, a file system.
type Volume struct {
	Number   int    `json:"number"` // as partitions are counted; 0: the whole disk
	Offset   int64  `json:"offset"` // bytes
	Size     int64  `json:"size"`   // bytes
	Kind     Kind   `json:"kind"`   // "" for what is not known
	UUID     string `json:"uuid,omitempty"`
	Label    string `json:"label,omitempty"`
	PartUUID string `json:"partuuid,omitempty"`
}

// Bounds of partition tables.
const (
	maxVolumes = 256
	maxEntries = 1024 // of a GUID partition table
)

// ErrTable says that there is a partition table, and that it makes no sense.
var ErrTable = errors.New("partition table does not hold")

// Volumes lists what a disk of size bytes is divided into: by a GUID partition
// table (UEFI 2.10, section 5.3), by one of the older kind with its chain of
// logical partitions, or not at all.
func Volumes(r io.ReaderAt, size int64) ([]Volume, error) {
	var list []Volume
	var err error
	whole := Volume{Size: size}
	if whole.identify(r); whole.Kind != "" {
		return []Volume{whole}, nil
	}
	for _, sector := range []int64{512, 4096} {
		if list, err = guidTable(r, size, sector); list != nil || err != nil {
			break
		}
	}
	if list == nil && err == nil {
		list, err = oldTable(r, size)
	}
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].identify(r)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: no file system and no partition table is found", ErrTable)
	}
	return list, nil
}

// guidTable reads a GUID partition table, of its copy at the end where the
// first one is damaged; nil where there is none.
func guidTable(r io.ReaderAt, size, sector int64) ([]Volume, error) {
	var damage error
	for _, at := range []int64{sector, (size/sector - 1) * sector} {
		head := make([]byte, 92)
		if at < sector || !readAt(r, head, at) || string(head[:8]) != "EFI PART" {
			continue
		}
		list, err := guidEntries(r, size, sector, head)
		if err == nil {
			return list, nil
		}
		damage = err
	}
	return nil, damage
}

func guidEntries(r io.ReaderAt, size, sector int64, head []byte) ([]Volume, error) {
	le := binary.LittleEndian
	sum := le.Uint32(head[16:])
	if le.Uint32(head[12:]) != 92 || sum != crc32.ChecksumIEEE(append(append(bytes.Clone(head[:16]), 0, 0, 0, 0), head[20:]...)) {
		return nil, fmt.Errorf("%w: checksum of the GUID table", ErrTable)
	}
	at, count, each := le.Uint64(head[72:]), int64(le.Uint32(head[80:])), int64(le.Uint32(head[84:]))
	if count < 1 || count > maxEntries || each < 128 || each > 4096 || at > uint64(size/sector) {
		return nil, fmt.Errorf("%w: %d entries of %d bytes", ErrTable, count, each)
	}
	entries := make([]byte, count*each)
	if !readAt(r, entries, int64(at)*sector) || crc32.ChecksumIEEE(entries) != le.Uint32(head[88:]) {
		return nil, fmt.Errorf("%w: checksum of the GUID table's entries", ErrTable)
	}
	list := []Volume{}
	for i := range count {
		e := entries[i*each:]
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if bytes.Equal(e[:16], make([]byte, 16)) {
			continue
		}
		if first > last || last >= uint64(size/sector) || len(list) == maxVolumes {
			return nil, fmt.Errorf("%w: partition %d ends behind the disk", ErrTable, i+1)
		}
		list = append(list, Volume{Number: int(i) + 1, Offset: int64(first) * sector, Size: int64(last-first+1) * sector, PartUUID: guid(e[16:32])})
	}
	return list, nil
}

// guid writes a GUID whose first three fields are little-endian.
func guid(b []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:16])
}

// oldTable reads a master boot record and the chain of extended ones; nil
// where there is none.
func oldTable(r io.ReaderAt, size int64) ([]Volume, error) {
	const sector = 512
	mbr := make([]byte, sector)
	if !readAt(r, mbr, 0) || mbr[510] != 0x55 || mbr[511] != 0xaa {
		return nil, nil
	}
	var list []Volume
	disk := hex.EncodeToString([]byte{mbr[443], mbr[442], mbr[441], mbr[440]})
	add := func(number int, from, n int64) error {
		if from < 1 || n < 1 || from*sector >= size || len(list) == maxVolumes {
			return fmt.Errorf("%w: partition %d lies behind the disk", ErrTable, number)
		}
		list = append(list, Volume{Number: number, Offset: from * sector, Size: min(n*sector, size-from*sector), PartUUID: fmt.Sprintf("%s-%02x", disk, number)})
		return nil
	}
	extended := int64(0)
	for i := range 4 {
		kind, from, n := oldEntry(mbr, i)
		switch {
		case kind == 0:
		case kind == 0x05 || kind == 0x0f || kind == 0x85:
			extended = from
		default:
			if err := add(i+1, from, n); err != nil {
				return nil, err
			}
		}
	}
	// Each link of the chain holds one partition, from itself on, and the way to
	// the next, from the first link on. It must lead forward: no circles.
	for link, number := extended, 5; link > 0; number++ {
		ebr := make([]byte, sector)
		if !readAt(r, ebr, link*sector) || ebr[510] != 0x55 || ebr[511] != 0xaa {
			return list, nil
		}
		if kind, from, n := oldEntry(ebr, 0); kind != 0 {
			if err := add(number, link+from, n); err != nil {
				return nil, err
			}
		}
		_, next, _ := oldEntry(ebr, 1)
		if next == 0 || extended+next <= link {
			break
		}
		link = extended + next
	}
	return list, nil
}

func oldEntry(b []byte, i int) (kind byte, from, n int64) {
	e := b[446+16*i:]
	return e[4], int64(binary.LittleEndian.Uint32(e[8:])), int64(binary.LittleEndian.Uint32(e[12:]))
}

func readAt(r io.ReaderAt, p []byte, at int64) bool {
	n, err := r.ReadAt(p, at)
	return n == len(p) && (err == nil || errors.Is(err, io.EOF))
}

// Kind is what a volume or a file holds.
type Kind string

// The kinds of volumes. Those of which Mountable is false are told, so that
// nobody thinks that there is nothing.
const (
	Ext       Kind = "ext4" // ext2 and ext3, too
	XFS       Kind = "xfs"
	Btrfs     Kind = "btrfs"
	NTFS      Kind = "ntfs"
	FAT       Kind = "vfat"
	Swap      Kind = "swap"
	LVM       Kind = "LVM"
	LUKS      Kind = "LUKS"
	RAID      Kind = "Linux RAID"
	BitLocker Kind = "BitLocker"
)

// Mountable reports whether a file system can be looked into.
func (k Kind) Mountable() bool {
	switch k {
	case Ext, XFS, Btrfs, NTFS, FAT:
		return true
	}
	return false
}

// magic is where a kind is known by its first bytes.
var magics = []struct {
	kind Kind
	at   int64
	text string
	uuid int64 // where its UUID is; 0: it has none of 16 bytes
	name int64 // where its label is
	size int   // of the label
}{
	{Ext, 1024 + 0x38, "\x53\xef", 1024 + 0x68, 1024 + 0x78, 16},
	{XFS, 0, "XFSB", 32, 108, 12},
	{Btrfs, 0x10040, "_BHRfS_M", 0x10020, 0x1012b, 256},
	{NTFS, 3, "NTFS    ", 0, 0, 0},
	{BitLocker, 3, "-FVE-FS-", 0, 0, 0},
	{FAT, 54, "FAT", 0, 43, 11},
	{FAT, 82, "FAT32", 0, 71, 11},
	{LUKS, 0, "LUKS\xba\xbe", 0, 0, 0},
	{LVM, 512, "LABELONE", 0, 0, 0},
	{RAID, 4096, "\xfc\x4e\x2b\xa9", 0, 0, 0},
	{Swap, 4086, "SWAPSPACE2", 1036, 1052, 16},
}

// identify looks for what a volume holds.
func (v *Volume) identify(r io.ReaderAt) {
	for _, m := range magics {
		b := make([]byte, len(m.text))
		if m.at+int64(len(b)) > v.Size || !readAt(r, b, v.Offset+m.at) || string(b) != m.text {
			continue
		}
		v.Kind = m.kind
		if id := make([]byte, 16); m.uuid > 0 && readAt(r, id, v.Offset+m.uuid) {
			v.UUID = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
		}
		if name := make([]byte, m.size); m.size > 0 && readAt(r, name, v.Offset+m.name) {
			name, _, _ = bytes.Cut(name, []byte{0})
			v.Label = strings.TrimRight(string(name), " ")
		}
		return
	}
}
