package sink

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Sink takes the stream of one collection. It is written to by one goroutine.
type Sink interface {
	io.Writer
	// Sync returns when everything written is held by the far side, or safe in
	// the fallback. It is called at checkpoints.
	Sync() error
	// Commit ends a whole stream: the far side gives it its name.
	Commit() (*Result, error)
	// Abort ends a stream that is not whole, and keeps what arrived of it.
	Abort() *Result
	// Facts say where the stream goes, for the header of the bundle: no secrets.
	Facts() map[string]string
	// OwnFiles are open files of this host that the sink writes: they are not to
	// be collected.
	OwnFiles() []*os.File
}

// Result says what became of a stream.
type Result struct {
	URL      string   `json:"url"`                // where it was to go, without secrets
	Location string   `json:"location,omitempty"` // where what was sent lies
	Size     int64    `json:"bytes"`              // of the stream
	Sent     int64    `json:"acknowledged"`       // of them held by the far side
	SHA256   string   `json:"sha256"`             // of the stream
	Breaks   int      `json:"link_breaks"`        // how often the link broke and was taken up again
	Fallback *Split   `json:"fallback,omitempty"` // where the rest lies; nil: everything arrived
	Receipt  *Receipt `json:"receipt,omitempty"`  // what the receiver signed
}

// Options are what opening a sink may need. Secrets come from files or an
// agent, never from a command line.
type Options struct {
	Fallback string        // file for what the link does not take; "": none
	Patience time.Duration // how long a link may stay broken; 0: DefaultPatience
	Stall    time.Duration // a link on which no byte moves for so long is broken; 0: DefaultStall

	KnownHosts []string // sftp: files; nil: those of OpenSSH
	SSHKey     string   // sftp: private key file without a passphrase; "": the agent, then the usual files

	CA         string // s3, https: file with the roots (PEM), instead of the system's
	HeaderFile string // https: headers, one "Name: value" a line; "": that of HeaderVariable
	PutParts   bool   // https: as files of their own, URL.000001 and so on

	S3Endpoint    string // s3: URL; "": of the environment, else Amazon's
	S3Region      string // s3: "": of the environment, else us-east-1
	S3Credentials string // s3: file in the form of ~/.aws/credentials; "": the environment, then that file
	S3PartSize    int64  // s3: bytes of each part; 0: 8 MiB

	ServerKey string             // exhibit: SHA256:… of the receiver's key
	ClientKey string             // exhibit: file with the Ed25519 key this host is known by
	Key       ed25519.PrivateKey // exhibit: that key itself; nil: of the file

	Getenv func(string) string                                                  // nil: os.Getenv
	Dial   func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer
}

// HeaderVariable is the environment variable with one header for https.
const HeaderVariable = "EXHIBIT_HTTP_HEADER"

// DefaultPatience and DefaultStall bound how long a run waits for a link.
const (
	DefaultPatience = 2 * time.Minute
	DefaultStall    = 30 * time.Second
)

// IsURL reports whether an output goes to another machine. A file of such a
// name can still be written to as ./NAME.
func IsURL(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	return ok && !strings.ContainsAny(scheme, "/.")
}

// Errors of Open and of sinks.
var (
	ErrDead     = errors.New("the link is dead")          // it stayed broken, or the far side refuses more
	ErrURL      = errors.New("not an address to send to") // no link was tried
	ErrFallback = errors.New("the fallback file cannot be written")
	ErrKey      = errors.New("who answers there is not known") // no link was begun
)

// permanent marks an error that no waiting mends: a refused key, a full disk.
type permanent struct{ err error }

func (p *permanent) Error() string { return p.err.Error() }
func (p *permanent) Unwrap() error { return p.err }

func lasting(err error) error {
	if err == nil {
		return nil
	}
	return &permanent{err}
}

func isLasting(err error) bool {
	var p *permanent
	return errors.As(err, &p)
}

func (opt *Options) defaults() {
	if opt.Patience <= 0 {
		opt.Patience = DefaultPatience
	}
	if opt.Stall <= 0 {
		opt.Stall = DefaultStall
	}
	if opt.Getenv == nil {
		opt.Getenv = os.Getenv
	}
	if opt.Dial == nil {
		opt.Dial = (&net.Dialer{Timeout: 20 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	}
}

// Open connects to where a URL leads, checks that it may be written to, and
// begins the object there. Nothing is collected before it has returned. ctx is
// that of the collection: when it ends, the sink still takes what remains, but
// waits only briefly for a broken link.
func Open(ctx context.Context, address string, opt Options) (Sink, error) {
	opt.defaults()
	l := &line{dial: opt.Dial}
	var f far
	var err error
	switch u, e := parseURL(address); {
	case e != nil:
		err = e
	case u.Scheme == "sftp":
		f, err = newSFTP(u, opt, l)
	case u.Scheme == "exhibit":
		f, err = newReceiver(u, opt, l)
	default:
		f, err = newWeb(u, opt, l)
	}
	if err != nil {
		return nil, err
	}
	return begin(ctx, f, l, opt)
}

// parseURL refuses what does not name a place, and secrets: a command line is
// read by everybody on the host, and becomes part of the bundle.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil { // its text holds the whole address
		return nil, fmt.Errorf("%w: it cannot be read", ErrURL)
	}
	if _, has := u.User.Password(); has {
		return nil, fmt.Errorf("%w: it holds a password, which everybody on this host can read: use a key or a file", ErrURL)
	}
	if u.Host == "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: it needs SCHEME://HOST/PATH", ErrURL)
	}
	return u, nil
}
