package bundle

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func erasureVector(t testing.TB, name string) string {
	return filepath.Join(testenv.Root(t), "testdata/vectors/erasure", name)
}

// erasureFacts are what verdicts.json says of a vector.
type erasureFacts struct {
	Verdict Verdict `json:"verdict"`
	Erased  []int64 `json:"erased,omitempty"` // leaves that the statements name
}

type erasureVectorFile struct {
	erasureFacts
	file []byte
}

// erasureAttack changes an erased bundle: of record 1 both lines are gone, of
// record 4, which is sparse, the content line.
type erasureAttack struct{ *mutator }

// restate signs the last statement again, after a change, so that it fits the
// tar that it is in: what is left wrong is the one defect.
func (m *erasureAttack) restate(parts []part, do func(e *Erasure)) {
	n := 0
	for index(parts, erasureMember(n+1)) >= 0 {
		n++
	}
	text := &parts[index(parts, erasureMember(n))]
	e, err := ParseErasure(text.data)
	if err != nil {
		m.t.Fatal(err)
	}
	tar, at := assemble(parts)
	e.KeptSize = at[index(parts, sealMember)] - tarBlock
	e.Kept = evidence.Sum(tar[:e.KeptSize])
	if do != nil {
		do(e)
	}
	text.data = e.Encode()
	m.sign(parts, n)
}

func (m *erasureAttack) sign(parts []part, n int) {
	sig := &parts[index(parts, erasureMember(n)+".sig")]
	sig.data = mustSign(m.t, parts[index(parts, erasureMember(n))].data)
}

// blanked takes a line of a record out of its batch, as Erase does.
func (m *erasureAttack) blanked(parts []part, leaf int64, which int) []byte {
	for i := range parts {
		if _, ok := batchOf(parts[i].name); !ok {
			continue
		}
		lines := bytes.SplitAfter(parts[i].data, []byte("\n"))
		for l := 0; l+1 < len(lines); l += 2 {
			if r, err := parseRecord(lines[l], lines[l+1]); err == nil && r.item.Index == leaf {
				line := bytes.Clone(lines[l+which])
				for j := range lines[l+which][:len(line)-1] {
					lines[l+which][j] = ' '
				}
				parts[i].data = bytes.Join(lines, nil)
				return line
			}
		}
	}
	m.t.Fatalf("no record %d", leaf)
	return nil
}

// unfilled turns a member into what stands in the place of erased content.
func (m *erasureAttack) unfilled(parts []part, name string, leaf int64, n int) {
	p := &parts[index(parts, name)]
	if p.sparse || len(appendHeader(nil, &p.entry)) != tarBlock {
		m.t.Fatalf("%s has a long header", name)
	}
	p.name, p.mtime = erasedMember(leaf, n), parts[0].mtime
	p.data = make([]byte, (len(p.data)+tarBlock-1)&^(tarBlock-1))
}

func goodErasures(t testing.TB) map[string]erasureVectorFile {
	original := small(t, testHeader().Bundle)
	content, _ := eraseTest(t, original, eraseOptions(t, false, 1, 4))
	metadata, _ := eraseTest(t, original, eraseOptions(t, true, 1, 7))
	o := eraseOptions(t, true, 1)
	o.Order, o.Reason = "Bonn court, 7 Gs 13/26", "names, too"
	later, _ := eraseTest(t, content, o)
	cut := content[:len(content)-100]
	return map[string]erasureVectorFile{
		"original": {erasureFacts{Verdict: Verified}, original},
		"content":  {erasureFacts{VerifiedPrefix, []int64{1, 4}}, content},
		"metadata": {erasureFacts{VerifiedPrefix, []int64{1, 7}}, metadata},
		"later":    {erasureFacts{VerifiedPrefix, []int64{1, 1, 4}}, later},
		"cut":      {erasureFacts{Verdict: Damaged}, cut},
	}
}

