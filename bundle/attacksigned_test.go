package bundle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// recordAttacks change what records say and make the hashes fit.
func recordAttacks() []attack {
	change := func(m *mutator) []part {
		parts := m.v.copied()
		list := m.named(parts, manifestPrefix)
		p := &parts[list[m.pick(len(list))]]
		fields := [][2]string{
			{`"ENOENT"`, `"EACCES"`},
			{`"uid":0`, `"uid":1`},
			{`"src":"file"`, `"src":"proc"`},
			{`"k":"file"`, `"k":"log"`},
			{`"size":6`, `"size":7`},
			{`"path":"/`, `"path":"//`},
			{`"t0":"2026`, `"t0":"2025`},
			{`"salt":"`, `"salt": "`},
			{`"k":"absent"`, `"k":"denied"`},
			{`"complete":true`, `"complete":false`},
			{`"examiner":"alice`, `"examiner":"mallory`},
			{`"grade":"C"`, `"grade":"A"`},
			{`,"detail"`, `,"note":"x","detail"`},
			{`"i":1,`, `"i":2,`},
			{`"reason":"completed"`, `"reason":"deadline"`},
			{`"started":"2026`, `"started":"2025`},
			{`"unread":[[10,20,"short"]]`, `"unread":[]`},
		}
		f := fields[m.pick(len(fields))]
		if changed := bytes.Replace(p.data, []byte(f[0]), []byte(f[1]), 1); bytes.Equal(changed, p.data) {
			return nil
		} else {
			p.data = changed
		}
		return parts
	}
	return []attack{
		{"record changed, unsigned hashes fit", nil, func(m *mutator) []byte {
			parts := change(m)
			if parts == nil {
				return nil
			}
			return m.packed(parts)
		}},
		{"record changed, signed by the attacker", nil, func(m *mutator) []byte {
			parts := change(m)
			if parts == nil {
				return nil
			}
			m.resign(parts, m.enemy)
			return m.packed(parts)
		}},
		{"content and its record changed", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			p := &parts[index(parts, m.pickContent())]
			old := evidence.Sum(p.data).String()
			p.data[0] ^= 1
			for _, i := range m.named(parts, manifestPrefix) {
				parts[i].data = bytes.ReplaceAll(parts[i].data, []byte(old), []byte(evidence.Sum(p.data).String()))
			}
			if m.pick(2) == 0 {
				m.resign(parts, m.enemy)
			}
			return m.packed(parts)
		}},
		{"records dropped, doubled or swapped", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			list := m.named(parts, manifestPrefix)
			p := &parts[list[m.pick(len(list))]]
			lines := bytes.SplitAfter(p.data, []byte("\n"))
			lines = lines[:len(lines)-1]
			i, j := m.pick(len(lines)/2)*2, m.pick(len(lines)/2)*2
			switch m.pick(4) {
			case 0:
				lines = slices.Delete(slices.Clone(lines), i, i+2)
			case 1:
				lines = slices.Insert(slices.Clone(lines), j, lines[i], lines[i+1])
			case 2:
				lines[i], lines[i+1], lines[j], lines[j+1] = lines[j], lines[j+1], lines[i], lines[i+1]
			case 3:
				lines[i], lines[i+1] = lines[i+1], lines[i]
			}
			p.data = bytes.Join(lines, nil)
			return m.packed(parts)
		}},
		// A bundle that somebody makes anew under a key of their own is whole, by
		// nobody known: INTACT-SIGNER-UNKNOWN is what it is.
		{"all made anew by the attacker", []Verdict{SignerUnknown}, func(m *mutator) []byte {
			parts := m.v.copied()
			m.replaceKey(parts)
			m.resign(parts, m.enemy)
			return m.packed(parts)
		}},
		{"header names the attacker's key", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			m.replaceKey(parts)
			if m.pick(2) == 0 {
				m.resign(parts, m.ours)
			}
			return m.packed(parts)
		}},
	}
}

func (m *mutator) pickContent() string {
	var list []string
	for _, p := range m.v.parts {
		if strings.HasPrefix(p.name, "files/") && len(p.data) > 0 && !p.sparse && !strings.Contains(p.name, ".seg") {
			list = append(list, p.name)
		}
	}
	return list[m.pick(len(list))]
}

// resign signs all checkpoints and the seal over the records as they are now.
func (m *mutator) resign(parts []part, key *chainofcustody.RunKey) {
	old, err := ParseSeal(m.v.parts[index(m.v.parts, sealMember)].data)
	if err != nil {
		m.t.Fatal(err)
	}
	var t tree
	var s Seal
	for i, p := range parts {
		if strings.HasPrefix(p.name, checkPrefix) {
			s = newSeal(old.Origin, t.size, t.root())
			signNote(&s, key.Private)
			parts[i].data = s.Note
		}
		if lines := bytes.SplitAfter(p.data, []byte("\n")); strings.HasPrefix(p.name, manifestPrefix) {
			for l := 0; l+1 < len(lines); l += 2 {
				t.add(LeafHash(lines[l], lines[l+1]))
			}
		}
	}
	sig, err := key.Sign(chainofcustody.NamespaceSeal, s.Text)
	if err != nil {
		m.t.Fatal(err)
	}
	for name, b := range map[string][]byte{sealMember: s.Text, sshsigMember: sig, noteMember: s.Note} {
		parts[index(parts, name)].data = b
	}
}

