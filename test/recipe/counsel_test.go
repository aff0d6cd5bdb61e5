package recipe

import (
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// printed is a command of counsel's report, with the line to expect, if any.
var printed = regexp.MustCompile(`(?s)<li><p class="t">([^<]*)</p>(?:<p class="small">[^<]*</p>)?<pre>([^<]*)</pre>(?:<p class="expect">Expect: <span class="hash">([^<]*)</span></p>)?</li>`)

// TestTheCommandsInCounselsReportHold runs what the annex of a report prints,
// in the case folder, for exhibits that were collected, ordered, handed over
// and time-stamped.
func TestTheCommandsInCounselsReportHold(t *testing.T) {
	tools(t)
	l := newLab(t)
	steps := []string{
		"The file is the one described here", "Unpack it", "The seal", "The signature on the seal, with OpenSSH", "The same seal, with OpenSSL",
		"The certificate of that key", "One file, by hand", "Every file, and the seal over all of them",
		"Every custody event is signed and names its predecessors", "The keys behind the signatures", "The end of the log",
		"Counter-signatures", "Time from outside",
	}
	for grade, p := range map[string]parcel{"A": l.attended(), "B": l.delegated()} {
		t.Run("grade "+grade, func(t *testing.T) {
			page := l.sh("exhibit --case case report " + p.exhibit + " -o " + p.exhibit + ".html > /dev/null && cat " + p.exhibit + ".html")
			dir := filepath.Join(t.TempDir(), "case")
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(l.dir, "case"))); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "tsa-root.pem"), read(t, filepath.Join(l.dir, "ca.pem")), 0o600); err != nil {
				t.Fatal(err)
			}
			titles := map[string]bool{}
			for _, m := range printed.FindAllStringSubmatch(page, -1) {
				title, script, want := html.UnescapeString(m[1]), html.UnescapeString(m[2]), html.UnescapeString(m[3])
				titles[title] = true
				cmd := exec.Command("sh", "-c", script)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("%s: %v\n%s\n%s", title, err, script, out)
				}
				switch {
				case strings.Contains(want, "beginning"):
					if strings.Contains(string(out), "BAD") || !strings.HasPrefix(want, "0") && !strings.Contains(string(out), "good ") {
						t.Errorf("%s:\n%s", title, out)
					}
				case strings.Contains(want, "annex B"):
				case !strings.Contains(string(out), want):
					t.Errorf("%s: want %q:\n%s", title, want, out)
				}
			}
			for _, title := range steps {
				if !titles[title] {
					t.Errorf("the report has no step %q: %v", title, titles)
				}
			}
			if title := "The person behind that key"; titles[title] != (grade == "A") {
				t.Errorf("grade %s, and step %q: %v", grade, title, titles[title])
			}
		})
	}
}