func badErasures(t testing.TB) map[string]erasureVectorFile {
	original := small(t, testHeader().Bundle)
	o := eraseOptions(t, true, 1)
	first, _ := eraseTest(t, original, o)
	o = eraseOptions(t, false, 4)
	erased, _ := eraseTest(t, first, o)
	m := &erasureAttack{attacker(t)}
	m.v = takeApart(t, erased)
	list := map[string]erasureVectorFile{}
	file := func(name string, v Verdict, b []byte) { list[name] = erasureVectorFile{erasureFacts{Verdict: v}, b} }
	change := func(name string, v Verdict, do func(parts []part) []part) {
		file(name, v, m.plain(do(m.v.copied())))
	}
	drop := func(names ...string) func([]part) []part {
		return func(parts []part) []part {
			return slices.DeleteFunc(parts, func(p part) bool { return slices.Contains(names, p.name) })
		}
	}
	one, two := erasureMember(0), erasureMember(1)
	change("statement-missing", Altered, drop(two, two+".sig"))
	change("first-statement-missing", Altered, drop(one, one+".sig"))
	change("all-statements-missing", Altered, drop(one, one+".sig", two, two+".sig"))
	change("signature-missing", Altered, drop(two+".sig"))
	change("statement-of-no-signature", Altered, drop(two))
	change("order-changed", Altered, func(parts []part) []part {
		p := &parts[index(parts, two)]
		p.data = bytes.Replace(p.data, []byte("7 Gs 12/26"), []byte("7 Gs 99/26"), 1)
		return parts
	})
	change("statement-in-other-words", Altered, func(parts []part) []part {
		p := &parts[index(parts, two)]
		p.data = bytes.Replace(p.data, []byte(`{"v":1,`), []byte(`{"v": 1,`), 1)
		m.sign(parts, 1)
		return parts
	})
	change("statements-in-another-order", Altered, func(parts []part) []part {
		for _, end := range []string{"", ".sig"} {
			i, j := index(parts, one+end), index(parts, two+end)
			parts[i].data, parts[j].data = parts[j].data, parts[i].data
		}
		return parts
	})
	restated := func(name string, do func(e *Erasure)) {
		change(name, Altered, func(parts []part) []part { m.restate(parts, do); return parts })
	}
	restated("another-record-is-named", func(e *Erasure) { e.Items[0].Leaf = 3 })
	restated("one-more-is-named", func(e *Erasure) {
		e.Items = append(e.Items, ErasedItem{Leaf: 5, Content: evidence.Sum([]byte("x"))})
	})
	restated("none-of-ours-is-named", func(e *Erasure) { e.Items = []ErasedItem{{Leaf: 7, Content: evidence.Sum([]byte("x"))}} })
	restated("digest-of-another-line", func(e *Erasure) { e.Items[0].Content = evidence.Sum([]byte("x")) })
	restated("metadata-is-said-to-be-gone", func(e *Erasure) { e.Items[0].Meta = evidence.Sum([]byte("x")) })
	restated("named-twice", func(e *Erasure) {
		e.Items = append([]ErasedItem{{Leaf: 1, Content: evidence.Sum([]byte("x"))}}, e.Items...)
	})
	restated("header-is-named", func(e *Erasure) { e.Items[0].Leaf = 0 })
	restated("seal-of-another-bundle", func(e *Erasure) { e.Seal = evidence.Sum([]byte("x")) })
	restated("kept-is-another", func(e *Erasure) { e.Kept = evidence.Sum([]byte("x")) })
	restated("kept-is-shorter", func(e *Erasure) { e.KeptSize -= tarBlock })

	foreign, _ := eraseTest(t, small(t, "0195a1c4-1f70-7abc-8def-ba9876543210"), eraseOptions(t, false, 4))
	other := takeApart(t, foreign)
	change("statement-of-another-bundle", Altered, func(parts []part) []part {
		for _, end := range []string{"", ".sig"} {
			parts[index(parts, two+end)].data = other.parts[index(other.parts, one+end)].data
		}
		return parts
	})
	change("more-is-gone", Altered, func(parts []part) []part {
		m.blanked(parts, 5, 0)
		m.unfilled(parts, "files/file/short", 4, 1)
		m.restate(parts, nil)
		return parts
	})
	change("metadata-is-gone-too", Altered, func(parts []part) []part {
		m.blanked(parts, 5, 1)
		m.restate(parts, nil)
		return parts
	})
	change("content-is-gone-and-its-record-is-not", Altered, func(parts []part) []part {
		m.unfilled(parts, "files/file/short", 4, 1)
		m.restate(parts, nil)
		return parts
	})
	change("something-in-its-place", Altered, func(parts []part) []part {
		parts[index(parts, erasedMember(1, 0))].data[3] = 'x'
		m.restate(parts, nil)
		return parts
	})
	change("place-of-another-record", Altered, func(parts []part) []part {
		parts[index(parts, erasedMember(1, 0))].name = erasedMember(6, 0)
		m.restate(parts, nil)
		return parts
	})
	change("places-out-of-order", Altered, func(parts []part) []part {
		parts[index(parts, erasedMember(1, 0))].name = erasedMember(1, 1)
		m.restate(parts, nil)
		return parts
	})
	change("blank-lines-of-other-lengths", Altered, func(parts []part) []part {
		p := &parts[index(parts, manifestMember(0))]
		at := bytes.Index(p.data, []byte("  \n"))
		p.data[at+1], p.data[at+2] = '\n', ' ' // the next line is blank, too
		return parts
	})
	change("name-left-in-the-index", Altered, func(parts []part) []part {
		before := takeApart(t, original)
		p := &parts[index(parts, namesMember)]
		old := len(p.data)
		p.data = before.parts[index(before.parts, namesMember)].data
		_, at := assemble(parts)
		l := &parts[index(parts, locatorMember)]
		lines := strings.Split(string(l.data), "\n")
		for i, line := range lines {
			switch {
			case strings.HasPrefix(line, "member-index "):
				lines[i] = strings.Replace(line, " "+strconv.Itoa(old), " "+strconv.Itoa(len(p.data)), 1)
			case strings.HasPrefix(line, "seal "):
				s := parts[index(parts, sealMember)]
				lines[i] = "seal " + strconv.Itoa(int(at[index(parts, sealMember)])) + " " + strconv.Itoa(len(s.data))
			}
		}
		l.data = []byte(strings.Join(lines, "\n"))
		m.restate(parts, nil)
		return parts
	})
	stranger := eraseOptions(t, false, 1)
	stranger.Sign = func(b []byte) ([]byte, error) { return otherKey(t).Sign(chainofcustody.NamespaceCustody, b) }
	stolen, _ := eraseTest(t, original, stranger)
	file("erased-by-a-stranger", Damaged, stolen)
	whole := takeApart(t, original)
	parts := whole.copied()
	at := index(parts, locatorMember)
	for _, end := range []string{".sig", ""} { // nothing is gone
		parts = slices.Insert(parts, at, part{entry: entry{name: one + end, mtime: parts[0].mtime}, data: m.v.parts[index(m.v.parts, one+end)].data})
	}
	file("statement-in-a-whole-bundle", Altered, m.plain(parts))
	frames := m.cut()
	frames[1].bytes = bytes.Clone(frames[1].bytes)
	frames[1].bytes[len(frames[1].bytes)/2] ^= 0xff
	file("frame-damaged", Damaged, m.join(frames))
	return list
}

