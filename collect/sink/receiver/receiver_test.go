package receiver

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/collect/sink/sinktest"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/wire"
)

func newKey(t *testing.T) (ed25519.PrivateKey, string) {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k, wire.Fingerprint(k.Public().(ed25519.PublicKey))
}

// lab is a server with a case to put streams into.
type lab struct {
	t      *testing.T
	server *Server
	addr   string
	fp     string
	client ed25519.PrivateKey
	cs     *chainofcustody.Case
	id     *chainofcustody.Identity

	mu    sync.Mutex
	taken map[string][]byte // by exhibit
	fail  error             // of the next take
	stop  func()
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, taken: map[string][]byte{}}
	key, fp := newKey(t)
	l.fp = fp
	var friend string
	l.client, friend = newKey(t)
	cs, err := chainofcustody.InitCase(t.TempDir(), chainofcustody.CaseInfo{ID: "C-1"})
	if err != nil {
		t.Fatal(err)
	}
	signing, _ := newKey(t)
	signer, err := ssh.NewSignerFromSigner(signing)
	if err != nil {
		t.Fatal(err)
	}
	l.cs, l.id = cs, &chainofcustody.Identity{ID: "alice@lab", Key: chainofcustody.NewSigner(signer)}
	l.server = &Server{
		Dir: filepath.Join(cs.Dir(), "incoming"), Key: key, MaxSize: 64 << 20,
		Allow: func(fp string) bool { return fp == friend }, Take: l.take,
	}
	l.begin("127.0.0.1:0")
	return l
}

// begin starts the server; stop ends it as a crash would.
func (l *lab) begin(addr string) {
	l.t.Helper()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.addr = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.server.Serve(ctx, listener) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			l.t.Error(err)
		}
	})
	l.t.Cleanup(l.stop)
}

func (l *lab) take(_ context.Context, u *Upload) (*wire.Signed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fail; err != nil {
		l.fail = nil
		return nil, err
	}
	data, err := os.ReadFile(u.Path)
	if err != nil {
		return nil, err
	}
	exhibit, err := l.cs.NextExhibit()
	if err != nil {
		return nil, err
	}
	ev, err := l.cs.Append(exhibit, chainofcustody.Event{
		Kind: chainofcustody.EventReceived, OuterSHA256: evidence.Sum(data), Size: int64(len(data)),
	}, l.id)
	if err != nil {
		return nil, err
	}
	file := l.cs.Path(chainofcustody.CustodyDir, exhibit, ev.File)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	sig, err := os.ReadFile(file + ".sig")
	if err != nil {
		return nil, err
	}
	l.taken[exhibit] = data
	return &wire.Signed{Exhibit: exhibit, Verdict: "GOOD", Event: string(text), Signature: string(sig)}, nil
}

func (l *lab) got(exhibit string) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken[exhibit]
}

func (l *lab) options() sink.Options {
	return sink.Options{ServerKey: l.fp, Key: l.client}
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = mathrand.NewChaCha8([32]byte{7}).Read(b) //nolint:errcheck // never fails
	return b
}

func write(s sink.Sink, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), 300_001)
		if _, err := s.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func (l *lab) mustSend(url string, opt sink.Options, data []byte) *sink.Result {
	l.t.Helper()
	s, err := sink.Open(l.t.Context(), url, opt)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := write(s, data); err != nil {
		l.t.Fatal(err)
	}
	res, err := s.Commit()
	if err != nil {
		l.t.Fatal(err)
	}
	if res.Receipt == nil || res.Receipt.Key != l.id.Fingerprint() || !bytes.Equal(l.got(res.Receipt.Exhibit), data) {
		l.t.Fatalf("%+v: receipt %+v", res, res.Receipt)
	}
	return res
}

