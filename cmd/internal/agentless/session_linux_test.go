package agentless

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
)

// fakeSSH writes a program that stands for ssh: it has the words after the
// options and the host carried out by a shell here.
func fakeSSH(t *testing.T, prologue string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ssh")
	script := "#!/bin/sh\n" + prologue + "\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\nexec sh -c \"$*\"\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	return path
}

// program is a collector in shell: it prints its arguments as the bundle.
const program = "#!/bin/sh\n"

func options(ssh, body string, out *bytes.Buffer) Options {
	return Options{
		SSH: ssh, Batch: true, Out: out, Disk: true,
		Args:    func() ([]string, error) { return []string{"--a=b c", "it's", "$HOME", "new\nline"}, nil },
		Program: func(string, string) ([]byte, error) { return []byte(program + body), nil },
	}
}

var host = Target{"root", "web01", 22}

func TestACollectorRunsWithoutAName(t *testing.T) {
	var out bytes.Buffer
	opt := options(fakeSSH(t, ""), `printf '%s|' "$@"; echo; ls /dev/shm/.exhibit-$$ /tmp/.exhibit-$$ /run/.exhibit-$$ 2>/dev/null; echo '{"summary":1}' >&2; exit 3`, &out)
	var steps []string
	opt.Step = func(s string) { steps = append(steps, s) }
	res, err := Run(context.Background(), host, opt)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "--a=b c|it's|$HOME|new\nline|\n" {
		t.Errorf("the collector got %q", got)
	}
	if res.Exit != 3 || string(res.Summary) != `{"summary":1}` || res.System != "Linux" || res.Place == "" || res.Bytes != int64(out.Len()) {
		t.Errorf("%+v, summary %s", res, res.Summary)
	}
	if got := strings.Join(steps, ", "); got != "connecting, looking for room, sending the collector, collecting" {
		t.Errorf("steps: %s", got)
	}
}

