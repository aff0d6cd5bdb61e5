package collect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// hostSystem holds the folders that lookups begin at: of each drive its root.
type hostSystem struct {
	mu    sync.Mutex
	roots map[string]windows.Handle
}

var (
	ntdll                 = windows.NewLazySystemDLL("ntdll.dll")
	ntQuerySecurityObject = ntdll.NewProc("NtQuerySecurityObject")
)

// errElsewhere says that reading a file would make the host fetch it from
// somewhere else.
var errElsewhere = errors.New("the content is not on this machine (offline, or in a cloud)")

func (h *Host) openRoot() error {
	h.sys.roots = map[string]windows.Handle{}
	if h.Live {
		// Without the right, what its owner keeps to himself is recorded as denied.
		_ = enablePrivileges("SeBackupPrivilege", "SeDebugPrivilege")
		return nil
	}
	nt := `\??\` + h.Root
	if unc, ok := strings.CutPrefix(h.Root, `\\`); ok {
		nt = `\??\UNC\` + unc
	}
	_, err := h.rootAt("", nt)
	return err
}

func (h *Host) closeRoot() error {
	h.sys.mu.Lock()
	defer h.sys.mu.Unlock()
	for name, root := range h.sys.roots {
		_ = windows.CloseHandle(root)
		delete(h.sys.roots, name)
	}
	return nil
}

// enablePrivileges switches on rights that the account has.
func enablePrivileges(names ...string) error {
	var token windows.Token
	if err := windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY, &token); err != nil {
		return err
	}
	defer token.Close()
	var errs []error
	for _, name := range names {
		p := windows.Tokenprivileges{PrivilegeCount: 1}
		p.Privileges[0].Attributes = windows.SE_PRIVILEGE_ENABLED
		text, err := windows.UTF16PtrFromString(name)
		if err == nil {
			err = windows.LookupPrivilegeValue(nil, text, &p.Privileges[0].Luid)
		}
		if err == nil {
			err = windows.AdjustTokenPrivileges(token, false, &p, 0, nil, nil)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

const (
	shareAll      = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	lookOptions   = windows.FILE_OPEN_FOR_BACKUP_INTENT | windows.FILE_SYNCHRONOUS_IO_NONALERT | windows.FILE_OPEN_REPARSE_POINT
	accessLook    = windows.FILE_READ_ATTRIBUTES | windows.SYNCHRONIZE
	accessOwner   = accessLook | windows.READ_CONTROL
	accessContent = accessOwner | windows.FILE_READ_DATA
)

// rootAt opens the folder that lookups begin at, once.
func (h *Host) rootAt(name, nt string) (windows.Handle, error) {
	h.sys.mu.Lock()
	defer h.sys.mu.Unlock()
	if root, ok := h.sys.roots[name]; ok {
		return root, nil
	}
	root, err := ntOpen(0, nt, accessLook|windows.FILE_LIST_DIRECTORY, windows.FILE_OPEN_FOR_BACKUP_INTENT|windows.FILE_SYNCHRONOUS_IO_NONALERT, 0)
	if err == nil {
		h.sys.roots[name] = root
	}
	return root, err
}

// ntOpen opens by NtCreateFile: names of any length, no meaning in "..", in
// trailing dots or in the names of devices.
func ntOpen(root windows.Handle, name string, access, options, attributes uint32) (windows.Handle, error) {
	text, err := windows.NewNTUnicodeString(name)
	if err != nil {
		return 0, err
	}
	oa := windows.OBJECT_ATTRIBUTES{RootDirectory: root, ObjectName: text, Attributes: windows.OBJ_CASE_INSENSITIVE | attributes}
	oa.Length = uint32(unsafe.Sizeof(oa))
	var handle windows.Handle
	var status windows.IO_STATUS_BLOCK
	err = windows.NtCreateFile(&handle, access, &oa, &status, nil, 0, shareAll, windows.FILE_OPEN, options, 0, 0)
	if s, ok := errors.AsType[windows.NTStatus](err); ok {
		if s == windows.STATUS_REPARSE_POINT_ENCOUNTERED {
			return 0, fmt.Errorf("a link on the way is not followed: %w", windows.ERROR_PATH_NOT_FOUND)
		}
		return 0, s.Errno()
	}
	return handle, err
}

// split parts a path into the folder its lookup begins at and the rest, as NT
// names it.
func (h *Host) split(path string) (windows.Handle, string, error) {
	var names []string
	for name := range strings.SplitSeq(path, "/") {
		switch {
		case name == "" || name == ".":
		case name == "..", strings.ContainsAny(name, "\\\x00"):
			return 0, "", windows.ERROR_INVALID_NAME
		default:
			names = append(names, name)
		}
	}
	if !h.Live {
		root, err := h.rootAt("", "")
		return root, strings.Join(names, `\`), err
	}
	if len(names) == 0 {
		return 0, "", errTop
	}
	drive := strings.ToUpper(names[0])
	if len(drive) != 2 || drive[1] != ':' {
		return 0, "", windows.ERROR_PATH_NOT_FOUND
	}
	root, err := h.rootAt(drive, `\??\`+drive+`\`)
	return root, strings.Join(names[1:], `\`), err
}

// errTop says that a path is the place of the drives, which is no folder.
var errTop = errors.New("the place of the drives is no folder")

// openAt opens a path, links on the way not followed, nor the last.
func (h *Host) openAt(path string, access, options uint32) (windows.Handle, error) {
	root, name, err := h.split(path)
	if err != nil {
		return 0, err
	}
	return ntOpen(root, name, access, options, windows.OBJ_DONT_REPARSE)
}

func (h *Host) openRegular(path string) (*os.File, error) {
	place, err := h.openAt(path, accessLook, lookOptions)
	if err == errTop {
		return nil, ErrNotRegular
	}
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(place)
	attributes, tag, err := attributesOf(place)
	if err != nil {
		return nil, err
	}
	stream := strings.Contains(path[strings.LastIndexByte(path, '/')+1:], ":")
	if windowsMode(attributes, tag) != modeRegular && !stream {
		return nil, ErrNotRegular
	}
	if attributes&attributesElsewhere != 0 {
		return nil, errElsewhere
	}
	options := uint32(lookOptions)
	if attributes&attributeReparse != 0 { // deduplicated, compressed: whoever set the point gives the content
		options &^= windows.FILE_OPEN_REPARSE_POINT
	}
	file, err := h.openAt(path, accessContent, options|windows.FILE_NON_DIRECTORY_FILE)
	if err == windows.ERROR_ACCESS_DENIED { // the descriptor may be refused where the content is not
		file, err = h.openAt(path, accessLook|windows.FILE_READ_DATA, options|windows.FILE_NON_DIRECTORY_FILE)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(file), path), nil
}

// info asks GetFileInformationByHandleEx for a structure.
func info(handle windows.Handle, class uint32, buf []byte) error {
	return windows.GetFileInformationByHandleEx(handle, class, &buf[0], uint32(len(buf)))
}

// attributesOf asks FILE_ATTRIBUTE_TAG_INFO: attributes and tag, 4 bytes each.
func attributesOf(handle windows.Handle) (attributes, tag uint32, err error) {
	var b [8]byte
	if err := info(handle, windows.FileAttributeTagInfo, b[:]); err != nil {
		return 0, 0, err
	}
	return binary.LittleEndian.Uint32(b[:]), binary.LittleEndian.Uint32(b[4:]), nil
}

func (h *Host) readlink(path string) (string, error) {
	data, err := h.reparseData(path)
	if err != nil {
		return "", err
	}
	target, ok := linkTarget(data)
	if !ok {
		return "", fmt.Errorf("a reparse point with tag 0x%08X is no link this program reads", tagOf(data))
	}
	if !h.Live && len(target) > 3 && target[2] == ':' { // the drives of an image are its volumes
		target = target[3:]
	}
	return target, nil
}

func tagOf(data []byte) uint32 {
	if len(data) < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(data)
}

func (h *Host) reparseData(path string) ([]byte, error) {
	handle, err := h.openAt(path, accessLook, lookOptions)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(handle)
	return reparseOf(handle)
}

func reparseOf(handle windows.Handle) ([]byte, error) {
	buf := make([]byte, windows.MAXIMUM_REPARSE_DATA_BUFFER_SIZE)
	var n uint32
	if err := windows.DeviceIoControl(handle, windows.FSCTL_GET_REPARSE_POINT, nil, 0, &buf[0], uint32(len(buf)), &n, nil); err != nil {
		return nil, err
	}
	return buf[:n], nil
}

func (h *Host) lstat(path string) (*evidence.Stat, error) {
	handle, err := h.openAt(path, accessLook, lookOptions)
	if err == errTop {
		return &evidence.Stat{Mode: modeDir, Dev: "0:0", Nlink: 1}, nil
	}
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(handle)
	return statHandle(handle)
}

func (h *Host) fstat(fd uintptr) (*evidence.Stat, error) { return statHandle(windows.Handle(fd)) }

// statHandle reads FILE_BASIC_INFO (four FILETIMEs, attributes),
// FILE_STANDARD_INFO (allocated 8, size 8, links 4) and the file's number.
func statHandle(handle windows.Handle) (*evidence.Stat, error) {
	var basic [40]byte
	if err := info(handle, windows.FileBasicInfo, basic[:]); err != nil {
		return nil, err
	}
	var standard [24]byte
	if err := info(handle, windows.FileStandardInfo, standard[:]); err != nil {
		return nil, err
	}
	var id windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(handle, &id); err != nil {
		return nil, err
	}
	attributes, tag, err := attributesOf(handle)
	if err != nil { // a file system without reparse points
		attributes, tag = binary.LittleEndian.Uint32(basic[32:]), 0
	}
	st := &evidence.Stat{
		Mode: windowsMode(attributes, tag), Dev: volumeDevice(id.VolumeSerialNumber),
		Inode: uint64(id.FileIndexHigh)<<32 | uint64(id.FileIndexLow),
		Nlink: binary.LittleEndian.Uint32(standard[16:]),
		Size:  int64(binary.LittleEndian.Uint64(standard[8:])), Blocks: int64(binary.LittleEndian.Uint64(standard[:])+511) / 512,
		Born: fileTime(basic[0:]), Accessed: fileTime(basic[8:]), Modified: fileTime(basic[16:]), Changed: fileTime(basic[24:]),
	}
	if st.Blocks == 0 { // content in the file's record, or of a stream whose allocation is not told
		st.Blocks = (st.Size + 511) / 512
	}
	return st, nil
}

func volumeDevice(serial uint32) string { return fmt.Sprintf("%d:%d", serial>>16, serial&0xFFFF) }

// fileTime is a FILETIME, exact to its 100 ns; zero is no time.
func fileTime(b []byte) time.Time {
	v := int64(binary.LittleEndian.Uint64(b))
	if v <= 0 {
		return time.Time{}
	}
	const epoch = 116444736000000000 // 1970 in 100 ns since 1601
	v -= epoch
	s, rest := v/1e7, v%1e7
	return time.Unix(s, rest*100).UTC()
}

func (h *Host) xattrs(path string) (map[string][]byte, error) {
	handle, err := h.openAt(path, accessOwner, lookOptions)
	if err == windows.ERROR_ACCESS_DENIED {
		handle, err = h.openAt(path, accessLook, lookOptions)
	}
	if err == errTop {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(handle)
	return xattrsOf(handle)
}

func (h *Host) fileXattrs(f *os.File, _ string) (map[string][]byte, error) {
	return xattrsOf(windows.Handle(f.Fd()))
}

// xattrsOf gathers what evidence.Stat has no field for.
func xattrsOf(handle windows.Handle) (map[string][]byte, error) {
	var basic [40]byte
	if err := info(handle, windows.FileBasicInfo, basic[:]); err != nil {
		return nil, err
	}
	attributes := binary.LittleEndian.Uint32(basic[32:])
	attrs := map[string][]byte{XattrNTFSAttributes: binary.BigEndian.AppendUint32(nil, attributes)}
	var times []byte
	for _, at := range []int{0, 16, 8, 24} { // creation, last write, last access, change
		times = binary.BigEndian.AppendUint64(times, binary.LittleEndian.Uint64(basic[at:]))
	}
	attrs[XattrNTFSTimes] = times
	if attributes&attributeReparse != 0 {
		if data, err := reparseOf(handle); err == nil {
			attrs[XattrNTFSReparse] = data
		}
	}
	descriptor, err := securityOf(handle)
	if err == nil {
		attrs[XattrNTFSSecurity] = descriptor
	}
	return attrs, err
}

// securityOf asks for owner, group and discretionary list; the audit list needs
// a right that would itself be audited.
func securityOf(handle windows.Handle) ([]byte, error) {
	const what = windows.OWNER_SECURITY_INFORMATION | windows.GROUP_SECURITY_INFORMATION | windows.DACL_SECURITY_INFORMATION
	buf := make([]byte, 1024)
	for range 2 {
		var need uint32
		r, _, _ := ntQuerySecurityObject.Call(uintptr(handle), what, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), uintptr(unsafe.Pointer(&need)))
		switch status := windows.NTStatus(r); {
		case status == 0 && need <= uint32(len(buf)):
			return buf[:need], nil
		case status == windows.STATUS_BUFFER_TOO_SMALL && need <= maxXattrTotal:
			buf = make([]byte, need)
		default:
			return nil, status.Errno()
		}
	}
	return nil, windows.ERROR_INSUFFICIENT_BUFFER
}

// list reads a folder; above the drives it is they.
func (h *Host) list(path string, most int) ([]DirEntry, error) {
	handle, err := h.openAt(path, accessLook|windows.FILE_LIST_DIRECTORY, lookOptions|windows.FILE_DIRECTORY_FILE)
	if err == errTop {
		mounts, err := h.Mounts()
		var drives []DirEntry
		for _, m := range mounts {
			if m.Point != "/" {
				drives = append(drives, DirEntry{Name: m.Point[1:], Type: modeDir})
			}
		}
		return drives, err
	}
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(handle)
	h.opened.Add(1)
	h.withAtime.Add(1)
	var entries []DirEntry
	buf := make([]byte, 64<<10)
	for len(entries) <= most {
		err := info(handle, windows.FileIdBothDirectoryInfo, buf)
		switch {
		case err == windows.ERROR_NO_MORE_FILES, err == windows.ERROR_FILE_NOT_FOUND:
			return entries, nil
		case err != nil:
			return entries, err
		}
		if !dirInfo(buf, func(e DirEntry) { entries = append(entries, e) }) {
			return entries, errors.New("the listing breaks its format")
		}
	}
	return entries[:most], ErrTooBig
}

// streamNames lists the named streams of a file or folder.
func (h *Host) streamNames(path string) ([]string, error) {
	return asking(h, "list streams", path, nil, func() ([]string, error) {
		handle, err := h.openAt(path, accessLook, lookOptions)
		if err == errTop {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		defer windows.CloseHandle(handle)
		for size := 4 << 10; ; size *= 8 {
			buf := make([]byte, size)
			err := info(handle, windows.FileStreamInfo, buf)
			switch {
			case err == windows.ERROR_MORE_DATA && size < 8<<20:
				continue
			// A folder without any, and file systems that know none.
			case err == windows.ERROR_HANDLE_EOF, err == windows.ERROR_INVALID_PARAMETER, err == windows.ERROR_NOT_SUPPORTED, err == windows.ERROR_INVALID_FUNCTION:
				return nil, nil
			case err != nil:
				return nil, err
			}
			if binary.LittleEndian.Uint32(buf[4:]) == 0 {
				return nil, nil
			}
			names, ok := streamInfo(buf)
			if !ok {
				err = errors.New("the list of streams breaks its format")
			}
			return names, err
		}
	})
}

// mountTable are the drives that have letters.
func (h *Host) mountTable() ([]MountPoint, error) {
	mask, err := windows.GetLogicalDrives()
	if err != nil {
		return nil, err
	}
	mounts := []MountPoint{{ID: 1, Point: "/", Root: "/", FSType: "rootfs", Dev: "0:0"}}
	for ; mask != 0; mask &= mask - 1 {
		letter := string(rune('A' + bits.TrailingZeros32(mask)))
		m := MountPoint{ID: int64(letter[0]), Parent: 1, Point: "/" + letter + ":", Root: "/", Dev: "0:" + letter}
		root, err := windows.UTF16PtrFromString(letter + `:\`)
		if err != nil {
			return nil, err
		}
		switch windows.GetDriveType(root) {
		case windows.DRIVE_REMOTE:
			m.FSType = "smb" // is not asked: its server may be gone
		case windows.DRIVE_NO_ROOT_DIR, windows.DRIVE_UNKNOWN, windows.DRIVE_CDROM:
			continue
		default:
			var serial uint32
			var name [64]uint16
			if err := windows.GetVolumeInformation(root, nil, 0, &serial, nil, nil, &name[0], uint32(len(name))); err != nil {
				continue // no medium
			}
			m.FSType, m.Dev, m.Source = strings.ToLower(windows.UTF16ToString(name[:])), volumeDevice(serial), "/dev/"+letter
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// StatFS returns the size and the free space in bytes of the volume a path is
// on.
func (h *Host) StatFS(path string) (total, free int64, err error) {
	m, ok := h.MountOf(path)
	if !ok || m.Point == "/" {
		return 0, 0, ErrUnsupported
	}
	root, err := windows.UTF16PtrFromString(m.Point[1:] + `\`)
	if err != nil {
		return 0, 0, err
	}
	var freeToUs, all, freeBytes uint64
	err = windows.GetDiskFreeSpaceEx(root, &freeToUs, &all, &freeBytes)
	return int64(all), int64(freeBytes), err
}
