// Package recipe runs docs/verify-yourself.md as an opposing expert would, on
// fresh evidence and on copies in which one byte was changed.
package recipe

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// step is one code block of the document and what one must see.
type step struct {
	section string // its number
	gradeA  bool   // for grade A only
	script  string
	want    []string
}

// readDocument takes the blocks out of the document: of those of sh, each but
// the one that sets names is followed by one of text.
func readDocument(t *testing.T) []step {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "verify-yourself.md"))
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	var block []string
	section, fence, gradeA := "", "", false
	for _, line := range strings.Split(string(text), "\n") {
		switch {
		case fence != "" && line != "```":
			block = append(block, line)
		case fence == "sh":
			steps = append(steps, step{section: section, gradeA: gradeA, script: strings.Join(block, "\n")})
			fence, block, gradeA = "", nil, false
		case fence == "text":
			last := &steps[len(steps)-1]
			if last.want != nil {
				t.Fatalf("section %s: two outputs for one block", section)
			}
			last.want = block
			fence, block = "", nil
		case strings.HasPrefix(line, "```"):
			if fence = line[3:]; fence != "sh" && fence != "text" {
				t.Fatalf("section %s: a block of %q is not tested", section, fence)
			}
		case strings.HasPrefix(line, "## "):
			section, _, _ = strings.Cut(line[3:], ".")
		case strings.HasPrefix(line, "**Grade A only**"):
			gradeA = true
		}
	}
	for i, s := range steps {
		if s.want == nil && i > 0 || s.want != nil && i == 0 {
			t.Fatalf("block %d, in section %s, does not say what one must see", i, s.section)
		}
	}
	if len(steps) < 15 {
		t.Fatalf("the document has %d blocks", len(steps))
	}
	return steps
}

// seen reports whether an output is what the document says.
func seen(want, got []string) bool {
	pattern := func(s string) *regexp.Regexp {
		return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(s), "…", ".*") + "$")
	}
	for i, w := range want {
		if w == "…" {
			again := pattern(want[i-1])
			for len(got) > 0 && again.MatchString(got[0]) {
				got = got[1:]
			}
			continue
		}
		if len(got) == 0 || !pattern(w).MatchString(got[0]) {
			return false
		}
		got = got[1:]
	}
	return len(got) == 0
}

const marker = "=== end of block"

// follow goes through the document in one shell, in the parcel's folder, and
// returns the sections in which something else was seen, with what it was.
func follow(t *testing.T, p parcel, steps []step) map[string]string {
	t.Helper()
	var script strings.Builder
	for _, s := range steps {
		text := s.script
		if s.want == nil {
			text = strings.Replace(text, "EX-001", p.exhibit, 1)
		}
		if s.gradeA && p.exhibit != "EX-001" {
			text = ":"
		}
		fmt.Fprintf(&script, "{\n%s\n} 2>&1\necho '%s'\n", text, marker)
	}
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", path)
	cmd.Dir = p.dir
	out, err := cmd.Output()
	parts := strings.Split(string(out), marker+"\n")
	if err != nil || len(parts) != len(steps)+1 {
		t.Fatalf("%v: %d blocks of %d came to their end\n%s", err, len(parts)-1, len(steps), out)
	}
	findings := map[string]string{}
	for i, s := range steps {
		if s.gradeA && p.exhibit != "EX-001" {
			continue
		}
		paper := map[string]string{"6": p.code, "8": p.head, "12": p.code}[s.section]
		var want, got []string
		for _, w := range s.want {
			want = append(want, strings.ReplaceAll(w, "‹from paper›", paper))
		}
		if parts[i] != "" {
			got = strings.Split(strings.TrimSuffix(parts[i], "\n"), "\n")
		}
		if !seen(want, got) {
			findings[s.section] += fmt.Sprintf("%s\nwant: %q\n got: %q\n", s.script, want, got)
		}
	}
	return findings
}

// tools are all that the document may need.
func tools(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"zstd", "tar", "sha256sum", "ssh-keygen", "openssl", "awk", "age", "xxd", "python3"} {
		testenv.Tool(t, tool)
	}
}

// change is one byte of a file of the parcel.
type change struct {
	file   string
	member *regexp.Regexp // of the archive that it is; nil: of the file itself
	at     func(data []byte) int
	found  []string // sections that must see it
}

func middle(data []byte) int { return len(data) / 2 }
func end(data []byte) int    { return len(data) - 1 }

// before returns a place n bytes before the end.
func before(n int) func([]byte) int {
	return func(data []byte) int { return len(data) - n }
}

// seconds is the last digit of the time in a time stamp: what it states is the
// first GeneralizedTime in it. Other bytes are in copies of certificates that
// nobody needs, and prove nothing whatever they are.
func seconds(data []byte) int {
	return bytes.Index(data, []byte("\x18\x0f20")) + 2 + len("20060102150405") - 1
}

const (
	bundleFile, logFile    = "host.exhibit.tar.zst", "exhibit.custody.tar"
	packageFile, sealed    = "part.disclosure.tar", "secret.exhibit.tar.zst.age"
	nextFile               = "next.exhibit.tar.zst"
	besideSeal, besideSign = sealed + ".seal/seal.txt", sealed + ".seal/seal.txt.sig"
)

