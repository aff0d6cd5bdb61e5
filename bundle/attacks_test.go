package bundle

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// cutShort is the verdict of attacks that can take the end of a bundle away:
// it claims only what a checkpoint proves.
var cutShort = []Verdict{VerifiedPrefix}

// attacks are all kinds of mutations.
func attacks() []attack {
	list := slices.Concat(fileAttacks(), memberAttacks(), recordAttacks(), spellingAttacks())
	return list
}

// fileAttacks work on the file and its frames.
func fileAttacks() []attack {
	return []attack{
		{"byte of the file", cutShort, func(m *mutator) []byte {
			b := bytes.Clone(m.v.file)
			b[m.pick(len(b))] ^= byte(1 + m.pick(255))
			return b
		}},
		{"byte of a frame's ends", cutShort, func(m *mutator) []byte {
			b := bytes.Clone(m.v.file)
			at := 0
			for _, s := range m.v.spans[:m.pick(len(m.v.spans)+1)] {
				at += int(s.packed)
			}
			b[min(max(at+m.pick(24)-8, 0), len(b)-1)] ^= byte(1 + m.pick(255))
			return b
		}},
		{"byte of the seek table", cutShort, func(m *mutator) []byte {
			b := bytes.Clone(m.v.file)
			b[len(b)-1-m.pick(17+8*len(m.v.spans))] ^= byte(1 + m.pick(255))
			return b
		}},
		{"entry of the seek table", cutShort, func(m *mutator) []byte {
			spans := slices.Clone(m.v.spans)
			switch i := m.pick(len(spans)); m.pick(5) {
			case 0:
				spans = slices.Delete(spans, i, i+1)
			case 1:
				spans = slices.Insert(spans, i, spans[m.pick(len(spans))])
			case 2:
				spans[i], spans[0] = spans[0], spans[i]
			case 3:
				spans[i].plain += uint32(m.pick(9)) - 4
			case 4:
				spans[i].packed += uint32(m.pick(9)) - 4
			}
			return appendSeekTable(bytes.Clone(m.v.file[:m.framesEnd()]), spans)
		}},
		{"frames dropped, doubled or swapped", cutShort, func(m *mutator) []byte {
			return m.shuffle(m.cut())
		}},
		{"frames of two bundles", cutShort, func(m *mutator) []byte {
			ours, theirs := m.cut(), (&mutator{v: m.other}).cut()
			n := m.pick(len(ours))
			if m.pick(2) == 0 {
				return m.join(append(slices.Clone(ours[:n]), theirs[min(n, len(theirs)):]...))
			}
			list := slices.Clone(ours)
			list[n] = theirs[m.pick(len(theirs))]
			return m.join(list)
		}},
		{"data behind the end", nil, func(m *mutator) []byte {
			more := [][]byte{[]byte("x"), make([]byte, 512), m.v.file, m.cut()[0].bytes, appendSeekTable(nil, m.v.spans), []byte("\x5e\x2a\x4d\x18\x00\x00\x00\x00")}
			return append(bytes.Clone(m.v.file), more[m.pick(len(more))]...)
		}},
		{"data between the frames", cutShort, func(m *mutator) []byte {
			more := [][]byte{[]byte("x"), []byte("\x50\x2a\x4d\x18\x01\x00\x00\x00x"), []byte("\x5e\x2a\x4d\x18\x01\x00\x00\x00x"), {0x28, 0xb5, 0x2f, 0xfd, 0x24, 0, 1, 0, 0, 0x99, 0xe9, 0xd8, 0x51}}
			list := m.cut()
			return m.join(slices.Insert(list, m.pick(len(list)+1), piecesOf(more[m.pick(len(more))])))
		}},
		// The frames are an envelope: where they end and how well they are
		// compressed is covered by no signature but the custody log's hash of the
		// file. The tar inside must then be the same, byte for byte.
		{"the same tar in other frames", []Verdict{Verified}, func(m *mutator) []byte {
			var out []byte
			var spans []span
			for rest := m.v.tar; len(rest) > 0; {
				n := min(len(rest), len(m.v.tar)/9+m.pick(9000))
				job := &frameJob{plain: rest[:n]}
				testPacker(m.t).pack(job)
				out, spans, rest = append(out, job.packed...), append(spans, job.spans...), rest[n:]
			}
			return appendSeekTable(out, spans)
		}},
		{"file cut", cutShort, func(m *mutator) []byte { return m.v.file[:m.pick(len(m.v.file))] }},
		{"file cut and more behind it", cutShort, func(m *mutator) []byte {
			list := m.cut()
			n := 1 + m.pick(len(list)-1)
			forged := appendHeader(nil, &entry{name: "files/file/planted", size: 5, mtime: testTime})
			forged = pad(append(forged, "trust"...), 5)
			job := &frameJob{plain: forged}
			testPacker(m.t).pack(job)
			out := m.join(append(slices.Clone(list[:n]), frameBytes{job.packed, job.spans[0]}))
			if m.pick(2) == 0 {
				return out
			}
			return out[:len(out)-17-8*(n+1)]
		}},
	}
}

