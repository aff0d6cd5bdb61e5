package bundle

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// moreBad are bad vectors of what no signature covers: other words for the
// same, other orders, members and statements of elsewhere. Everything else in
// them is made to fit, so that each has one defect.
func moreBad(t testing.TB, file func(name string, v Verdict, b []byte)) {
	m := attacker(t)
	m.other = takeApart(t, small(t, "0195a1c4-1f70-7abc-8def-ba9876543210"))
	fits := func(name string, v Verdict, do func(parts []part) []part) { file(name, v, m.packed(do(m.v.copied()))) }
	at := func(parts []part, name string) *part {
		i := index(parts, name)
		if i < 0 {
			t.Fatalf("no member %s", name)
		}
		return &parts[i]
	}
	inserted := func(name, before string, data []byte) func(parts []part) []part {
		return func(parts []part) []part {
			p := part{entry: entry{name: name, mtime: testTime.Truncate(time.Second)}, data: data}
			return slices.Insert(parts, index(parts, before), p)
		}
	}
	words := func(name, member, old, text string) {
		parts := m.v.copied()
		p := at(parts, member)
		before := len(p.data)
		changed := bytes.Replace(p.data, []byte(old), []byte(text), 1)
		if bytes.Equal(changed, p.data) {
			t.Fatalf("%s: no %q", name, old)
		}
		p.data = changed
		if l := at(parts, locatorMember); member != locatorMember {
			l.data = bytes.ReplaceAll(l.data, []byte(" "+strconv.Itoa(before)+"\n"), []byte(" "+strconv.Itoa(len(changed))+"\n"))
		}
		file(name, Altered, m.plain(parts))
	}
	text := func(name string) []byte { return at(m.v.parts, name).data }

	fits("header-twice", Altered, inserted(headerMember, locatorMember, []byte("{}\n{}\n")))
	fits("readme-twice", Altered, inserted(readmeMember, leavesMember, []byte("Nothing to see.\n")))
	fits("blocks-of-an-item-that-has-none", Altered, inserted(blocksMember(1), batch1, []byte(strings.Repeat("0", 64)+"\n")))
	fits("recovery-stated", VerifiedPrefix, inserted(recoveryMember, leavesMember,
		[]byte(`{"format":1,"from_size":1,"verdict":"VERIFIED-PREFIX","cut":true,"lost":[],"left":0}`+"\n")))
	fits("members-in-another-order", Altered, func(parts []part) []part {
		i, j := index(parts, keyMember), index(parts, pemMember)
		parts[i], parts[j] = parts[j], parts[i]
		return parts
	})
	fits("tail-in-another-order", Altered, func(parts []part) []part {
		i, j := index(parts, sshsigMember), index(parts, noteMember)
		parts[i], parts[j] = parts[j], parts[i]
		return parts
	})
	fits("checkpoint-of-another-place", Altered, func(parts []part) []part {
		at(parts, checkpointMember(0)).data = text(checkpointMember(1))
		return parts
	})
	fits("checkpoint-of-another-bundle", Altered, func(parts []part) []part {
		at(parts, checkpointMember(0)).data = m.other.parts[index(m.other.parts, checkpointMember(0))].data
		return parts
	})
	fits("seal-of-another-bundle", Altered, func(parts []part) []part {
		for _, name := range []string{sealMember, sshsigMember, noteMember} {
			at(parts, name).data = m.other.parts[index(m.other.parts, name)].data
		}
		return parts
	})
	fits("record-changed-and-signed-by-another", Altered, func(parts []part) []part {
		p := at(parts, batch1)
		p.data = bytes.Replace(p.data, []byte("ENOENT"), []byte("EACCES"), 1)
		m.resign(parts, m.enemy)
		return parts
	})
	fits("key-of-the-header-replaced", Altered, func(parts []part) []part { m.replaceKey(parts); return parts })
	fits("time-of-a-content-changed", Altered, func(parts []part) []part {
		p := at(parts, hostname)
		p.mtime = p.mtime.Add(-1)
		return parts
	})
	fits("time-of-a-control-member-changed", Altered, func(parts []part) []part {
		p := at(parts, leavesMember)
		p.mtime = p.mtime.Add(time.Second)
		return parts
	})
	fits("extended-header-without-need", Altered, func(parts []part) []part {
		p := at(parts, leavesMember)
		x := appendPax(nil, "path", leavesMember)
		p.raw = pad(append(appendUstar(nil, "PaxHeaders/leaves.txt", "", 'x', int64(len(x)), 0), x...), len(x))
		e := p.entry
		e.size = int64(len(p.data))
		p.raw = appendHeader(p.raw, &e)
		return parts
	})
	words("leaves-with-text-behind", leavesMember, lastLine(text(leavesMember)), lastLine(text(leavesMember))+"abc")
	words("manifest-index-in-other-words", rowsMember, "0 1 ", "0 01 ")
	words("locator-in-other-words", locatorMember, "leaves ", "leaves 0")
	words("note-with-carriage-return", noteMember, "=\n", "=\r\n")
	words("note-in-two-lines", noteMember, "p5hn", "p5hn\n")
	words("signature-with-text-around", sshsigMember, "-----BEGIN", "sealed\n-----BEGIN")
	words("seal-with-line-behind", sealMember, "=\n", "=\nmore\n")

	tar := func(change func(tar []byte) []byte) []byte { return m.frames(change(bytes.Clone(m.v.tar))) }
	file("third-zero-block", Altered, tar(func(b []byte) []byte { return append(b, make([]byte, tarBlock)...) }))
	file("one-zero-block", Altered, tar(func(b []byte) []byte { return b[:len(b)-tarBlock] }))
	list := m.cut()
	stray := piecesOf([]byte("\x50\x2a\x4d\x18\x01\x00\x00\x00x"))
	file("skippable-frame-between", Damaged, m.join(slices.Insert(slices.Clone(list), 1, stray)))
	file("other-frames", Verified, m.frames(m.v.tar))

	parts := m.v.copied()
	end := index(parts, manifestMember(1)) + 1
	cut, _ := assemble(parts[:end])
	noTable := func(b []byte) []byte { b = m.frames(b[:len(b)-2*tarBlock]); return b[:len(b)-17-8] }
	file("cut-behind-records-without-a-checkpoint", VerifiedPrefix, noTable(cut))
	planted := inserted("files/file/planted", manifestMember(1), []byte("x"))(m.v.copied())
	cut, _ = assemble(planted[:end+2])
	file("cut-with-a-member-planted", Altered, noTable(cut))
	large, _, _ := sample(t)
	m.v = takeApart(t, large)
	fits("time-of-a-segment-changed", Altered, func(parts []part) []part {
		p := at(parts, "files/packet/network/capture.pcapng.seg00000")
		p.mtime = p.mtime.Add(time.Second)
		return parts
	})
}

// lastLine is the last line of a text.
func lastLine(b []byte) string {
	lines := strings.SplitAfter(string(b), "\n")
	return lines[len(lines)-2]
}

// The list of who may sign, for whoever checks the vectors.
func TestVectorsNameTheirSigner(t *testing.T) {
	line := `collector namespaces="exhibit-seal" ` + string(CollectorPub(testKey(t).PublicKey()))
	testenv.Golden(t, vectorPath(t, "allowed_signers"), []byte(line))
}