func TestAnAttendedRunIsSignedForOnce(t *testing.T) {
	var out bytes.Buffer
	opt := options(fakeSSH(t, ""), `echo "`+gathering.AttendPrefix+`KEY" >&2; read -r answer; echo "`+gathering.AttendPrefix+`OTHER" >&2; echo "$answer"; cat`, &out)
	var asked []string
	opt.Attend = func(key []byte) ([]byte, error) {
		asked = append(asked, string(key))
		return []byte("signed"), nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(300*time.Millisecond, cancel) // cat ends when our side closes the way in
	if _, err := Run(ctx, host, opt); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 1 || asked[0] != "KEY" || out.String() != "signed\n" {
		t.Errorf("asked %q, bundle %q", asked, out.String())
	}
}

func TestWhatAHostSaysBeforeItsTimeIsNothing(t *testing.T) {
	var out bytes.Buffer
	var said []string
	prologue := `printf 'exhibit-remote: start\nexhibit-remote: send memory /x\n` + gathering.AttendPrefix + `EARLY\n{"summary":2}\n' >&2; head -c 3000000 /dev/zero | tr '\0' x >&2; echo >&2`
	opt := options(fakeSSH(t, prologue), "echo bundle", &out)
	opt.Say = func(line string) { said = append(said, line) }
	opt.Attend = func([]byte) ([]byte, error) {
		t.Error("asked to sign before anything runs")
		return nil, errors.New("no")
	}
	res, err := Run(context.Background(), host, opt)
	if err != nil || out.String() != "bundle\n" || res.Summary != nil {
		t.Errorf("%v, bundle %q, summary %s", err, out.String(), res.Summary)
	}
	for _, line := range said {
		if len(line) > maxLine {
			t.Errorf("a line of %d bytes is passed on", len(line))
		}
	}
}

func TestWhatGoesWrongIsToldApart(t *testing.T) {
	sudo := t.TempDir()
	path := filepath.Join(sudo, "sudo")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nprintf %s \"$3\" >&2; IFS= read -r p; [ \"$p\" = right ] || { echo 'sudo: wrong' >&2; exit 1; }\nshift 3; exec \"$@\"\n"), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	t.Setenv("PATH", sudo+":"+os.Getenv("PATH"))
	password := func(p string) func() (string, error) { return func() (string, error) { return p, nil } }
	for name, c := range map[string]struct {
		prologue, body string
		change         func(*Options)
		want           error
		text           string
		out            string
	}{
		"no connection": {prologue: `echo 'ssh: connect to host web01 port 22: Connection refused' >> "$4"; exit 255`, want: ErrConnect, text: "Connection refused"},
		"no shell":      {prologue: `echo 'This account is not available' >&2; exit 1`, want: ErrHost, text: "not available"},
		"no collector for it": {change: func(o *Options) {
			o.Program = func(string, string) ([]byte, error) { return nil, errors.New("none for it") }
		}, want: ErrHost, text: "none for it"},
		"cut while it collects": {body: "echo half; kill -9 $$", want: ErrCut, out: "half\n"},
		"lost by ssh":           {body: "echo half; exit 255", want: ErrCut, out: "half\n"},
		"stalled":               {body: "echo half; exec sleep 60", change: func(o *Options) { o.Stall = time.Second }, want: ErrCut, out: "half\n"},
		"no password":           {change: func(o *Options) { o.Sudo = true }, want: ErrHost, text: "--sudo-password-file"},
		"wrong password":        {change: func(o *Options) { o.Sudo, o.Password = true, password("wrong") }, want: ErrHost, text: "sudo: wrong"},
		"right password":        {body: "echo whole", change: func(o *Options) { o.Sudo, o.Password = true, password("right") }, out: "whole\n"},
		"nobody signs": {body: `echo "` + gathering.AttendPrefix + `KEY" >&2; read -r x`, change: func(o *Options) {
			o.Attend = func([]byte) ([]byte, error) { return nil, errors.New("agent is locked") }
		}, text: "agent is locked"},
		"no ssh": {change: func(o *Options) { o.SSH = "/nonexistent/ssh" }, want: ErrConnect},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			opt := options(fakeSSH(t, c.prologue), c.body, &out)
			if c.change != nil {
				c.change(&opt)
			}
			res, err := Run(context.Background(), host, opt)
			switch {
			case c.want == nil && c.text == "":
				if err != nil {
					t.Error(err)
				}
			case err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n"):
				t.Errorf("%v, want %v with %q; %+v", err, c.want, c.text, res)
			}
			if out.String() != c.out {
				t.Errorf("what came: %q, want %q", out.String(), c.out)
			}
		})
	}
}

func TestSSHsLogSaysWhoAnswered(t *testing.T) {
	log := `OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15
debug1: Reading configuration data /etc/ssh/ssh_config
debug1: Server host key: ssh-ed25519 SHA256:rsH4uywzpsH8AIqeFHs4C6r8VONZhI8v2XCluXBS3cQ
Authenticated to 10.0.0.5 ([10.0.0.5]:2222) using "publickey".
debug1: Sending command
Transferred: sent 3, received 4 bytes, in 0.1 seconds
Connection to 10.0.0.5 closed by remote host.
`
	c := readLog(strings.NewReader(log))
	want := Connection{Peer: "10.0.0.5 port 2222", HostKey: "ssh-ed25519 SHA256:rsH4uywzpsH8AIqeFHs4C6r8VONZhI8v2XCluXBS3cQ", Method: "publickey", failure: "Connection to 10.0.0.5 closed by remote host."}
	if c != want {
		t.Errorf("%+v", c)
	}
	c = readLog(strings.NewReader("@@@@@@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@@@\nHost key verification failed.\n"))
	if c.failure != "Host key verification failed." {
		t.Errorf("%+v", c)
	}
}

func FuzzReadLog(f *testing.F) {
	f.Add([]byte("debug1: Server host key: ssh-ed25519 SHA256:abc\nAuthenticated to h ([1.2.3.4]:22) using \"publickey\".\nfailed\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := readLog(bytes.NewReader(b))
		if strings.ContainsAny(fmt.Sprint(c.Peer, c.HostKey, c.Method), "\n\x00") {
			t.Fatalf("%q", c)
		}
	})
}