// replaceKey puts the attacker's key where the run's stands, and makes the
// digests of the header fit.
func (m *mutator) replaceKey(parts []part) {
	ours, enemy := m.ours.PublicKey(), m.enemy.PublicKey()
	fixed, err := fixedMembers(enemy, &Mandate{})
	if err != nil {
		m.t.Fatal(err)
	}
	swap := [][2]string{{strings.TrimSpace(string(CollectorPub(ours))), strings.TrimSpace(string(CollectorPub(enemy)))}}
	for _, f := range fixed {
		p := &parts[index(parts, f.name)]
		swap = append(swap, [2]string{evidence.Sum(p.data).String(), evidence.Sum(f.data).String()})
		p.data = f.data
	}
	for _, name := range []string{headerMember, manifestMember(0)} {
		p := &parts[index(parts, name)]
		for _, s := range swap {
			p.data = bytes.ReplaceAll(p.data, []byte(s[0]), []byte(s[1]))
		}
	}
}

// spellingAttacks write members that no signature covers in other words that
// say the same.
func spellingAttacks() []attack {
	swap := func(name string, pairs ...[2]string) func(m *mutator) []byte {
		return func(m *mutator) []byte {
			parts := m.v.copied()
			relink(parts)
			p := &parts[index(parts, name)]
			f := pairs[m.pick(len(pairs))]
			at := bytes.Index(p.data, []byte(f[0]))
			if last := bytes.LastIndex(p.data, []byte(f[0])); m.pick(2) == 0 {
				at = last
			}
			if at < 0 {
				return nil
			}
			p.data = slices.Concat(p.data[:at], []byte(f[1]), p.data[at+len(f[0]):])
			size := len(p.data)
			if locator := &parts[index(parts, locatorMember)]; name != locatorMember {
				// The size in the locator is made to fit as well.
				old := m.v.parts[index(m.v.parts, name)].data
				locator.data = bytes.ReplaceAll(locator.data, fmt.Appendf(nil, " %d\n", len(old)), fmt.Appendf(nil, " %d\n", size))
			}
			return m.plain(parts)
		}
	}
	le := binary.LittleEndian.AppendUint32(nil, 7)
	return []attack{
		{"list of leaves in other words", nil, swap(leavesMember, [2]string{"\n", "\r\n"}, [2]string{"\n", "\n\n"}, [2]string{"\n", "\nabc"}, [2]string{"a", "A"}, [2]string{"\n", ""}, [2]string{"0", " 0"})},
		{"manifest index in other words", nil, swap(rowsMember, [2]string{" 1", " 01"}, [2]string{" 1", " +1"}, [2]string{"\n", "\r\n"}, [2]string{"\n", ""}, [2]string{"\n", "\n\n"}, [2]string{" ", "  "})},
		{"member index in other words", nil, swap(namesMember, [2]string{" ", "\t"}, [2]string{"\n", "\r\n"}, [2]string{"\n", "\nx"}, [2]string{"a", "A"}, [2]string{"0", "1"})},
		{"locator in other words", nil, swap(locatorMember, [2]string{"leaves ", "leaves 0"}, [2]string{"leaves ", "leaves  "}, [2]string{"seal", "checkpoint"}, [2]string{"\n", "\nmore 1 1\n"}, [2]string{"\n", "\r\n"})},
		{"seal in other words", nil, swap(sealMember, [2]string{"\n", "\r\n"}, [2]string{"=\n", "=\n\n"}, [2]string{"=\n", "=\nmore\n"}, [2]string{"\n1", "\n01"}, [2]string{"v1/", "v1//"})},
		{"seal's note in other words", nil, swap(noteMember, [2]string{"A", "\rA"}, [2]string{"=\n", "=\r\n"}, [2]string{"a", "\na"}, [2]string{"=\n", "=\n\n"}, [2]string{"— ", "—  "}, [2]string{"\n\n", "\n\n— x AAAA\n"}, [2]string{"=\n", "=\n\u2014 x AAAA\n"})},
		{"seal's signature in other words", nil, swap(sshsigMember, [2]string{"-----BEGIN", "hello\n-----BEGIN"}, [2]string{"SIGNATURE-----\n", "SIGNATURE-----\n\n"}, [2]string{"\n", "\r\n"}, [2]string{"U1N", "U1\nN"}, [2]string{"=\n", "=\nx"}, [2]string{"\n", " \n"})},
		{"checkpoint in other words", nil, swap("exhibit/checkpoint/000000.note", [2]string{"A", "\rA"}, [2]string{"a", "\na"}, [2]string{"=\n", "=\r\n"}, [2]string{"\n\n", "\n\n— x AAAA\n"}, [2]string{"=\n", "=\n\n"})},
		{"header in other words", nil, swap(headerMember, [2]string{"{", "{ "}, [2]string{",", ", "}, [2]string{"\n", "\n\n"}, [2]string{"\n", ""}, [2]string{"a", string(le)})},
		{"lines of the signature 70 long", nil, func(m *mutator) []byte {
			parts := m.v.copied()
			p := &parts[index(parts, sshsigMember)]
			lines := strings.Split(strings.TrimSpace(string(p.data)), "\n")
			text := strings.Join(lines[1:len(lines)-1], "")
			out := lines[0] + "\n"
			for len(text) > 0 {
				n := min(len(text), 70)
				out, text = out+text[:n]+"\n", text[n:]
			}
			p.data = []byte(out + lines[len(lines)-1] + "\n")
			return m.packed(parts)
		}},
	}
}
