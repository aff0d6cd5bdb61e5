package disk

import (
	"fmt"
	"io"
)

// Form is how a file holds a disk.
type Form string

// The forms. Raw is what none of the others is.
const (
	Raw   Form = "raw"
	QCOW2 Form = "qcow2"
	VMDK  Form = "vmdk"
	VHDX  Form = "vhdx"
	VDI   Form = "vdi"
	EWF   Form = "ewf" // Expert Witness, *.E01
)

// FormOf tells the form of a file by its first bytes.
func FormOf(r io.ReaderAt) Form {
	head := make([]byte, 0x50)
	n, _ := r.ReadAt(head, 0) //nolint:errcheck // a short file is raw
	head = head[:n]
	for _, f := range []struct {
		form Form
		at   int
		text string
	}{
		{QCOW2, 0, "QFI\xfb"},
		{VMDK, 0, "KDMV"},
		{VMDK, 0, "COWD"},
		{VMDK, 0, "# Disk DescriptorFile"},
		{VHDX, 0, "vhdxfile"},
		{VDI, 0x40, "\x7f\x10\xda\xbe"},
		{EWF, 0, "EVF\x09\x0d\x0a\xff\x00"},
		{EWF, 0, "EVF2\x0d\x0a\x81\x00"},
	} {
		if f.at+len(f.text) <= len(head) && string(head[f.at:f.at+len(f.text)]) == f.text {
			return f.form
		}
	}
	return Raw
}

// exporter is the command that shows a file of another form as a raw one, by
// way of FUSE, for as long as it runs: to is a file for QEMU's program, a
// folder, in which ewf1 appears, for libewf's. Package names are Debian's.
func exporter(form Form, path, to string) (argv []string, raw, packages string) {
	if form == EWF {
		return []string{"ewfmount", "-f", "raw", path, to}, to + "/ewf1", "ewf-tools"
	}
	return []string{
		"qemu-storage-daemon",
		"--blockdev", fmt.Sprintf(`{"driver":"file","node-name":"file","filename":%q,"read-only":true}`, path),
		"--blockdev", fmt.Sprintf(`{"driver":%q,"node-name":"disk","file":"file","read-only":true}`, string(form)),
		"--export", "type=fuse,id=disk,node-name=disk,mountpoint=" + to + ",writable=off",
	}, to, "qemu-system-common"
}
