package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"
)

func key(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestFingerprintsAreThoseOfOpenSSH(t *testing.T) {
	k := key(t)
	pub, err := ssh.NewPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	if got := Fingerprint(k.Public().(ed25519.PublicKey)); got != ssh.FingerprintSHA256(pub) {
		t.Errorf("%s, want %s", got, ssh.FingerprintSHA256(pub))
	}
}

func only(k ed25519.PrivateKey) func(string) error {
	return func(fp string) error {
		if fp != Fingerprint(k.Public().(ed25519.PublicKey)) {
			return ErrPeer
		}
		return nil
	}
}

func TestBothEndsProveTheirKeys(t *testing.T) {
	server, client, other := key(t), key(t), key(t)
	for name, c := range map[string]struct {
		serverKey, clientKey           ed25519.PrivateKey
		serverExpects, clientExpects   ed25519.PrivateKey
		old, stranger, anonymous, good bool
	}{
		"good":              {server, client, client, server, false, false, false, true},
		"another client":    {server, other, client, server, false, false, false, false},
		"another server":    {other, client, client, server, false, false, false, false},
		"TLS 1.2":           {server, client, client, server, true, false, false, false},
		"another protocol":  {server, client, client, server, false, true, false, false},
		"no client's proof": {server, client, client, server, false, false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			sc, err := Config(c.serverKey, only(c.serverExpects))
			if err != nil {
				t.Fatal(err)
			}
			cc, err := Config(c.clientKey, only(c.clientExpects))
			if err != nil {
				t.Fatal(err)
			}
			if c.old {
				cc.MinVersion, cc.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
			}
			if c.stranger {
				cc.NextProtos = nil
			}
			if c.anonymous {
				cc.Certificates = nil
			}
			a, b := net.Pipe()
			defer a.Close()
			defer b.Close()
			served := make(chan error, 1)
			go func() {
				s := tls.Server(b, sc)
				err := s.Handshake()
				if err == nil {
					_, err = s.Write([]byte("x"))
				}
				b.Close()
				served <- err
			}()
			conn := tls.Client(a, cc)
			_, err = io.ReadFull(conn, make([]byte, 1))
			a.Close()
			if serr := <-served; (err == nil && serr == nil) != c.good {
				t.Errorf("client: %v, server: %v", err, serr)
			}
		})
	}
}

func TestFramesAreBounded(t *testing.T) {
	for _, frame := range [][]byte{
		{Hello, 0, 4, 0, 1}, {Data, 0, 0x40, 0, 9}, {Data, 0xff, 0xff, 0xff, 0xff}, {'?', 0xff, 0, 0, 0},
	} {
		if _, _, err := Read(bytes.NewReader(frame), nil); !errors.Is(err, ErrFrame) {
			t.Errorf("%x: %v", frame, err)
		}
	}
	if _, _, err := Read(bytes.NewReader([]byte{Hello, 0, 0, 0, 3, 'a'}), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a frame that is cut: %v", err)
	}
	if _, _, err := ParseOffset([]byte{0x80, 0, 0, 0, 0, 0, 0, 0}); !errors.Is(err, ErrFrame) {
		t.Errorf("a negative offset: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := Write(&b, Data, Offset(7), []byte("stream")); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		kind, p, err := Read(bytes.NewReader(in), make([]byte, 16))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := Write(&out, kind, p); err != nil || !bytes.HasPrefix(in, out.Bytes()) {
			t.Errorf("%x became %x, %v", in, out.Bytes(), err)
		}
	})
}