func TestAStreamIsTakenOverAndSignedFor(t *testing.T) {
	l := newLab(t)
	data := noise(9 << 20)
	for name, c := range map[string]struct {
		set    func(*sinktest.Proxy)
		breaks bool
	}{
		"plain":   {func(*sinktest.Proxy) {}, false},
		"cut":     {func(p *sinktest.Proxy) { p.CutAt = []int64{100 << 10, 3 << 20, 3<<20 + 5, 8 << 20} }, true},
		"stalled": {func(p *sinktest.Proxy) { p.Stall = 5 << 20 }, true},
		"slow":    {func(p *sinktest.Proxy) { p.Pause = 300 * time.Microsecond }, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := sinktest.NewProxy(t, l.addr)
			p.Set(c.set)
			opt := l.options()
			opt.Patience = 5 * time.Minute
			if name == "stalled" { // elsewhere a busy machine must not look like a dead link
				opt.Stall = 2 * time.Second
			}
			res := l.mustSend("exhibit://"+p.Addr()+"/web01.exhibit.tar.zst", opt, data)
			if (res.Breaks > 0) != c.breaks {
				t.Errorf("%d breaks", res.Breaks)
			}
		})
	}
	if left, err := Unfinished(l.server.Dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestWhatWasAcknowledgedSurvivesTheReceiver(t *testing.T) {
	l := newLab(t)
	data := noise(12 << 20)
	s, err := sink.Open(t.Context(), "exhibit://"+l.addr+"/x", l.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := write(s, data[:5<<20]); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	l.stop()
	left, err := Unfinished(l.server.Dir)
	if err != nil || len(left) != 1 || left[0].Size != 5<<20 {
		t.Fatalf("%+v, %v", left, err)
	}
	held, err := os.ReadFile(left[0].Path)
	if err != nil || !bytes.Equal(held, data[:5<<20]) {
		t.Fatalf("%d bytes, %v", len(held), err)
	}
	// What a crash may leave behind what was acknowledged is not kept.
	if err := os.WriteFile(left[0].Path, append(held, "junk"...), 0o600); err != nil {
		t.Fatal(err)
	}
	l.begin(l.addr)
	if err := write(s, data[5<<20:]); err != nil {
		t.Fatal(err)
	}
	res, err := s.Commit()
	if err != nil || res.Receipt == nil || !bytes.Equal(l.got(res.Receipt.Exhibit), data) {
		t.Fatalf("%+v, %v", res, err)
	}
}

func TestWhatTheReceiverLostIsNoticed(t *testing.T) {
	l := newLab(t)
	data := noise(8 << 20)
	s, err := sink.Open(t.Context(), "exhibit://"+l.addr+"/x", l.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(write(s, data[:4<<20]), s.Sync()); err != nil {
		t.Fatal(err)
	}
	l.stop()
	left, err := Unfinished(l.server.Dir)
	if err != nil || len(left) != 1 {
		t.Fatal(left, err)
	}
	if err := os.Truncate(left[0].Path, 1<<20); err != nil {
		t.Fatal(err)
	}
	l.begin(l.addr)
	if err = write(s, data[4<<20:]); err == nil {
		_, err = s.Commit()
	}
	if !errors.Is(err, sink.ErrDead) || !strings.Contains(err.Error(), "left of the") {
		t.Errorf("%v", err)
	}
}

func TestOnlyKnownKeysTalk(t *testing.T) {
	l := newLab(t)
	url := "exhibit://" + l.addr + "/x"
	stranger, fp := newKey(t)
	opt := l.options()
	opt.Key = stranger
	if _, err := sink.Open(t.Context(), url, opt); !errors.Is(err, sink.ErrKey) {
		t.Errorf("a client nobody knows: %v", err)
	}
	opt = l.options()
	opt.ServerKey = fp
	if _, err := sink.Open(t.Context(), url, opt); !errors.Is(err, sink.ErrKey) {
		t.Errorf("another server: %v", err)
	}
	opt.ServerKey = ""
	if _, err := sink.Open(t.Context(), url, opt); !errors.Is(err, sink.ErrKey) {
		t.Errorf("no pin: %v", err)
	}
	if entries, err := os.ReadDir(l.server.Dir); err == nil && len(entries) > 0 {
		t.Errorf("refused clients left %v", entries)
	}
}

func TestAFailureToSignKeepsTheStream(t *testing.T) {
	l := newLab(t)
	l.fail = errors.New("no pen")
	data := noise(1 << 20)
	s, err := sink.Open(t.Context(), "exhibit://"+l.addr+"/x", l.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := write(s, data); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(); !errors.Is(err, sink.ErrDead) || strings.Contains(err.Error(), "no pen") {
		t.Errorf("%v", err)
	}
	left, err := Unfinished(l.server.Dir)
	if err != nil || len(left) != 1 || left[0].Size != 1<<20 {
		t.Errorf("%+v, %v", left, err)
	}
}

// raw talks to the server without our client.
func (l *lab) raw(key ed25519.PrivateKey) *tls.Conn {
	l.t.Helper()
	config, err := wire.Config(key, func(string) error { return nil })
	if err != nil {
		l.t.Fatal(err)
	}
	c, err := tls.Dial("tcp", l.addr, config)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	return c
}

func TestHostileClientsAreRefused(t *testing.T) {
	l := newLab(t)
	second, fp := newKey(t)
	first := l.server.Allow
	l.server.Allow = func(s string) bool { return s == fp || first(s) }
	id := strings.Repeat("0a", 16)
	hello := wire.Greeting{V: 1, Upload: id, Name: "../../etc/passwd"}
	expect := func(c *tls.Conn, want byte) []byte {
		t.Helper()
		kind, p, err := wire.Read(c, nil)
		if err != nil || kind != want {
			t.Fatalf("%q, %s, %v; want %q", kind, p, err, want)
		}
		return p
	}
	greet := func(h wire.Greeting) *tls.Conn {
		t.Helper()
		c := l.raw(l.client)
		if err := wire.WriteJSON(c, wire.Hello, h); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := greet(hello)
	expect(c, wire.State)
	if err := wire.Write(c, wire.Data, wire.Offset(0), []byte("abc")); err != nil {
		t.Fatal(err)
	}
	expect(c, wire.Ack)
	held := filepath.Join(l.server.Dir, id, "_.._etc_passwd.partial")
	if _, err := os.Stat(held); err != nil {
		t.Error(err)
	}

	// Bytes that leave a hole, or lie over what is held.
	if err := wire.Write(c, wire.Data, wire.Offset(1), []byte("x")); err != nil {
		t.Fatal(err)
	}
	expect(c, wire.Failure)
	for name, h := range map[string]wire.Greeting{
		"version":  {V: 2, Upload: id},
		"id":       {V: 1, Upload: "../" + id[3:]},
		"negative": {V: 1, Upload: id, Acknowledged: -1},
		"unknown":  {V: 1, Upload: strings.Repeat("0b", 16), Acknowledged: 7},
		"too much": {V: 1, Upload: id, Acknowledged: 4},
	} {
		t.Run(name, func(*testing.T) { expect(greet(h), wire.Failure) })
	}

	// Another client cannot go on with it, even one that may send.
	other := l.raw(second)
	if err := wire.WriteJSON(other, wire.Hello, hello); err != nil {
		t.Fatal(err)
	}
	expect(other, wire.Failure)

	// What is not what was sent is not signed for.
	hello.Acknowledged = 3
	c = greet(hello)
	expect(c, wire.State)
	if err := wire.WriteJSON(c, wire.Commit, wire.Total{Bytes: 3, SHA256: evidence.Sum([]byte("abd")).String()}); err != nil {
		t.Fatal(err)
	}
	expect(c, wire.Failure)
	if len(l.taken) > 0 {
		t.Error("it was taken over")
	}

	// The receipt can be asked for again, and the stream does not grow after it.
	c = greet(hello)
	expect(c, wire.State)
	all := wire.Total{Bytes: 3, SHA256: evidence.Sum([]byte("abc")).String()}
	if err := wire.WriteJSON(c, wire.Commit, all); err != nil {
		t.Fatal(err)
	}
	one := expect(c, wire.Receipt)
	c = greet(hello)
	expect(c, wire.State)
	if err := wire.WriteJSON(c, wire.Commit, all); err != nil {
		t.Fatal(err)
	}
	if two := expect(c, wire.Receipt); !bytes.Equal(one, two) || len(l.taken) != 1 {
		t.Errorf("%s\n%s", one, two)
	}
	c = greet(hello)
	expect(c, wire.State)
	if err := wire.Write(c, wire.Data, wire.Offset(3), []byte("d")); err != nil {
		t.Fatal(err)
	}
	expect(c, wire.Failure)
}

func FuzzSafeName(f *testing.F) {
	f.Add("../x")
	f.Add("host.exhibit.tar.zst.partial")
	f.Fuzz(func(t *testing.T, s string) {
		name := safeName(s)
		if name == "" || name != filepath.Base(name) || name[0] == '.' || name != safeName(name) || strings.ContainsAny(name, "\\/:\x00") {
			t.Errorf("%q became %q", s, name)
		}
	})
}
