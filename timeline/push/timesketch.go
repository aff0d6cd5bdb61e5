package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/export"
)

// Timesketch sends events to a sketch, as Timesketch's own importer streams
// them (api/v1/upload). It knows no ids: a push that broke off leaves a
// timeline that is not whole, to be removed there before the next one.
func Timesketch(ctx context.Context, opt Options, events iter.Seq2[*timeline.Event, error]) (Result, error) {
	s := &timesketch{opt: opt}
	var err error
	s.client, err = newClient(opt, func(r *http.Request) {
		if s.token != "" {
			r.Header.Set("X-Csrftoken", s.token)
			r.Header.Set("Referer", opt.URL)
		}
	})
	if err != nil {
		return Result{}, err
	}
	if s.http.Jar, err = cookiejar.New(nil); err != nil {
		return Result{}, err
	}
	if err := s.login(ctx); err != nil {
		return Result{}, err
	}
	return (&pusher{opt: opt, noIDs: true, srv: s}).run(ctx, events)
}

type timesketch struct {
	*client
	opt   Options
	token string
	index string // the search index, from the first answer on
}

// csrfToken is in the page of the login, as an input's value or in a meta.
var csrfToken = regexp.MustCompile(`(?:id="csrf_token"[^>]*value="|name="csrf-token" content=")([^"]{1,200})"`)

func (s *timesketch) login(ctx context.Context) error {
	page, err := s.do(ctx, http.MethodGet, "/login/?local_auth=1", "", nil)
	if err != nil {
		return fmt.Errorf("log in: %w: %w", ErrRefused, err)
	}
	m := csrfToken.FindSubmatch(page)
	if m == nil {
		return fmt.Errorf("%w: its login page has no token", ErrAnswer)
	}
	s.token = string(m[1])
	form := url.Values{"username": {s.opt.User}, "password": {s.opt.Password}, "csrf_token": {s.token}}
	_, err = s.do(ctx, http.MethodPost, "/login/?local_auth=1", "application/x-www-form-urlencoded", []byte(form.Encode()))
	var st *status
	switch {
	case errors.As(err, &st) && st.code/100 == 3: // what it answers to the right password
		return nil
	case err == nil: // the form again
		return fmt.Errorf("%w: user or password", ErrRefused)
	}
	return fmt.Errorf("log in: %w: %w", ErrRefused, err)
}

func (s *timesketch) encode(b []byte, e *timeline.Event) []byte {
	return append(export.AppendTimesketch(b, e), '\n')
}

// send sends a batch as the field "events" of a form. The last batch ends the
// stream, upon which Timesketch starts its analyzers.
func (s *timesketch) send(ctx context.Context, docs []document, last bool) ([]outcome, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	field := func(name, value string) {
		form.WriteField(name, value) //nolint:errcheck // memory
	}
	field("name", s.opt.Timeline)
	field("sketch_id", strconv.FormatInt(s.opt.Sketch, 10))
	field("provider", "Exhibit")
	field("data_label", "exhibit")
	field("enable_stream", map[bool]string{true: "False", false: "True"}[last])
	if s.index != "" {
		field("index_name", s.index)
	}
	var lines strings.Builder
	for i, d := range docs {
		if i > 0 {
			lines.WriteByte('\n')
		}
		lines.Write(bytes.TrimSuffix(d.body, []byte("\n")))
	}
	field("events", lines.String())
	form.Close() //nolint:errcheck // memory
	answer, err := s.do(ctx, http.MethodPost, "/api/v1/upload/", form.FormDataContentType(), body.Bytes())
	if err != nil {
		return nil, err
	}
	var said struct {
		Objects []struct {
			SearchIndex struct {
				Name string `json:"index_name"`
			} `json:"searchindex"`
		}
	}
	if err := json.Unmarshal(answer, &said); err != nil || len(said.Objects) == 0 || said.Objects[0].SearchIndex.Name == "" {
		return nil, fmt.Errorf("%w: it names no index", ErrAnswer)
	}
	s.index = said.Objects[0].SearchIndex.Name
	return make([]outcome, len(docs)), nil
}