func TestErasureVectorsGetTheirVerdict(t *testing.T) {
	for folder, list := range map[string]map[string]erasureVectorFile{"": goodErasures(t), "bad": badErasures(t)} {
		facts := map[string]erasureFacts{}
		for name, v := range list {
			path := erasureVector(t, filepath.Join(folder, name+".exhibit.tar.zst"))
			testenv.Golden(t, path, v.file)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			facts[name] = v.erasureFacts
			rep := verify(t, b, trustTest(t))
			var leaves []int64
			for _, e := range rep.Erasures {
				for _, it := range e.Items {
					leaves = append(leaves, it.Leaf)
				}
			}
			slices.Sort(leaves)
			if rep.Verdict != v.Verdict || folder == "" && !slices.Equal(leaves, v.Erased) {
				t.Errorf("%s: %s, erased %v, want %s, %v\n%s", name, rep.Verdict, leaves, v.Verdict, v.Erased, explain(rep))
			}
			if rep := verify(t, b, VerifyOptions{}); rep.Verdict == Verified || rep.Verdict == VerifiedPrefix {
				t.Errorf("%s, nobody trusted: %s", name, rep.Verdict)
			}
			if folder == "bad" { // what is not as it says may open or not, and must not do worse
				if r, err := Open(bytes.NewReader(b), int64(len(b))); err == nil {
					for it, err := range r.Items() {
						if err == nil && it.Kind.HasContent() {
							_, _ = r.Open(it.Member)
						}
					}
				}
			}
		}
		b, err := json.MarshalIndent(facts, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		testenv.Golden(t, erasureVector(t, filepath.Join(folder, "verdicts.json")), append(b, '\n'))
	}
	line := `alice@lab namespaces="exhibit-seal,exhibit-custody" ` + string(CollectorPub(testKey(t).PublicKey()))
	testenv.Golden(t, erasureVector(t, "allowed_signers"), []byte(line))
}
