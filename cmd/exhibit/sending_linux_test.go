package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/collect/sink/sinktest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// host is a folder to collect and a place to run programs in.
type host struct {
	t    *testing.T
	dir  string
	tree string
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t, t.TempDir(), filepath.Join(t.TempDir(), "tree")}
	for name, text := range map[string]string{"etc/hostname": "web01\n", "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n"} {
		path := filepath.Join(h.tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// run runs exhibit and returns its exit code.
func (h *host) run(args ...string) (code int, stdout, stderr string) {
	h.t.Helper()
	cmd := exec.Command("exhibit", args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = h.dir, &out, &errs
	cmd.Env = append(os.Environ(), "HOME="+h.dir, "XDG_CONFIG_HOME="+h.dir)
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func (h *host) must(code int, args ...string) string {
	h.t.Helper()
	got, out, errs := h.run(args...)
	if got != code {
		h.t.Fatalf("exhibit %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	return out
}

// wroteNothing fails where a run left a file on the host.
func (h *host) wroteNothing() {
	h.t.Helper()
	left, err := os.ReadDir(h.dir)
	if err != nil || len(left) > 0 {
		h.t.Errorf("on the host: %v, %v", left, err)
	}
}

// TestStreamingWritesNothing collects where nothing can be written.
func TestStreamingWritesNothing(t *testing.T) {
	unshare := testenv.Tool(t, "unshare")
	readOnly := `for m in $(cut -d' ' -f5 /proc/self/mountinfo | sort -u); do
	case $m in /proc*|/sys*) ;; *) mount -o remount,bind,ro "$m" || exit 77 ;; esac
done
if touch "$HOME/x" 2>/dev/null; then exit 77; fi
exec "$@"`
	srv := sinktest.NewSSHD(t)
	h := newHost(t)
	cmd := exec.Command(unshare, "--mount", "--propagation", "private", "sh", "-c", readOnly, "sh",
		"exhibit", "--json", "collect", "--root", h.tree, "-o", srv.URL(srv.Addr, "x"), "--known-hosts", srv.KnownHosts(t, srv.Addr), "--ssh-key", srv.Key)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = h.dir, &out, &errs
	cmd.Env = append(os.Environ(), "HOME="+h.dir)
	err := cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code == 77 || code != 0 && strings.Contains(errs.String(), "unshare failed") {
		t.Skipf("skipped: nothing can be mounted read-only here: %s", errs.String())
	}
	if err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	if s := readSummary(t, out.String()); s.Sent.Sent == 0 || s.Sent.Fallback != nil {
		t.Errorf("%+v", s.Sent)
	}
	h.wroteNothing()
}

type sentSummary struct {
	Bundle string       `json:"bundle"`
	Code   string       `json:"seal_code"`
	Sent   *sink.Result `json:"sent"`
}

func readSummary(t *testing.T, text string) sentSummary {
	t.Helper()
	var s sentSummary
	if err := json.Unmarshal([]byte(text), &s); err != nil || s.Sent == nil {
		t.Fatalf("%v: %s", err, text)
	}
	return s
}

func TestACollectionIsSentBySFTP(t *testing.T) {
	srv := sinktest.NewSSHD(t)
	p := sinktest.NewProxy(t, srv.Addr)
	h := newHost(t)
	known := srv.KnownHosts(t, p.Addr())
	out := h.must(0, "--json", "collect", "--root", h.tree, "-o", srv.URL(p.Addr(), "web01.exhibit.tar.zst"), "--known-hosts", known, "--ssh-key", srv.Key)
	s := readSummary(t, out)
	h.wroteNothing()
	file := filepath.Join(srv.Folder, "web01.exhibit.tar.zst")
	if text := h.must(5, "--json", "verify", file); !strings.Contains(text, s.Code) {
		t.Errorf("what arrived has not the seal %s: %s", s.Code, text)
	}
	if !strings.HasSuffix(s.Bundle, "web01.exhibit.tar.zst") || s.Sent.Size == 0 || s.Sent.Sent != s.Sent.Size {
		t.Errorf("%+v", s.Sent)
	}

	// The link dies after the header; the two halves are the bundle.
	p = sinktest.NewProxy(t, srv.Addr)
	p.Set(func(p *sinktest.Proxy) {
		p.CutAt = []int64{12 << 10, 12 << 10, 12 << 10, 12 << 10, 12 << 10, 12 << 10, 12 << 10, 12 << 10, 12 << 10}
	})
	known = srv.KnownHosts(t, p.Addr())
	code, out, errs := h.run("--json", "collect", "--root", h.tree, "-o", srv.URL(p.Addr(), "cut"), "--known-hosts", known, "--ssh-key", srv.Key,
		"--fallback", "tail", "--patience", "200ms")
	if code != 3 {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	s = readSummary(t, out)
	if s.Sent.Fallback == nil {
		t.Fatalf("%+v", s.Sent)
	}
	h.must(0, "recover", filepath.Join(srv.Folder, "cut"+sink.PartSuffix), "--tail", "tail", "-o", "whole")
	h.must(5, "verify", "whole")
}

func TestACollectionIsSentToS3AndSavedFromThere(t *testing.T) {
	srv := sinktest.NewS3(t)
	h := newHost(t)
	store := []string{"--s3-endpoint", "http://" + srv.Addr, "--s3-credentials", srv.Credentials}
	out := h.must(0, append([]string{"--json", "collect", "--root", h.tree, "-o", "s3://lab/web01.exhibit.tar.zst"}, store...)...)
	s := readSummary(t, out)
	h.wroteNothing()
	if text := h.must(5, "--json", "verify", filepath.Join(srv.Folder, "lab", "web01.exhibit.tar.zst")); !strings.Contains(text, s.Code) {
		t.Errorf("what arrived has not the seal %s: %s", s.Code, text)
	}

	// An upload that never ended: its parts are of a bundle that was cut.
	bundle, err := os.ReadFile(filepath.Join(srv.Folder, "lab", "web01.exhibit.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	leave := func(data []byte) {
		t.Helper()
		fallback := filepath.Join(t.TempDir(), "tail")
		p := sinktest.NewProxy(t, srv.Addr)
		to, err := sink.Open(t.Context(), "s3://lab/died", sink.Options{
			S3Endpoint: "http://" + p.Addr(), S3Credentials: srv.Credentials, S3PartSize: 5 << 20, Patience: 100 * time.Millisecond, Fallback: fallback,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(append(data, make([]byte, 10<<20-len(data))...)); err != nil {
			t.Fatal(err)
		}
		p.Die()
		to.Abort()
	}
	leave(bundle[:len(bundle)-200])
	args := append([]string{"--json", "recover", "s3://lab/died", "-o", "saved"}, store...)
	h.must(3, args...)
	h.must(5, "verify", "saved") // recovered: sealed anew by nobody who is known

	// Nothing is there; nothing of the name; several.
	if code, _, errs := h.run(append([]string{"recover", "s3://lab/nothing", "-o", "x"}, store...)...); code != 1 || !strings.Contains(errs, "no object") {
		t.Errorf("%d: %s", code, errs)
	}
	if err := os.Remove(filepath.Join(srv.Folder, "lab", "died")); err != nil {
		t.Fatal(err)
	}
	leave(bundle[:100])
	leave(bundle[:len(bundle)-200])
	code, _, errs := h.run(append([]string{"recover", "s3://lab/died", "-o", "x"}, store...)...)
	if code != 2 || strings.Count(errs, " parts, ") != 2 || !strings.Contains(errs, "--upload") {
		t.Errorf("%d: %s", code, errs)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "x")); err == nil {
		t.Error("a refusal wrote a file")
	}
}

// listening is exhibit receive in the background.
type listening struct {
	addr, key string
	lines     *bufio.Scanner
	cmd       *exec.Cmd
	stderr    *bytes.Buffer
}

func (h *host) receive(args ...string) *listening {
	h.t.Helper()
	l := &listening{stderr: &bytes.Buffer{}}
	l.cmd = exec.Command("exhibit", append([]string{"--json", "--case", "case", "receive", "--listen", "127.0.0.1:0"}, args...)...)
	l.cmd.Dir, l.cmd.Stderr = h.dir, l.stderr
	l.cmd.Env = append(os.Environ(), "HOME="+h.dir, "XDG_CONFIG_HOME="+h.dir)
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = l.cmd.Process.Kill() //nolint:errcheck // it has ended, as a rule
		_ = l.cmd.Wait()         //nolint:errcheck // as above
	})
	l.lines = bufio.NewScanner(out)
	var began struct {
		Listen    string `json:"listen"`
		ServerKey string `json:"server_key"`
	}
	if !l.lines.Scan() || json.Unmarshal(l.lines.Bytes(), &began) != nil || began.ServerKey == "" {
		_ = l.cmd.Wait() //nolint:errcheck // its words matter
		h.t.Fatalf("exhibit receive said %q\n%s", l.lines.Text(), l.stderr)
	}
	l.addr, l.key = began.Listen, began.ServerKey
	return l
}

func (l *listening) wait(t *testing.T) map[string]string {
	t.Helper()
	var got map[string]string
	if !l.lines.Scan() || json.Unmarshal(l.lines.Bytes(), &got) != nil {
		t.Fatalf("exhibit receive said %q", l.lines.Text())
	}
	if err := l.cmd.Wait(); err != nil {
		t.Fatalf("exhibit receive: %v\n%s", err, l.stderr)
	}
	return got
}

func TestACollectionIsReceivedAndSignedFor(t *testing.T) {
	lab, h := newHost(t), newHost(t)
	lab.must(0, "key", "new", "key", "--id", "alice@lab")
	lab.must(0, "case", "init", "case")
	lab.must(0, "key", "new", "kit", "--id", "kit@lab")
	lab.must(0, "key", "use", "key", "--id", "alice@lab")

	l := lab.receive("--once", "--client", "kit.pub")
	p := sinktest.NewProxy(t, l.addr)
	p.Set(func(p *sinktest.Proxy) { p.CutAt = []int64{2 << 10, 7 << 10} })
	kit := filepath.Join(lab.dir, "kit")
	out := h.must(0, "--json", "collect", "--root", h.tree, "-o", "exhibit://"+p.Addr(), "--server-key", l.key, "--client-key", kit)
	h.wroteNothing()
	s := readSummary(t, out)
	got := l.wait(t)
	r := s.Sent.Receipt
	if r == nil || r.Exhibit != "EX-001" || got["exhibit"] != r.Exhibit || got["seal_code"] != s.Code || got["sha256"] != s.Sent.SHA256 || s.Sent.Breaks == 0 {
		t.Fatalf("%s\n%v", out, got)
	}
	log := lab.must(0, "--case", "case", "custody", "log", "EX-001")
	if !strings.Contains(log, "received") || !strings.Contains(log, "sent by the key SHA256:") {
		t.Errorf("custody log: %s", log)
	}
	lab.must(0, "--case", "case", "verify", "EX-001")
	if left, err := os.ReadDir(filepath.Join(lab.dir, "case", "incoming", s.upload(t, lab))); err != nil || len(left) != 2 {
		t.Errorf("in incoming: %v, %v", left, err)
	}

	// The receipt verifies without this program.
	l = lab.receive("--once", "--client", "kit.pub")
	h.must(0, "collect", "--root", h.tree, "-o", "exhibit://"+l.addr+"/second.exhibit.tar.zst", "--server-key", l.key, "--client-key", kit, "--receipt", "receipt")
	l.wait(t)
	if _, err := os.Stat(filepath.Join(lab.dir, "case", "exhibits", "EX-002", "second.exhibit.tar.zst")); err != nil {
		t.Error(err)
	}
	check := exec.Command("ssh-keygen", "-Y", "verify", "-f", filepath.Join(lab.dir, "case", "allowed_signers"), "-I", "alice@lab", "-n", "exhibit-custody", "-s", "receipt.sig")
	check.Dir = h.dir
	text, err := os.ReadFile(filepath.Join(h.dir, "receipt"))
	if err != nil {
		t.Fatal(err)
	}
	check.Stdin = bytes.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("ssh-keygen: %v: %s", err, out)
	}
}

// upload is the one folder of incoming/.
func (s sentSummary) upload(t *testing.T, lab *host) string {
	t.Helper()
	all, err := os.ReadDir(filepath.Join(lab.dir, "case", "incoming"))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	return all[0].Name()
}

func TestADelegatedOrderBringsItsKeyAlong(t *testing.T) {
	lab, h := newHost(t), newHost(t)
	lab.must(0, "key", "new", "key", "--id", "alice@lab")
	lab.must(0, "case", "init", "case")
	lab.must(0, "--case", "case", "order", "new", "--delegate", "--out", "kit")
	lab.must(0, "key", "new", "stranger", "--id", "stranger@lab")
	lab.must(0, "key", "use", "key", "--id", "alice@lab")
	l := lab.receive("--once")
	to := []string{"collect", "--root", h.tree, "-o", "exhibit://" + l.addr, "--server-key", l.key}
	if code, _, errs := h.run(append(to, "--client-key", filepath.Join(lab.dir, "stranger"))...); code != 8 {
		t.Errorf("a stranger: %d, %s", code, errs)
	}
	out := h.must(0, append([]string{"--json"}, append(to, "--order", filepath.Join(lab.dir, "kit"))...)...)
	if s := readSummary(t, out); s.Sent.Receipt == nil || s.Sent.Receipt.Exhibit != "EX-001" || s.Sent.Receipt.Verdict != "VERIFIED" {
		t.Errorf("%s", out)
	}
	l.wait(t)
}

func TestWhatADeadHostHasSentIsSavedFromIncoming(t *testing.T) {
	lab, h := newHost(t), newHost(t)
	lab.must(0, "key", "new", "key", "--id", "alice@lab")
	lab.must(0, "case", "init", "case")
	lab.must(0, "key", "new", "kit", "--id", "kit@lab")
	lab.must(0, "key", "use", "key", "--id", "alice@lab")
	l := lab.receive("--client", "kit.pub")
	h.must(0, "collect", "--root", h.tree, "-o", "bundle")
	data, err := os.ReadFile(filepath.Join(h.dir, "bundle"))
	if err != nil {
		t.Fatal(err)
	}
	to, err := sink.Open(t.Context(), "exhibit://"+l.addr+"/died.exhibit.tar.zst", sink.Options{ServerKey: l.key, ClientKey: filepath.Join(lab.dir, "kit")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.Write(data[:len(data)-200]); err != nil {
		t.Fatal(err)
	}
	if err := to.Sync(); err != nil {
		t.Fatal(err)
	}
	to.Abort()
	part := filepath.Join("case", "incoming", sentSummary{}.upload(t, lab), "died.exhibit.tar.zst.partial")
	lab.must(3, "recover", part, "-o", "saved")
	again := lab.receive("--client", "SHA256:nobody", "--once")
	_ = again.cmd.Process.Kill() //nolint:errcheck // it has said what it should
	_ = again.cmd.Wait()         //nolint:errcheck // killed
	if !strings.Contains(again.stderr.String(), "never ended: ") {
		t.Errorf("%s", again.stderr)
	}
}