// frameBytes is one frame and its entry in the seek table.
type frameBytes struct {
	bytes []byte
	span  span
}

func piecesOf(b []byte) frameBytes { return frameBytes{b, span{uint32(len(b)), 1}} }

func (m *mutator) framesEnd() int { return len(m.v.file) - 17 - 8*len(m.v.spans) }

func (m *mutator) cut() []frameBytes {
	var list []frameBytes
	at := uint32(0)
	for _, s := range m.v.spans {
		list = append(list, frameBytes{m.v.file[at : at+s.packed], s})
		at += s.packed
	}
	return list
}

func (m *mutator) join(list []frameBytes) []byte {
	var out []byte
	var spans []span
	for _, f := range list {
		out, spans = append(out, f.bytes...), append(spans, f.span)
	}
	return appendSeekTable(out, spans)
}

func (m *mutator) shuffle(list []frameBytes) []byte {
	i, j := m.pick(len(list)), m.pick(len(list))
	switch m.pick(3) {
	case 0:
		list = slices.Delete(list, i, i+1)
	case 1:
		list = slices.Insert(list, j, list[i])
	case 2:
		list[i], list[j] = list[j], list[i]
	}
	return m.join(list)
}

// memberAttacks work on the members of the tar, with everything that is not
// signed made to fit.
func memberAttacks() []attack {
	return []attack{
		{"byte of the tar", nil, func(m *mutator) []byte {
			tar := bytes.Clone(m.v.tar)
			tar[m.pick(len(tar))] ^= byte(1 + m.pick(255))
			return m.frames(tar)
		}},
		{"byte of a header, checksum right", nil, func(m *mutator) []byte {
			tar := bytes.Clone(m.v.tar)
			list := membersOf(m.t, tar)
			h := list[m.pick(len(list))]
			block := h.at + tarBlock*m.pick((h.data-h.at)/tarBlock)
			tar[block+m.pick(tarBlock)] ^= byte(1 + m.pick(127))
			fixSum(tar[block : block+tarBlock])
			return m.frames(tar)
		}},
		{"byte of a member", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			p := &parts[m.pick(len(parts))]
			if len(p.data) == 0 {
				return nil
			}
			p.data[m.pick(len(p.data))] ^= byte(1 + m.pick(255))
			return m.plain(parts)
		}},
		{"member removed", nil, func(m *mutator) []byte {
			i := m.pick(len(m.v.parts))
			return m.packed(slices.Delete(m.v.copied(), i, i+1))
		}},
		{"member twice", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			p := parts[m.pick(len(parts))]
			return m.packed(slices.Insert(parts, m.place(parts), p))
		}},
		{"member twice, other content", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			p := parts[m.pick(len(parts))]
			p.data = []byte("other content\n")
			return m.packed(slices.Insert(parts, m.place(parts), p))
		}},
		{"members swapped", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			i, j := m.pick(len(parts)), m.pick(len(parts))
			parts[i], parts[j] = parts[j], parts[i]
			return m.packed(parts)
		}},
		{"neighbours swapped", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			i := m.pick(len(parts) - 1)
			parts[i], parts[i+1] = parts[i+1], parts[i]
			return m.packed(parts)
		}},
		{"member renamed", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			p := &parts[m.pick(len(parts))]
			p.name = []string{
				p.name + "x", strings.ToUpper(p.name), "files/file/" + p.name, "exhibit/" + p.name, parts[m.pick(len(parts))].name,
				"files/file/../x", "/etc/passwd", strings.Repeat("files/a", 200), p.name + ".seg00000", "exhibit/lost/000000", "",
			}[m.pick(11)]
			return m.packed(parts)
		}},
		{"member added", cutShort, func(m *mutator) []byte {
			parts := m.v.copied()
			p := part{entry: entry{name: []string{
				"files/file/planted", "files/file/planted.seg00000", "exhibit/planted", fmt.Sprintf("exhibit/blocks/%d.sha256", m.pick(9)),
				"exhibit/lost/000000", "exhibit/manifest/000009.jsonl", "exhibit/checkpoint/000009.note", "exhibit/order.json",
				"exhibit/collector-cert.pub", "exhibit/collector-key.sig", "exhibit/recovery.json", "exhibit/recovery.note", "../x", "exhibit/header.json",
			}[m.pick(14)], mtime: testTime.Truncate(1e9)}}
			switch m.pick(4) {
			case 1:
				p.data = []byte(strings.Repeat("0", 64) + "\n")
			case 2:
				p.data = []byte(`{"format":1,"from_size":1,"verdict":"VERIFIED","cut":true,"lost":[],"left":0}` + "\n")
			case 3:
				p.data = bytes.Clone(parts[m.pick(len(parts))].data)
			}
			return m.packed(slices.Insert(parts, m.place(parts), p))
		}},
		{"time, size or kind of a header", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			p := &parts[m.pick(len(parts))]
			switch m.pick(4) {
			case 0:
				p.mtime = p.mtime.Add(1)
			case 1:
				p.mtime = p.mtime.Add(-1e9)
			case 2:
				p.sparse, p.real = !p.sparse, int64(len(p.data))
			case 3:
				p.real++
				p.data = append(p.data, 0)
			}
			return m.packed(parts)
		}},
		{"extended header without need", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			p := &parts[m.pick(len(parts))]
			p.size = int64(len(p.data))
			records := [][]byte{
				appendPax(nil, "path", p.name), appendPax(nil, "size", fmt.Sprint(p.size)), appendPax(nil, "comment", "x"),
				appendPax(nil, "uid", "0"), appendPax(nil, "mtime", "1.50"), appendPax(appendPax(nil, "mtime", "1.5"), "mtime", "2.5"),
			}
			x := records[m.pick(len(records))]
			p.raw = pad(append(appendUstar(nil, "PaxHeaders/x", "", 'x', int64(len(x)), 0), x...), len(x))
			p.raw = appendHeader(p.raw, &p.entry)
			return m.packed(parts)
		}},
		{"sparse map", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			i := slices.IndexFunc(parts, func(p part) bool { return p.sparse })
			old := []string{"\n8192\n", "2\n", "4096\n", "\n0\n"}[m.pick(4)]
			text := []string{"\n08192\n", "\n+8192\n", "3\n", "1\n", "4095\n", "\n-0\n", "\n00\n", "\n8193\n"}[m.pick(8)]
			parts[i].data = bytes.Replace(parts[i].data, []byte(old), []byte(text), 1)
			return m.packed(parts)
		}},
		{"checkpoint of another place", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			list := m.named(parts, checkPrefix)
			i, j := list[m.pick(len(list))], list[m.pick(len(list))]
			parts[i].data = parts[j].data
			return m.packed(parts)
		}},
		{"checkpoint of another bundle", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			list, theirs := m.named(parts, checkPrefix), m.named(m.other.parts, checkPrefix)
			parts[list[m.pick(len(list))]].data = m.other.parts[theirs[m.pick(len(theirs))]].data
			return m.packed(parts)
		}},
		{"member of another bundle", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			p := m.other.parts[m.pick(len(m.other.parts))]
			if i := index(parts, p.name); i >= 0 {
				if bytes.Equal(parts[i].data, p.data) {
					return nil
				}
				parts[i] = p
			} else {
				parts = slices.Insert(parts, m.place(parts), p)
			}
			return m.packed(parts)
		}},
		{"head and tail of two bundles", nil, func(m *mutator) []byte {
			n := 1 + m.pick(len(m.v.parts)-1)
			return m.packed(append(m.v.copied()[:n], m.other.copied()[min(n, len(m.other.parts)-1):]...))
		}},
		{"end of the tar", nil, func(m *mutator) []byte {
			tar := bytes.Clone(m.v.tar)
			switch m.pick(4) {
			case 0:
				tar = append(tar, make([]byte, tarBlock*(1+m.pick(3)))...)
			case 1:
				tar = append(tar, 0)
			case 2:
				tar = tar[:len(tar)-1-m.pick(2*tarBlock)]
			case 3:
				tar = append(tar, m.v.tar[:tarBlock*2]...)
			}
			return m.frames(tar)
		}},
	}
}

// place is where an attacker puts a member: anywhere, but rather behind the
// content, where no offset of a record moves.
func (m *mutator) place(parts []part) int {
	if m.pick(3) == 0 {
		return m.pick(len(parts) + 1)
	}
	last := 0
	for i, p := range parts {
		if strings.HasPrefix(p.name, "files/") {
			last = i + 1
		}
	}
	return last + m.pick(len(parts)+1-last)
}

func (m *mutator) named(parts []part, prefix string) []int {
	var list []int
	for i, p := range parts {
		if strings.HasPrefix(p.name, prefix) {
			list = append(list, i)
		}
	}
	return list
}

func fixSum(h []byte) {
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
}
