package sink

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/internal/wire"
)

// Receipt is the custody event by which exhibit receive signs for a bundle.
type Receipt struct {
	Exhibit   string `json:"exhibit"`
	Verdict   string `json:"verdict"`
	Event     string `json:"event"`     // the event's file: one line of JSON and one LF
	Signature string `json:"signature"` // armored SSHSIG over it, namespace exhibit-custody
	Key       string `json:"key"`       // fingerprint of the key that made it
}

// receiverFar is exhibit receive (docs/format/receive.md).
type receiverFar struct {
	host, name string
	upload     string
	opt        Options
	line       *line
	config     *tls.Config

	conn    *tls.Conn
	receipt *Receipt
}

const receiverChunk = 2 << 20

// newReceiver takes exhibit://HOST:PORT[/NAME].
func newReceiver(u *url.URL, opt Options, l *line) (far, error) {
	f := &receiverFar{host: u.Host, name: strings.TrimPrefix(u.Path, "/"), opt: opt, line: l}
	if u.Port() == "" || u.User != nil || u.RawQuery != "" || strings.Contains(f.name, "/") {
		return nil, fmt.Errorf("%w: exhibit://HOST:PORT/NAME", ErrURL)
	}
	if opt.ServerKey == "" {
		return nil, fmt.Errorf("%w: --server-key SHA256:… is what exhibit receive printed when it began", ErrKey)
	}
	key := opt.Key
	if key == nil {
		if opt.ClientKey == "" {
			return nil, fmt.Errorf("%w: --client-key FILE is what exhibit receive knows this host by", ErrKey)
		}
		var err error
		if key, err = ReadEd25519(opt.ClientKey); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) //nolint:errcheck // never fails
	f.upload = hex.EncodeToString(id[:])
	var err error
	f.config, err = wire.Config(key, func(fp string) error {
		if fp != opt.ServerKey {
			return fmt.Errorf("%w: %s instead of %s", wire.ErrPeer, fp, opt.ServerKey)
		}
		return nil
	})
	return f, err
}

// ReadEd25519 reads a private key without a passphrase.
func ReadEd25519(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	raw, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := raw.(*ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is no Ed25519 key", path)
	}
	return *key, nil
}

func (f *receiverFar) describe() about {
	at := (&url.URL{Scheme: "exhibit", Host: f.host, Path: f.name}).String()
	is := about{url: at, location: at, chunk: receiverChunk, facts: map[string]string{"output_key": f.opt.ServerKey, "output_upload": f.upload}}
	if f.receipt == nil {
		is.location += " as upload " + f.upload
	}
	return is
}

// until hangs up when ctx ends.
func (f *receiverFar) until(ctx context.Context) func() bool {
	c := f.conn
	return context.AfterFunc(ctx, func() { c.NetConn().Close() })
}

// connect greets and returns from where to go on.
func (f *receiverFar) connect(ctx context.Context, acknowledged int64) (wire.Standing, error) {
	f.close()
	var s wire.Standing
	raw, err := f.line.dialContext(ctx, "tcp", f.host)
	if err != nil {
		return s, err
	}
	f.conn = tls.Client(raw, f.config)
	defer f.until(ctx)()
	if err := f.conn.HandshakeContext(ctx); err != nil {
		if errors.Is(err, wire.ErrPeer) {
			err = lasting(fmt.Errorf("%w: %w", ErrKey, err))
		}
		return s, err
	}
	hello := wire.Greeting{V: wire.Version, Upload: f.upload, Name: f.name, Acknowledged: acknowledged}
	if err := wire.WriteJSON(f.conn, wire.Hello, hello); err != nil {
		return s, err
	}
	p, err := f.answer(wire.State)
	if err != nil {
		return s, err
	}
	return s, wire.Parse(p, &s)
}

// refusedKey is how Go words the alert by which TLS says that the receiver does
// not know this key: the client learns of it when it reads (RFC 8446, 4.4.2.4).
const refusedKey = "remote error: tls: bad certificate"

// answer reads frames until one is of the kind.
func (f *receiverFar) answer(want byte) ([]byte, error) {
	for {
		kind, p, err := wire.Read(f.conn, nil)
		switch {
		case err != nil && strings.Contains(err.Error(), refusedKey):
			return nil, lasting(fmt.Errorf("%w: it does not know the key of this host", ErrKey))
		case errors.Is(err, wire.ErrFrame):
			return nil, lasting(err)
		case err != nil:
			return nil, err
		case kind == wire.Wait:
		case kind == wire.Failure:
			var r wire.Refusal
			if err := wire.Parse(p, &r); err != nil {
				return nil, lasting(err)
			}
			err := fmt.Errorf("it says: %.500s", r.Text)
			if r.Lasting {
				err = lasting(err)
			}
			return nil, err
		case kind == want:
			return p, nil
		default:
			return nil, lasting(fmt.Errorf("%w: kind %q", wire.ErrFrame, kind))
		}
	}
}

func (f *receiverFar) open(ctx context.Context) (probe, error) {
	s, err := f.connect(ctx, 0)
	return probe{free: s.Free}, err
}

func (f *receiverFar) send(ctx context.Context, at int64, p []byte) error {
	if f.conn == nil {
		return net.ErrClosed
	}
	defer f.until(ctx)()
	if err := wire.Write(f.conn, wire.Data, wire.Offset(at), p); err != nil {
		return err
	}
	text, err := f.answer(wire.Ack)
	if err != nil {
		return err
	}
	if held, _, err := wire.ParseOffset(text); err != nil || held != at+int64(len(p)) {
		return lasting(fmt.Errorf("%w: it acknowledges other bytes than were sent", wire.ErrFrame))
	}
	return nil
}

func (f *receiverFar) resume(ctx context.Context, acknowledged int64) (int64, error) {
	s, err := f.connect(ctx, acknowledged)
	return s.Held, err
}

func (f *receiverFar) commit(ctx context.Context, all total) error {
	if f.conn == nil {
		return net.ErrClosed
	}
	defer f.until(ctx)()
	if err := wire.WriteJSON(f.conn, wire.Commit, wire.Total{Bytes: all.size, SHA256: all.sha256.String()}); err != nil {
		return err
	}
	text, err := f.answer(wire.Receipt)
	if err != nil {
		return err
	}
	var s wire.Signed
	if err := wire.Parse(text, &s); err != nil {
		return lasting(err)
	}
	f.receipt, err = checkReceipt(s, all)
	return lasting(err)
}

var errReceipt = errors.New("its receipt is not for what was sent")

// checkReceipt holds the receipt to what it signs for. Whose key it is, the
// laboratory knows; this host has nobody to ask.
func checkReceipt(s wire.Signed, all total) (*Receipt, error) {
	key, err := chainofcustody.Verify(chainofcustody.NamespaceCustody, []byte(s.Event), []byte(s.Signature))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errReceipt, err)
	}
	ev, err := chainofcustody.ParseEvent([]byte(s.Event))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errReceipt, err)
	}
	if ev.Kind != chainofcustody.EventReceived || ev.OuterSHA256 != all.sha256 || ev.Size != all.size || ev.Exhibit != s.Exhibit ||
		ev.Actor.Key != chainofcustody.Fingerprint(key) {
		return nil, errReceipt
	}
	return &Receipt{Exhibit: s.Exhibit, Verdict: s.Verdict, Event: s.Event, Signature: s.Signature, Key: ev.Actor.Key}, nil
}

func (f *receiverFar) close() {
	if f.conn != nil {
		f.conn.NetConn().Close()
	}
	f.conn = nil
}
