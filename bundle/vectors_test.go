package bundle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func vectorPath(t testing.TB, name string) string {
	return filepath.Join(testenv.Root(t), "testdata/vectors/bundle", name)
}

// minimal is the least bundle worth showing: one file, one failed look.
func minimal(t testing.TB, key *chainofcustody.RunKey) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, testHeader(), key, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	addBytes(t, w, "/etc/hostname", []byte("web01\n"))
	if err := w.Note(evidence.Item{Kind: evidence.KindAbsent, Source: "file", Path: "/etc/shadow-", Detail: "ENOENT"}); err != nil {
		t.Fatal(err)
	}
	sealBundle(t, w)
	return out.Bytes()
}

// facts is what a vector's .json says of it.
type facts struct {
	Tar     string   `json:"tar_sha256"`
	Records int64    `json:"records"`
	Leaves  []string `json:"leaves"`
	Root    string   `json:"root"`
	SealID  string   `json:"seal_id"`
	Code    string   `json:"seal_code"`
	Members []string `json:"members"`
	Proof   string   `json:"proof_of_record_1"`
}

func factsOf(t testing.TB, file []byte) []byte {
	t.Helper()
	r := openBytes(t, file)
	p, err := r.Prove(1)
	if err != nil {
		t.Fatal(err)
	}
	tar := unpackAll(t, file)
	f := facts{
		Tar: evidence.Sum(tar).String(), Records: r.Seal().Size, Root: r.Seal().Root.String(),
		SealID: r.Seal().ID.String(), Code: r.Seal().Code(), Proof: string(p.Text()),
	}
	for _, l := range r.leaves {
		f.Leaves = append(f.Leaves, l.String())
	}
	for _, m := range membersOf(t, tar) {
		f.Members = append(f.Members, fmt.Sprintf("%d %d %s", m.data, m.size, m.name))
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func TestVectorsAreWrittenAgainByteForByte(t *testing.T) {
	everything, _, _ := sample(t)
	for name, b := range map[string][]byte{"minimal": minimal(t, testKey(t)), "everything": everything} {
		testenv.Golden(t, vectorPath(t, name+".exhibit.tar.zst"), b)
		testenv.Golden(t, vectorPath(t, name+".json"), factsOf(t, b))
		onDisk, err := os.ReadFile(vectorPath(t, name+".exhibit.tar.zst"))
		if err != nil {
			t.Fatal(err)
		}
		if r := verify(t, onDisk, trustTest(t)); r.Verdict != Verified {
			t.Errorf("%s: %s", name, explain(r))
		}
	}
}

// unpackAll decodes all frames.
func unpackAll(t testing.TB, file []byte) []byte {
	t.Helper()
	frames, err := readSeekTable(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	c := newFrameCache(bytes.NewReader(file), frames)
	tar := make([]byte, c.size())
	if _, err := c.ReadAt(tar, 0); err != nil {
		t.Fatal(err)
	}
	return tar
}

// repack makes a bundle file of tar bytes.
func repack(t testing.TB, tar []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	f, err := newFrameWriter(&out, 8192, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for len(tar) > 0 {
		n := min(len(tar), 8192)
		f.flush(append(f.buffer(), tar[:n]...), false)
		tar = tar[n:]
	}
	if err := f.finish(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// tarMember is where a member is in a tar.
type tarMember struct {
	name           string
	at, data, next int
	size           int64
}

func membersOf(t testing.TB, tar []byte) []tarMember {
	t.Helper()
	var list []tarMember
	for at := 0; !bytes.Equal(tar[at:at+tarBlock], zeroBlock[:]); {
		e, n, err := parseHeader(tar[at:])
		if err != nil {
			t.Fatal(err)
		}
		m := tarMember{name: e.name, at: at, data: at + n, size: e.size}
		m.next = m.data + int(e.size+tarBlock-1)&^(tarBlock-1)
		list = append(list, m)
		at = m.next
	}
	return list
}

func member(t testing.TB, tar []byte, name string) tarMember {
	t.Helper()
	for _, m := range membersOf(t, tar) {
		if m.name == name {
			return m
		}
	}
	t.Fatalf("no member %s", name)
	return tarMember{}
}

// replace changes text inside one member, keeping its length.
func replace(t testing.TB, tar []byte, name, old, text string) []byte {
	t.Helper()
	m := member(t, tar, name)
	out := bytes.Clone(tar)
	body := out[m.data : m.data+int(m.size)]
	changed := bytes.Replace(body, []byte(old), []byte(text), 1)
	if bytes.Equal(changed, body) || len(changed) != len(body) {
		t.Fatalf("%s: cannot replace %q", name, old)
	}
	copy(body, changed)
	return out
}

func without(t testing.TB, tar []byte, name string) []byte {
	m := member(t, tar, name)
	return append(bytes.Clone(tar[:m.at]), tar[m.next:]...)
}

// insert puts raw bytes before a member.
func insert(t testing.TB, tar []byte, before string, raw []byte) []byte {
	m := member(t, tar, before)
	return append(append(bytes.Clone(tar[:m.at]), raw...), tar[m.at:]...)
}

// resealed signs another root in place of the sealed one.
func resealed(t testing.TB, tar []byte, key *chainofcustody.RunKey, root evidence.Digest) []byte {
	t.Helper()
	m := member(t, tar, sealMember)
	old, err := ParseSeal(tar[m.data : m.data+int(m.size)])
	if err != nil {
		t.Fatal(err)
	}
	s := newSeal(old.Origin, old.Size, root)
	signNote(&s, key.Private)
	if s.SSHSig, err = key.Sign(chainofcustody.NamespaceSeal, s.Text); err != nil {
		t.Fatal(err)
	}
	out := bytes.Clone(tar)
	for name, b := range map[string][]byte{sealMember: s.Text, sshsigMember: s.SSHSig, noteMember: s.Note} {
		m := member(t, out, name)
		if int(m.size) != len(b) {
			t.Fatalf("%s: %d bytes, want %d", name, len(b), m.size)
		}
		copy(out[m.data:], b)
	}
	return out
}

func otherKey(t testing.TB) *chainofcustody.RunKey {
	t.Helper()
	key, err := chainofcustody.RunKeyOf(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rawHeader is a ustar header that this format forbids.
func rawHeader(name string, flag byte, mode string) []byte {
	h := appendUstar(nil, name, "", flag, 0, testTime.Unix())
	copy(h[100:], mode)
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

const (
	hostname = "files/file/etc/hostname"
	batch1   = "exhibit/manifest/000001.jsonl"
)

// badVectors are bundles that are wrong in one way each.
func badVectors(t testing.TB) map[string]struct {
	file    []byte
	verdict Verdict
} {
	good := minimal(t, testKey(t))
	tar := unpackAll(t, good)
	table, err := tableOf(bytes.NewReader(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	end := table[len(table)-1].file + int64(table[len(table)-1].packed)
	list := map[string]struct {
		file    []byte
		verdict Verdict
	}{}
	file := func(name string, v Verdict, b []byte) {
		list[name] = struct {
			file    []byte
			verdict Verdict
		}{b, v}
	}
	changed := func(name string, tar []byte) { file(name, Altered, repack(t, tar)) }
	flipped := func(at int64) []byte {
		b := bytes.Clone(good)
		b[at] ^= 0x10
		return b
	}
	m := member(t, tar, batch1)
	lines := bytes.SplitAfter(tar[m.data:m.data+int(m.size)], []byte("\n"))
	swapped := bytes.Clone(tar)
	copy(swapped[m.data:], bytes.Join([][]byte{lines[2], lines[3], lines[0], lines[1], lines[4], lines[5]}, nil))
	crossed := bytes.Clone(tar)
	copy(crossed[m.data:], bytes.Join([][]byte{lines[1], lines[0], lines[2], lines[3], lines[4], lines[5]}, nil))
	h := member(t, tar, hostname)
	setuid := bytes.Clone(tar)
	copy(setuid[h.data-tarBlock:], rawHeader(hostname, '0', "0004755"))
	padded := bytes.Clone(tar)
	padded[h.data+100] = 1

	changed("wrong-root", resealed(t, tar, testKey(t), evidence.Sum([]byte("other"))))
	changed("seal-of-other-key", resealed(t, tar, otherKey(t), openBytes(t, good).Seal().Root))
	changed("records-swapped", swapped)
	changed("lines-swapped", crossed)
	changed("member-twice", insert(t, tar, batch1, tar[h.at:h.next]))
	changed("member-added", insert(t, tar, batch1, appendHeader(nil, &entry{name: "files/file/planted", mtime: testTime})))
	changed("member-removed", without(t, tar, hostname))
	changed("content-changed", replace(t, tar, hostname, "web01", "web02"))
	changed("path-changed", replace(t, tar, batch1, `"path":"/etc/hostname"`, `"path":"/etc/hostnama"`))
	changed("negative-record-changed", replace(t, tar, batch1, "ENOENT", "EACCES"))
	changed("key-twice", replace(t, tar, batch1, `"size":6,`, `"i":1,   `))
	changed("not-utf8", replace(t, tar, batch1, "/etc/hostname", "/etc/\xff\xfestname"))
	changed("checkpoint-not-signed", replace(t, tar, "exhibit/checkpoint/000001.note", noteSignature(t, tar), strings.Repeat("A", 8)))
	changed("checkpoint-removed", without(t, tar, "exhibit/checkpoint/000001.note"))
	changed("seal-removed", without(t, tar, sealMember))
	changed("leaves-removed", without(t, tar, leavesMember))
	changed("readme-changed", replace(t, tar, readmeMember, "evidence bundle", "evidence bungle"))
	changed("index-leads-astray", replace(t, tar, namesMember, " 000001\n", " 000002\n"))
	changed("symlink", insert(t, tar, batch1, rawHeader("files/file/link", '2', "0000777")))
	changed("setuid", setuid)
	changed("padding-not-zero", padded)
	changed("name-escapes", insert(t, tar, batch1, rawHeader("files/../../etc/passwd", '0', "0000444")))
	file("data-behind-the-end", Altered, append(bytes.Clone(good), "more"...))
	file("frame-damaged", Damaged, flipped(table[1].file+int64(table[1].packed)/2))
	file("seek-table-damaged", Damaged, flipped(end+12))
	file("seek-table-missing", VerifiedPrefix, good[:end])
	file("cut", VerifiedPrefix, good[:table[1].file+10])
	file("cut-before-the-first-checkpoint", Unreadable, good[:table[0].packed-1])
	file("other-tar", Unreadable, repack(t, append(rawHeader("etc/passwd", '0', "0000644"), make([]byte, 1024)...)))
	file("unknown-key", SignerUnknown, minimal(t, otherKey(t)))
	moreBad(t, file)
	return list
}

// noteSignature is the end of the signature in a checkpoint, to be replaced.
func noteSignature(t testing.TB, tar []byte) string {
	m := member(t, tar, "exhibit/checkpoint/000001.note")
	text := strings.TrimSpace(string(tar[m.data : m.data+int(m.size)]))
	last := text[len(text)-16 : len(text)-8]
	if _, err := base64.StdEncoding.DecodeString(last); err != nil {
		t.Fatal(err)
	}
	return last
}

func TestBadVectorsGetTheirVerdict(t *testing.T) {
	verdicts := map[string]Verdict{}
	for name, v := range badVectors(t) {
		path := vectorPath(t, "bad/"+name+".exhibit.tar.zst")
		testenv.Golden(t, path, v.file)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		verdicts[name] = v.verdict
		if r := verify(t, b, trustTest(t)); r.Verdict != v.verdict {
			t.Errorf("%s: verdict %s, want %s\n%s", name, r.Verdict, v.verdict, explain(r))
		}
	}
	b, err := json.MarshalIndent(verdicts, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	testenv.Golden(t, vectorPath(t, "bad/verdicts.json"), append(b, '\n'))
}