var changes = map[string]change{
	"an item":               {bundleFile, regexp.MustCompile(`^files/root/etc/hostname$`), middle, []string{"4", "5", "9"}},
	"an item nobody named":  {bundleFile, regexp.MustCompile(`^files/root/etc/passwd$`), middle, []string{"4", "9"}},
	"a record":              {bundleFile, regexp.MustCompile(`^exhibit/manifest/000001`), middle, []string{"4", "9"}},
	"the leaves":            {bundleFile, regexp.MustCompile(`^exhibit/leaves.txt$`), middle, []string{"4", "5", "9"}},
	"the seal's root":       {bundleFile, regexp.MustCompile(`^exhibit/seal.txt$`), before(10), []string{"5", "6", "7", "9"}},
	"the seal's name":       {bundleFile, regexp.MustCompile(`^exhibit/seal.txt$`), middle, []string{"6", "7", "9"}},
	"the seal's signature":  {bundleFile, regexp.MustCompile(`^exhibit/seal.txt.sig$`), middle, []string{"6", "9"}},
	"the seal's note":       {bundleFile, regexp.MustCompile(`^exhibit/seal.note$`), before(20), []string{"6", "9"}},
	"the certified seal":    {bundleFile, regexp.MustCompile(`^exhibit/seal.cert.sig$`), middle, []string{"7", "9"}},
	"an event":              {logFile, regexp.MustCompile(`0001-ordered-[^.]*.json$`), middle, []string{"8"}},
	"the last event":        {logFile, regexp.MustCompile(`-timestamped-[^.]*.json$`), middle, []string{"8"}},
	"an event's signature":  {logFile, regexp.MustCompile(`-received-[^.]*.json.sig$`), middle, []string{"8"}},
	"a counter-signature":   {logFile, regexp.MustCompile(`.countersig$`), middle, []string{"10"}},
	"the event handed over": {logFile, regexp.MustCompile(`-transferred-[^.]*.json$`), middle, []string{"8", "10"}},
	"a time stamp's time":   {logFile, regexp.MustCompile(`.tsr$`), seconds, []string{"11"}},
	"a time stamp's end":    {logFile, regexp.MustCompile(`.tsr$`), end, []string{"11"}},
	"a disclosed content":   {packageFile, regexp.MustCompile(`^records/[0-9]*/content$`), middle, []string{"12"}},
	"a disclosed name":      {packageFile, regexp.MustCompile(`^records/[0-9]*/meta.jsonl$`), middle, []string{"12"}},
	"a disclosed proof":     {packageFile, regexp.MustCompile(`^records/[0-9]*/record.tlog-proof$`), middle, []string{"12"}},
	"a package's recipient": {packageFile, regexp.MustCompile(`^disclosure/statement.json$`), middle, []string{"12"}},
	"a package's list":      {packageFile, regexp.MustCompile(`^disclosure/members.sha256$`), middle, []string{"12"}},
	"a package's signature": {packageFile, regexp.MustCompile(`^disclosure/members.sha256.sig$`), middle, []string{"12"}},
	"a package's seal":      {packageFile, regexp.MustCompile(`^seal/seal.txt$`), middle, []string{"12"}},
	"an encrypted bundle":   {sealed, nil, before(9000), []string{"13"}},
	"the seal beside it":    {besideSeal, nil, middle, []string{"13"}},
	"its signature":         {besideSign, nil, middle, []string{"13"}},
	"the next one's header": {nextFile, regexp.MustCompile(`^exhibit/header.json$`), middle, []string{"14"}},
	"the next one's record": {nextFile, regexp.MustCompile(`^exhibit/manifest/000000`), middle, []string{"14"}},
	"the next one's seal":   {nextFile, regexp.MustCompile(`^exhibit/seal.txt$`), before(10), []string{"14"}},
}

// changed copies a parcel and changes one byte of it.
func (c change) changed(t *testing.T, p parcel) parcel {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "parcel")
	if err := os.CopyFS(dir, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	p.dir = dir
	path := filepath.Join(dir, c.file)
	tar := read(t, path)
	packed := strings.HasSuffix(c.file, ".zst")
	if packed {
		tar = filter(t, tar, "zstd", "-q", "-d", "-c")
	}
	from, size := 0, len(tar)
	if c.member != nil {
		from, size = find(t, tar, c.member)
	}
	tar[from+c.at(tar[from:from+size])] ^= 1
	if packed {
		tar = filter(t, tar, "zstd", "-q", "-c")
	}
	if err := os.WriteFile(path, tar, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func filter(t *testing.T, in []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

// find returns where the data of the first member with such a name is.
func find(t *testing.T, tar []byte, name *regexp.Regexp) (from, size int) {
	t.Helper()
	for at := 0; at+512 <= len(tar); at += 512 + (size+511)/512*512 {
		block := tar[at : at+512]
		member, _, _ := strings.Cut(string(block[:100]), "\x00")
		size = 0
		if _, err := fmt.Sscanf(string(block[124:135]), "%o", &size); err != nil || member == "" {
			break
		}
		if size > 0 && name.MatchString(member) {
			return at + 512, size
		}
	}
	t.Fatalf("no member %s", name)
	return 0, 0
}

func TestTheDocumentVerifiesFreshEvidenceAndFindsEveryChange(t *testing.T) {
	tools(t)
	steps := readDocument(t)
	l := newLab(t)
	for grade, p := range map[string]parcel{"A": l.attended(), "B": l.delegated()} {
		t.Run("grade "+grade, func(t *testing.T) {
			whole := p
			whole.dir = filepath.Join(t.TempDir(), "parcel")
			if err := os.CopyFS(whole.dir, os.DirFS(p.dir)); err != nil {
				t.Fatal(err)
			}
			for section, finding := range follow(t, whole, steps) {
				t.Errorf("section %s: %s", section, finding)
			}
			l.programsAgree(t, p)
			for what, c := range changes {
				t.Run(what, func(t *testing.T) {
					changed := c.changed(t, p)
					findings := follow(t, changed, steps)
					for _, section := range c.found {
						if findings[section] == "" {
							t.Errorf("section %s sees nothing", section)
						}
					}
					l.programFinds(t, c, changed)
				})
			}
		})
	}
}
