package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	counsel "github.com/exhibit-dfir/exhibit/chainofcustody/report"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// paperCase is a case with two exhibits of a small folder, made by the
// program's own commands.
func paperCase(t *testing.T) string {
	t.Helper()
	work := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(work, "config"))
	root := filepath.Join(work, "root")
	for name, text := range map[string]string{
		"etc/hostname": "shop01\n", "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "var/log/auth.log": "Mar  1 09:00:00 shop01 sshd[1]: x\n",
		"etc/cron.d/\u202etxt.\x1b[31mjob": "* * * * * root true\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(work, "case")
	must(t, 0, "key", "new", filepath.Join(work, "key"), "--id", "alice@lab", "--name", "Alice Moreau")
	must(t, 0, "case", "init", dir, "--number", "C-1", "--title", "Papers")
	for range 2 {
		r := call(t, newApp(), "collect", "--case", dir, "--root", root)
		if r.code != command.OK && r.code != command.Partial {
			t.Fatalf("collect: %d\n%s", r.code, r.stderr)
		}
	}
	return dir
}

func must(t *testing.T, code int, args ...string) ran {
	t.Helper()
	r := call(t, newApp(), args...)
	if r.code != code {
		t.Fatalf("%q: exit code %d, want %d\n%s%s", args, r.code, code, r.stdout, r.stderr)
	}
	return r
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// lastExport is the newest event of an exhibit, which must be an export.
func lastExport(t *testing.T, dir, exhibit string) chainofcustody.Event {
	t.Helper()
	cs, err := chainofcustody.OpenCase(dir)
	if err != nil {
		t.Fatal(err)
	}
	events, _, err := cs.Log(exhibit)
	if err != nil {
		t.Fatal(err)
	}
	e := events[len(events)-1]
	if e.Kind != chainofcustody.EventExported {
		t.Fatalf("the last event is %s", e.Kind)
	}
	return e
}

func TestPapersOfARealCase(t *testing.T) {
	dir := paperCase(t)
	out := t.TempDir()
	at := func(name string) string { return filepath.Join(out, name) }

	t.Run("report in both formats, each recorded with its hash", func(t *testing.T) {
		must(t, 0, "report", "EX-001", "--case", dir, "--format", "both", "-o", at("r.html"))
		page, print := read(t, at("r.html")), read(t, at("r.pdf"))
		if !strings.Contains(page, "Exhibit EX-001") || !strings.HasPrefix(print, "%PDF-") {
			t.Error("not a page and a PDF")
		}
		e := lastExport(t, dir, "EX-001")
		for i, text := range []string{page, print} {
			if e.Attach[i].SHA256 != evidence.Sum([]byte(text)) {
				t.Errorf("the log records another hash of %s", e.Attach[i].Name)
			}
		}
	})
	t.Run("the suffix chooses", func(t *testing.T) {
		must(t, 0, "report", "EX-001", "--case", dir, "-o", at("s.pdf"), "--paper", "letter")
		if !strings.HasPrefix(read(t, at("s.pdf")), "%PDF-") {
			t.Error("s.pdf is no PDF")
		}
		must(t, 0, "report", "EX-001", "--case", dir)
		read(t, filepath.Join(dir, "reports/EX-001.html"))
	})
	t.Run("all exhibits in one report", func(t *testing.T) {
		must(t, 0, "report", "--case", dir, "-o", at("all.html"))
		page := read(t, at("all.html"))
		for _, want := range []string{"<h1>Case C-1</h1>", "<h1>Exhibit EX-001</h1>", "<h1>Exhibit EX-002</h1>", "Nothing in any of the 2 exhibits has changed"} {
			if !strings.Contains(page, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
		for _, exhibit := range []string{"EX-001", "EX-002"} {
			if e := lastExport(t, dir, exhibit); e.Attach[0].Name != "all.html" {
				t.Errorf("%s does not record the report", exhibit)
			}
		}
	})
	t.Run("wrong flags", func(t *testing.T) {
		for _, args := range [][]string{
			{"report", "--format", "docx"},
			{"report", "--paper", "a3"},
			{"report", "--format", "html", "-o", at("x.pdf")},
			{"report", "-o", at("x.docx")},
			{"certificate", "--form", "fre-902-11"},
			{"certificate", "--form", "iso-27037"},
			{"privilege-log", "EX-001"},
			{"privilege-log", "EX-001", "--item", "basis"},
			{"privilege-log", "EX-001", "--item", "999999=x"},
		} {
			must(t, command.Usage, append(args, "--case", dir)...)
		}
	})
	t.Run("certificates", func(t *testing.T) {
		for _, form := range []string{"fre-902-13", "fre-902-14", "in-bsa-63", "iso-27037"} {
			must(t, 0, "certificate", "--case", dir, "--form", form, "--exhibit", "EX-001", "-o", at(form+".html"))
			page := read(t, at(form+".html"))
			for _, want := range []string{"DRAFT: counsel must review", "hashed in the same pass", "each equals the value recorded"} {
				if !strings.Contains(page, want) {
					t.Errorf("%s lacks %q", form, want)
				}
			}
			must(t, 0, "certificate", "--case", dir, "--form", form, "--exhibit", "EX-001", "-o", at(form+".pdf"))
			must(t, 0, "certificate", "--case", dir, "--form", form, "--exhibit", "EX-001", "--item", "1", "--item", "2", "--force", "-o", at(form+".html"))
			if page := read(t, at(form+".html")); !strings.Contains(page, "Schedule: the items relied on") {
				t.Errorf("%s has no schedule", form)
			}
			must(t, command.Failure, "certificate", "--case", dir, "--form", form, "--exhibit", "EX-001", "-o", at(form+".html"))
			must(t, command.Usage, "certificate", "--case", dir, "--form", form, "--exhibit", "EX-001", "--item", "99999", "--force", "-o", at(form+".html"))
		}
	})
	t.Run("form for the scene", func(t *testing.T) {
		must(t, 0, "form", "scene", "--case", dir, "EX-001", "-o", at("scene.html"))
		if page := read(t, at("scene.html")); !strings.Contains(page, "C-1") || !strings.Contains(page, "EX-001") {
			t.Error("the form is not filled in")
		}
		t.Chdir(out)
		must(t, 0, "form", "scene") // outside of any case
		if !strings.HasPrefix(read(t, at("scene.pdf")), "%PDF-") {
			t.Error("no blank form")
		}
	})
	t.Run("privilege log", func(t *testing.T) { privilege(t, dir, out) })
	t.Run("custody holds after all of it", func(t *testing.T) { must(t, 0, "custody", "verify", "--case", dir) })
	t.Run("altered bundle", func(t *testing.T) { altered(t, dir, out) })
}

// privilege compares the log with leaves.txt, taken from the bundle by zstd
// and tar.
func privilege(t *testing.T, dir, out string) {
	bundles, err := filepath.Glob(filepath.Join(dir, "exhibits/EX-001/*.zst"))
	if err != nil || len(bundles) != 1 {
		t.Fatal(bundles, err)
	}
	var item string
	listing := must(t, 0, "ls", "EX-001", "--case", dir, "--json").stdout
	for line := range strings.SplitSeq(listing, "\n") {
		if strings.Contains(line, `/etc/passwd"`) && strings.Contains(line, `"kind":"file"`) {
			item = regexp.MustCompile(`"index":(\d+)`).FindStringSubmatch(line)[1]
		}
	}
	if item == "" {
		t.Fatalf("no record of /etc/passwd:\n%s", listing)
	}
	csv := filepath.Join(out, "withheld.csv")
	if err := os.WriteFile(csv, []byte("Record,Basis,Author\n"+item+",attorney-client,\"Client, A.\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(out, "p.html")
	must(t, 0, "privilege-log", "EX-001", "--case", dir, "--from", csv, "-o", path)
	page := read(t, path)
	command := regexp.MustCompile(`<pre>(sed [^<]*leaves.txt)</pre>`).FindStringSubmatch(page)
	if command == nil {
		t.Fatal("no command to check with")
	}
	testenv.Tool(t, "zstd")
	testenv.Tool(t, "tar")
	script := "mkdir check && zstd -dqc \"$1\" | tar -x -C check && " + strings.ReplaceAll(command[1], "&#39;", "'")
	sh := exec.Command("sh", "-c", script, "sh", bundles[0])
	sh.Dir = out
	leaf, err := sh.CombinedOutput()
	if err != nil || len(bytes.TrimSpace(leaf)) != 64 {
		t.Fatalf("%v\n%s", err, leaf)
	}
	content := evidence.Sum([]byte("root:x:0:0:root:/root:/bin/sh\n")).String()
	if !strings.Contains(page, string(bytes.TrimSpace(leaf))) || strings.Contains(page, content) {
		t.Error("the log lacks the hash of the record, or tells that of the content")
	}
	if !strings.Contains(page, "Client, A.") || !strings.Contains(page, "/etc/passwd") {
		t.Error("the log lacks what counsel gave, or the name")
	}
	sh = exec.Command("sh", "-c", counsel.FailuresCommand+" | wc -l")
	sh.Dir = out
	lines, err := sh.CombinedOutput()
	want := len(regexp.MustCompile(`"kind":"(denied|error|skipped)"`).FindAllString(listing, -1))
	if err != nil || strings.TrimSpace(string(lines)) != strconv.Itoa(want) || want == 0 {
		t.Errorf("the command that lists what was not obtained finds %s, the bundle has %d (%v)", lines, want, err)
	}
	must(t, 0, "privilege-log", "EX-001", "--case", dir, "--item", item+"=trade secret", "--withhold-names", "--force", "-o", path)
	if page := read(t, path); strings.Contains(page, "passwd") || !strings.Contains(page, "name withheld") {
		t.Error("the name is told")
	}
}

// altered changes one byte in the middle of a bundle.
func altered(t *testing.T, dir, out string) {
	bundles, err := filepath.Glob(filepath.Join(dir, "exhibits/EX-002/*.zst"))
	if err != nil || len(bundles) != 1 {
		t.Fatal(bundles, err)
	}
	data := []byte(read(t, bundles[0]))
	data[len(data)/2] ^= 1
	if err := os.Chmod(bundles[0], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bundles[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(out, "bad.html")
	must(t, command.Integrity, "report", "--case", dir, "-o", path)
	if page := read(t, path); !strings.Contains(page, "1 exhibit of 2 is verified") || strings.Contains(page, "Nothing in any of") {
		t.Error("the report of the case does not tell the good exhibit from the bad")
	}
	must(t, command.Integrity, "certificate", "--case", dir, "--form", "fre-902-14", "--exhibit", "EX-002", "--force", "-o", path)
	if page := read(t, path); !strings.Contains(page, "did not come out without reservation") || strings.Contains(page, "each equals the value recorded") {
		t.Error("the draft claims what was not verified")
	}
	if err := os.Remove(bundles[0]); err != nil {
		t.Fatal(err)
	}
	must(t, command.Failure, "report", "EX-002", "--case", dir, "--force", "-o", path)
	if page := read(t, path); !strings.Contains(page, "Nothing about it is proven") {
		t.Error("a report without bundle claims something")
	}
}
