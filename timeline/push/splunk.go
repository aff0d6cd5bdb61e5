package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/export"
)

// Splunk sends events to Splunk's HTTP event collector (services/collector/
// event) as ECS documents of the source type exhibit:timeline, with the
// evidence's path as source. Splunk knows no ids: what is sent twice is there
// twice, and "dedup exhibit_event_id", an indexed field, shows it once.
func Splunk(ctx context.Context, opt Options, events iter.Seq2[*timeline.Event, error]) (Result, error) {
	c, err := newClient(opt, func(r *http.Request) { r.Header.Set("Authorization", "Splunk "+opt.Token) })
	if err != nil {
		return Result{}, err
	}
	// Whether it answers at all shows before any event is read.
	var st *status
	if _, err := c.do(ctx, http.MethodGet, "/services/collector/health", "", nil); err != nil && !errors.As(err, &st) {
		return Result{}, err
	}
	return (&pusher{opt: opt, noIDs: true, srv: &splunk{c, opt.Index, nil}}).run(ctx, events)
}

type splunk struct {
	*client
	index string
	body  []byte
}

func (s *splunk) encode(b []byte, e *timeline.Event) []byte {
	second := e.TS / int64(time.Second)
	part := e.TS % int64(time.Second)
	sign := ""
	if part < 0 || second < 0 {
		sign, second, part = "-", max(second, -second), max(part, -part)
	}
	b = append(b, `{"time":`...)
	b = append(b, sign...)
	b = strconv.AppendInt(b, second, 10)
	b = fmt.Appendf(b, ".%09d", part)
	text := func(name, value string) {
		if value != "" {
			b = append(append(append(b, `,"`...), name...), `":"`...)
			b = append(timeline.AppendEscaped(b, timeline.Printable(value)), '"')
		}
	}
	text("host", e.Host)
	if e.Source != nil {
		text("source", e.Source.Path)
	}
	text("sourcetype", "exhibit:timeline")
	text("index", s.index)
	b = append(b, `,"fields":{"exhibit_event_id":"`+e.ID.String()+`"},"event":`...)
	return append(export.AppendECS(b, e), '}', '\n')
}

// incorrectIndex is the collector's code for an index that the token may not
// write to, or that there is none of.
const incorrectIndex = 7

func (s *splunk) send(ctx context.Context, docs []document, _ bool) ([]outcome, error) {
	s.body = s.body[:0]
	for _, d := range docs {
		s.body = append(s.body, d.body...)
	}
	answer, err := s.do(ctx, http.MethodPost, "/services/collector/event", "application/json", s.body)
	var said struct {
		Code    *int
		Text    string
		Invalid *int `json:"invalid-event-number"`
	}
	bad := json.Unmarshal(answer, &said)
	if bad == nil && err != nil && said.Code != nil && *said.Code == incorrectIndex {
		return nil, fmt.Errorf("%w: %.200s: all events go to one index", ErrRefused, said.Text) // each alone would be refused, too
	}
	if st, ok := err.(*status); ok && st.code == http.StatusBadRequest && bad == nil && said.Invalid != nil && *said.Invalid >= 0 && *said.Invalid < len(docs) {
		// Nothing behind a bad event is taken. What stands before it may be (it
		// is by some versions: github.com/moby/moby/issues/35862): there twice is
		// better than lost, so all others go again.
		outcomes := make([]outcome, len(docs))
		for i := range outcomes {
			outcomes[i].again, outcomes[i].taken = true, i < *said.Invalid
		}
		outcomes[*said.Invalid] = outcome{reason: said.Text}
		return outcomes, nil
	}
	if err != nil {
		return nil, err
	}
	if bad != nil || said.Code == nil {
		return nil, fmt.Errorf("%w: it is no HTTP event collector", ErrAnswer)
	}
	if *said.Code != 0 {
		return nil, fmt.Errorf("%w: %d %.200s", ErrRefused, *said.Code, said.Text)
	}
	return make([]outcome, len(docs)), nil
}
