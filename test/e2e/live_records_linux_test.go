package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// itemsOf returns every item of a bundle by its path; the first where a path
// was looked at several times with content.
func itemsOf(t *testing.T, r *bundle.Reader) map[string][]evidence.Item {
	t.Helper()
	all := map[string][]evidence.Item{}
	for it, err := range r.Items() {
		if err != nil {
			t.Fatal(err)
		}
		all[it.Path] = append(all[it.Path], it)
	}
	return all
}

func bytesOf(t *testing.T, r *bundle.Reader, it evidence.Item) []byte {
	t.Helper()
	c, err := r.Open(it.Member)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// linesOf decodes a record set.
func linesOf[T any](t *testing.T, r *bundle.Reader, path string) []T {
	t.Helper()
	var all []T
	items := itemsOf(t, r)[path]
	if len(items) != 1 {
		t.Fatalf("%s is there %d times", path, len(items))
	}
	for line := range bytes.Lines(bytesOf(t, r, items[0])) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, v)
	}
	return all
}

// recordsAreThere looks for what was planted in the bundle itself.
func recordsAreThere(t *testing.T, r *bundle.Reader, v *visit) {
	items := itemsOf(t, r)
	walked := map[string]record.File{}
	for _, f := range linesOf[record.File](t, r, record.Files) {
		walked[string(f.Path)] = f
	}
	for path, size := range v.Holes {
		it := items[path][0]
		want(t, path+" is sparse", it.Kind == evidence.KindFile && it.Size == size && len(it.Holes) > 0 && it.Stored < 1<<16, it)
		want(t, path+" has its last record", bytes.Contains(bytesOf(t, r, it)[size-292:], []byte("pts/3")), it)
	}
	for path, mode := range v.Special {
		for _, it := range items[path] {
			want(t, path+" is only described", it.Kind == evidence.KindDevice && it.Stat != nil && it.Stat.Mode&unix.S_IFMT == mode, it)
		}
		want(t, path+" was looked at", len(items[path]) > 0 && walked[path].Mode&unix.S_IFMT == mode, walked[path])
	}
	for _, path := range v.Moving {
		it := items[path][0]
		want(t, path+" is said to have changed", it.Kind == evidence.KindFile && it.Changed && it.After != nil, it)
		want(t, path+" is as long as it was when opened", it.Stat != nil && it.Size == it.Stat.Size && it.Stored == it.Size, it)
	}
	want(t, "it grew while it was read", items[growing][0].After.Size > items[growing][0].Size, items[growing][0].After)
	raw := items[string(v.RawName)]
	want(t, "the raw name is kept", len(raw) == 1 && raw[0].Kind == evidence.KindFile && walked[string(v.RawName)].Inode != 0, raw)
	link := items[v.Link]
	want(t, "the link is kept as one", len(link) == 1 && link[0].Kind == evidence.KindSymlink && link[0].Link == "../passwd" && string(walked[v.Link].Link) == "../passwd", link)
	oddItem := items[odd][0]
	got := map[string]string{}
	for name, value := range oddItem.Stat.Xattrs {
		got[name] = base64.StdEncoding.EncodeToString(value)
	}
	want(t, "extended attributes", maps.Equal(got, v.Xattrs), got)
	if v.Flags {
		want(t, "the immutable flag", oddItem.Stat.Attributes&unix.STATX_ATTR_IMMUTABLE != 0 && walked[odd].Attributes&unix.STATX_ATTR_IMMUTABLE != 0, oddItem.Stat)
	} else {
		t.Log("this kernel's tmpfs has no immutable flag")
	}
	secret := items["/etc/ssh/host_key"]
	want(t, "private keys are left", len(secret) == 1 && secret[0].Kind == evidence.KindSkipped, secret)
	for name, sum := range v.Deleted {
		found := 0
		for path, list := range items {
			for _, it := range list {
				if it.Collector == "linux_deleted" && it.Kind == evidence.KindStream && strings.HasPrefix(path, "/proc/") && it.Link == name {
					found++
					b := sha256.Sum256(bytesOf(t, r, it))
					want(t, name+" was recovered whole", hex.EncodeToString(b[:]) == sum && it.SHA256.String() == sum, it)
				}
			}
		}
		want(t, name+" was recovered once", found == 1, found)
	}
}

// nothingElse checks that what was not planted is not reported.
func nothingElse(t *testing.T, r *bundle.Reader, v *visit) {
	var deleted, hidden []string
	for _, p := range linesOf[record.Process](t, r, record.Processes) {
		if p.ExeDeleted {
			deleted = append(deleted, string(p.Exe))
		}
		if p.Hidden {
			hidden = append(hidden, string(p.Exe))
		}
	}
	want(t, "processes without a program file", len(deleted) == len(v.Deleted), deleted)
	want(t, "hidden processes", len(hidden) == 0, hidden)
	for path, list := range itemsOf(t, r) {
		for _, it := range list {
			if it.Collector == "linux_deleted" && it.Kind.HasContent() {
				want(t, path+" was planted", v.Deleted[it.Link] != "", it)
			}
		}
	}
	var setuid []string
	for _, f := range linesOf[record.File](t, r, record.Files) {
		if f.Mode&unix.S_IFMT == unix.S_IFREG && f.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
			setuid = append(setuid, string(f.Path))
		}
	}
	want(t, "setuid files", slices.Equal(setuid, v.Setuid), setuid)
	networksAreThose(t, r, v)
}

