// Package push sends events to servers in which others search: Elasticsearch
// and OpenSearch, Splunk, Timesketch.
//
// Nothing is dropped silently: what a server refuses is counted and named,
// what it was too busy for is sent again, what is too much at once in halves.
package push

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// Errors of a push. All of them leave what was sent before in place.
var (
	ErrBusy    = errors.New("the server stayed too busy")
	ErrRefused = errors.New("the server refuses")
	ErrAnswer  = errors.New("the server's answer is not what its interface says")
)

// Limits of a batch. Elasticsearch advises 5 to 15 MB, Splunk's HEC and many
// proxies stop at 1 MB by default or 8; what is refused as too large is halved.
const (
	batchBytes = 4 << 20
	batchDocs  = 2000
	answerSize = 64 << 20 // of a bulk answer, which says something of every event
	maxReasons = 20
)

// Options say where events go and how to be let in.
type Options struct {
	URL      string // of the server, with the path below which it answers
	Index    string // OpenSearch, Splunk: the index; Splunk: "" the token's own
	User     string // OpenSearch, Timesketch
	Password string
	Token    string // OpenSearch: an API key; Splunk: the collector's token
	Sketch   int64  // Timesketch: number of the sketch
	Timeline string // Timesketch: name of the timeline
	Template bool   // OpenSearch: put an index template first

	Roots    *x509.CertPool // authorities of the server's certificate; nil: the system's
	Progress func(Result)   // after every answer
	Attempts int            // of one batch while the server is busy; 8
	// Wait is called before a batch is sent again; nil waits.
	Wait func(context.Context, time.Duration) error
}

// Result counts what became of the events.
type Result struct {
	Sent    int64    `json:"sent"`             // taken by the server
	There   int64    `json:"there_before"`     // it had them already
	Undated int64    `json:"undated_left_out"` // it needs a time
	Refused int64    `json:"refused"`          // with the first reasons in Reasons
	Again   int64    `json:"batches_again"`    // batches that were sent again
	Unsure  int64    `json:"unanswered"`       // sent last, and no answer says whether they were taken
	Twice   int64    `json:"perhaps_twice"`    // sent again though they may have been taken, to a server without ids
	Reasons []string `json:"reasons,omitempty"`
}

// document is one event as a server wants it.
type document struct {
	id   string
	body []byte
}

// outcome is what a server says of one document.
type outcome struct {
	there  bool
	busy   bool   // send it again, later
	again  bool   // send it again at once: nothing is wrong with it
	taken  bool   // and it may have been taken
	reason string // refused
}

// server is one kind of server.
type server interface {
	// encode appends the event as a line of a batch.
	encode(b []byte, e *timeline.Event) []byte
	// send sends a batch, the last one of the push where last is set; the
	// outcomes are of its documents, in order. A *status error says that the
	// batch as a whole was not taken.
	send(ctx context.Context, docs []document, last bool) ([]outcome, error)
}

// status is an answer that is no success.
type status struct {
	code  int
	text  string
	after time.Duration
}

func (s *status) Error() string {
	return fmt.Sprintf("%d %s: %.200s", s.code, http.StatusText(s.code), s.text)
}

// busy reports answers after which the same request may succeed later.
func (s *status) busy() bool {
	switch s.code {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// taken reports whether the events of a batch that ended so may have been
// taken: they went out, and no answer denies it.
func taken(err error) bool {
	var st *status
	if errors.As(err, &st) {
		return st.code >= 500 && st.code != http.StatusServiceUnavailable
	}
	var op *net.OpError
	unsent := errors.As(err, &op) && op.Op == "dial" || errors.As(err, new(*tls.CertificateVerificationError))
	return err != nil && !unsent && !errors.Is(err, ErrRefused)
}

// pusher drives one push.
type pusher struct {
	opt   Options
	srv   server
	noIDs bool // what is sent twice is there twice
	res   Result
}

// run sends all events.
func (p *pusher) run(ctx context.Context, events iter.Seq2[*timeline.Event, error]) (Result, error) {
	var docs []document
	size := 0
	flush := func(last bool) error {
		err := p.batch(ctx, docs, last)
		docs, size = docs[:0], 0
		return err
	}
	for e, err := range events {
		if err != nil {
			return p.res, err
		}
		if e.TSState != timeline.TimeOK {
			p.res.Undated++
			continue
		}
		d := document{e.ID.String(), p.srv.encode(nil, e)}
		if len(docs) > 0 && (size+len(d.body) > batchBytes || len(docs) == batchDocs) {
			if err := flush(false); err != nil {
				return p.res, err
			}
		}
		docs, size = append(docs, d), size+len(d.body)
	}
	if len(docs) == 0 {
		return p.res, nil
	}
	return p.res, flush(true)
}

// batch sends documents until each is taken or refused.
func (p *pusher) batch(ctx context.Context, docs []document, last bool) error {
	for attempt := 0; len(docs) > 0; attempt++ {
		outcomes, err := p.srv.send(ctx, docs, last)
		perhaps := int64(0)
		if taken(err) {
			perhaps = int64(len(docs))
		}
		var st *status
		switch {
		case errors.As(err, &st) && st.code == http.StatusRequestEntityTooLarge:
			if len(docs) > 1 {
				half := len(docs) / 2
				p.res.Again++
				if err := p.batch(ctx, docs[:half], false); err != nil {
					return err
				}
				return p.batch(ctx, docs[half:], last)
			}
			outcomes = []outcome{{reason: "too large for the server: " + strconv.Itoa(len(docs[0].body)) + " bytes"}}
		case errors.As(err, &st) && st.busy():
			if err := p.wait(ctx, attempt, st.after, st); err != nil {
				p.res.Unsure += perhaps
				return err
			}
			p.repeated(perhaps)
			continue
		case errors.As(err, &st):
			p.res.Unsure += perhaps
			return fmt.Errorf("%w: %w", ErrRefused, st)
		case err != nil && ctx.Err() == nil && isNetwork(err):
			if err := p.wait(ctx, attempt, 0, err); err != nil {
				p.res.Unsure += perhaps
				return err
			}
			p.repeated(perhaps)
			continue
		case err != nil:
			p.res.Unsure += perhaps
			return err
		case len(outcomes) != len(docs):
			p.res.Unsure += int64(len(docs))
			return fmt.Errorf("%w: it speaks of %d of %d events", ErrAnswer, len(outcomes), len(docs))
		}
		rest, busy := p.settle(docs, outcomes)
		if len(rest) < len(docs) {
			attempt = -1 // it gets on
		}
		docs = rest
		if p.opt.Progress != nil {
			p.opt.Progress(p.res)
		}
		if busy {
			if err := p.wait(ctx, max(attempt, 0), 0, &status{code: http.StatusTooManyRequests}); err != nil {
				return err
			}
		}
	}
	return nil
}

// repeated counts events that are sent again though they may have been taken.
func (p *pusher) repeated(n int64) {
	if p.noIDs {
		p.res.Twice += n
	}
}

// ask makes a request that is no batch, again while the server is busy.
func (p *pusher) ask(ctx context.Context, c *client, method, path string, body []byte) ([]byte, error) {
	for attempt := 0; ; attempt++ {
		answer, err := c.do(ctx, method, path, "application/json", body)
		var st *status
		if !errors.As(err, &st) {
			return answer, err
		}
		if !st.busy() {
			return nil, fmt.Errorf("%w: %w", ErrRefused, st)
		}
		if err := p.wait(ctx, attempt, st.after, st); err != nil {
			return nil, err
		}
	}
}

// settle counts outcomes and returns what is to be sent again, and whether the
// server was too busy for some of it.
func (p *pusher) settle(docs []document, outcomes []outcome) (again []document, busy bool) {
	for i, o := range outcomes {
		switch {
		case o.busy, o.again:
			again, busy = append(again, docs[i]), busy || o.busy
			if o.taken {
				p.repeated(1)
			}
		case o.there:
			p.res.There++
		case o.reason != "":
			p.res.Refused++
			if len(p.res.Reasons) < maxReasons {
				p.res.Reasons = append(p.res.Reasons, docs[i].id+": "+o.reason)
			}
		default:
			p.res.Sent++
		}
	}
	return again, busy
}

// wait waits before the next attempt: as long as the server says, else twice
// as long as before, from a second to a minute.
func (p *pusher) wait(ctx context.Context, attempt int, after time.Duration, cause error) error {
	attempts := p.opt.Attempts
	if attempts <= 0 {
		attempts = 8
	}
	if attempt+1 >= attempts {
		return fmt.Errorf("%w: %d attempts: %w", ErrBusy, attempt+1, cause)
	}
	p.res.Again++
	if after <= 0 {
		after = time.Second << min(attempt, 6)
	}
	after = min(after, time.Minute)
	if p.opt.Wait != nil {
		return p.opt.Wait(ctx, after)
	}
	t := time.NewTimer(after)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func isNetwork(err error) bool {
	var u *url.Error
	return errors.As(err, &u) && !errors.As(err, new(*tls.CertificateVerificationError))
}

// client speaks HTTP with one server. Redirections are not followed: evidence
// and passwords go where they were told to.
type client struct {
	base string
	http *http.Client
	auth func(*http.Request)
}

func newClient(opt Options, auth func(*http.Request)) (*client, error) {
	u, err := url.Parse(opt.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%w: %.100q is no http:// or https:// URL", ErrRefused, opt.URL)
	}
	return &client{strings.TrimRight(opt.URL, "/"), &http.Client{
		Timeout: 5 * time.Minute,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: 64 << 10,
			TLSClientConfig: &tls.Config{RootCAs: opt.Roots, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, auth}, nil
}

// do sends a request and reads the answer; what is no success is a *status.
func (c *client) do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	c.auth(req)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerSize))
	if err != nil {
		return nil, &url.Error{Op: method, URL: c.base + path, Err: err}
	}
	if resp.StatusCode/100 != 2 {
		return answer, &status{resp.StatusCode, string(answer[:min(len(answer), 1000)]), retryAfter(resp.Header.Get("Retry-After"))}
	}
	return answer, nil
}

// retryAfter reads the header of that name in seconds; dates are not worth it.
func retryAfter(s string) time.Duration {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 || n > 3600 {
		return 0
	}
	return time.Duration(n) * time.Second
}