// networksAreThose checks the network namespaces, and that each has its own
// sockets: the attacker's end of a connection is not the guest's.
func networksAreThose(t *testing.T, r *bundle.Reader, v *visit) {
	t.Helper()
	var named []string
	for _, n := range linesOf[record.Netns](t, r, record.Namespaces) {
		want(t, n.Netns+" was entered", n.Entered && n.Own == (n.Netns == v.Networks[0]) && n.Processes > 0, n)
		named = append(named, n.Netns)
	}
	want(t, "network namespaces", slices.Equal(named, v.Networks[:]), named)
	listen, ends, seen := map[string][]int64{}, map[string][]string{}, map[uint64]int{}
	for _, s := range linesOf[record.Socket](t, r, record.Sockets) {
		if s.Inode != 0 {
			seen[s.Inode]++
		}
		want(t, "whose a socket is", slices.Contains(named, s.Netns) && s.Foreign == (s.Netns != v.Networks[0]), s)
		if s.Proto == "tcp" && s.State == "LISTEN" {
			listen[s.Netns] = append(listen[s.Netns], s.SrcPort)
		}
		if s.Proto == "tcp" && s.State == "ESTAB" {
			ends[s.Netns] = append(ends[s.Netns], fmt.Sprintf("%s:%d %s:%d", s.SrcIP, s.SrcPort, s.DstIP, s.DstPort))
			ends["other of "+s.Netns] = append(ends["other of "+s.Netns], fmt.Sprintf("%s:%d %s:%d", s.DstIP, s.DstPort, s.SrcIP, s.SrcPort))
		}
	}
	for inode, n := range seen {
		want(t, fmt.Sprint("socket ", inode, " is told once"), n == 1, n)
	}
	for _, list := range listen {
		slices.Sort(list)
	}
	for _, list := range ends {
		slices.Sort(list)
	}
	guest, attacker := v.Networks[0], v.Networks[1]
	want(t, "listeners", slices.Equal(listen[guest], v.Listen) && slices.Equal(listen[attacker], []int64{8080}), listen)
	want(t, "connections", len(ends[guest]) == 2 && slices.Equal(ends[guest], ends["other of "+attacker]), ends)
}

// captureAgrees compares the capture with what the kernel counted.
func captureAgrees(t *testing.T, r *bundle.Reader, v *visit) {
	var stats collectors.CaptureStatistics
	if err := json.Unmarshal(bytesOf(t, r, itemsOf(t, r)["network/capture-statistics.json"][0]), &stats); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int64{}
	for _, i := range stats.Interfaces {
		seen[i.Name] += i.Packets
	}
	want(t, "packets on the wire", seen["v0"] == v.Sent["v0"] && v.Sent["v0"] > datagrams, []any{seen, v.Sent})
	want(t, "nothing was lost", stats.Dropped == 0, stats)
}

// footprintIsTrue compares what the run says of itself with what its parent
// saw.
func footprintIsTrue(t *testing.T, r *bundle.Reader, v *visit) {
	f := linesOf[collect.Footprint](t, r, collect.FootprintAt)[0]
	m := &v.Main
	// Reading a link moves its access time, and the run says how often it did.
	moved := slices.DeleteFunc(slices.Clone(v.Moved), func(path string) bool { return path == v.Link })
	want(t, "access times stay", len(moved) == 0, moved)
	want(t, "links are counted", f.LinksRead > 0 || len(v.Moved) == 0, f)
	want(t, "no access time was at risk", f.OpenedAtime == 0 && f.FilesOpened > 20, f)
	want(t, "process number", f.PID == m.PID, []int{f.PID, m.PID})
	var args []string
	for _, a := range f.Args {
		args = append(args, string(a))
	}
	want(t, "arguments", slices.Equal(args, m.Args), args)
	want(t, "time", f.Started >= m.Started && f.Started <= f.Finished && f.Finished <= m.Ended, []int64{m.Started, f.Started, f.Finished, m.Ended})
	b, err := os.ReadFile(program(t, "exhibit-collector"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "program", f.ExeSHA256 == evidence.Sum(b).String() && f.ExeSize == int64(len(b)) && string(f.Exe) == program2, f)
	want(t, "children", f.Children == 0, f.Children)
	// The kernel's figure for an ended child is no lower than what its parent had
	// in memory when it was started, so it bounds the program's own from above only.
	want(t, "memory", f.PeakRSS > 8<<20 && f.PeakRSS <= m.MaxRSS, []int64{f.PeakRSS, m.MaxRSS})
	cpu := f.UserNS + f.SystemNS
	want(t, "processor time", cpu > m.CPU/2 && cpu <= m.CPU+2e7, []int64{cpu, m.CPU})
	st, err := os.Stat(v.file("live.exhibit.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "bytes written", f.Written <= st.Size() && f.Written > st.Size()/2, []int64{f.Written, st.Size()})
}

// plainSaysSo checks a run of an account without privileges: what it may not
// read is in the bundle as refused.
func plainSaysSo(t *testing.T, r *bundle.Reader, v *visit) {
	if v.Plain.Code != 3 {
		t.Errorf("it ended with %d, want 3: something was refused: %s", v.Plain.Code, v.Plain.Stderr)
	}
	items := itemsOf(t, r)
	var denied []string
	for path, list := range items {
		if slices.ContainsFunc(list, func(it evidence.Item) bool { return it.Kind == evidence.KindDenied }) {
			denied = append(denied, path)
		}
	}
	for _, path := range []string{"/root", "/etc/ssh/host_key"} {
		want(t, path+" is recorded as refused", slices.Contains(denied, path), denied)
	}
	for path, list := range items {
		if strings.HasPrefix(path, "/root/") && slices.ContainsFunc(list, func(it evidence.Item) bool { return it.Kind.HasContent() }) {
			t.Errorf("%s was read by an account that may not", path)
		}
	}
}
