package push

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/export"
)

// OpenSearch sends events as ECS documents to an index of OpenSearch or
// Elasticsearch (bulk interface). The event's id is the document's, and what
// is there already is left as it is, so a push that broke off is simply
// started again. With opt.Template an index template is put first: times with
// nanoseconds, attributes as one flattened field.
func OpenSearch(ctx context.Context, opt Options, events iter.Seq2[*timeline.Event, error]) (Result, error) {
	c, err := newClient(opt, func(r *http.Request) {
		switch {
		case opt.Token != "":
			r.Header.Set("Authorization", "ApiKey "+opt.Token)
		case opt.User != "":
			r.SetBasicAuth(opt.User, opt.Password)
		}
	})
	if err != nil {
		return Result{}, err
	}
	s := &openSearch{client: c, path: "/" + url.PathEscape(opt.Index) + "/_bulk"}
	p := &pusher{opt: opt, srv: s}
	if err := s.prepare(ctx, p); err != nil {
		return p.res, err
	}
	return p.run(ctx, events)
}

type openSearch struct {
	*client
	path string
	body []byte
}

// prepare asks which server it is and puts the index template.
func (s *openSearch) prepare(ctx context.Context, p *pusher) error {
	answer, err := p.ask(ctx, s.client, http.MethodGet, "/", nil)
	if err != nil {
		return err
	}
	var about struct {
		Version struct{ Number, Distribution string }
	}
	if err := json.Unmarshal(answer, &about); err != nil || about.Version.Number == "" {
		return fmt.Errorf("%w: it is neither OpenSearch nor Elasticsearch", ErrAnswer)
	}
	if !p.opt.Template {
		return nil
	}
	flat := "flattened"
	if about.Version.Distribution == "opensearch" {
		flat = "flat_object"
	}
	template, err := json.Marshal(indexTemplate(p.opt.Index, flat))
	if err != nil {
		return err
	}
	if _, err := p.ask(ctx, s.client, http.MethodPut, "/_index_template/exhibit-"+url.PathEscape(p.opt.Index), template); err != nil {
		return fmt.Errorf("index template: %w", err)
	}
	return nil
}

// indexTemplate says how fields of ECS documents are stored.
func indexTemplate(index, flat string) any {
	type m = map[string]any
	kind := func(name string) m { return m{"type": name} }
	return m{
		"index_patterns": []string{index}, "priority": 500,
		"template": m{"mappings": m{
			"date_detection": false,
			"dynamic_templates": []m{{"text": m{
				"match_mapping_type": "string",
				"mapping":            m{"type": "keyword", "ignore_above": 8191},
			}}},
			"properties": m{
				"@timestamp": kind("date_nanos"),
				"message":    kind("text"),
				"event": m{"properties": m{
					"start": kind("date_nanos"), "end": kind("date_nanos"), "duration": kind("long"), "sequence": kind("long"),
				}},
				"process":     m{"properties": m{"pid": kind("long"), "command_line": m{"type": "text", "fields": m{"keyword": m{"type": "keyword", "ignore_above": 8191}}}}},
				"source":      m{"properties": m{"ip": kind("ip"), "port": kind("long")}},
				"destination": m{"properties": m{"ip": kind("ip"), "port": kind("long")}},
				"log":         m{"properties": m{"offset": kind("long")}},
				"exhibit":     m{"properties": m{"attr": kind(flat)}},
			},
		}},
	}
}

func (s *openSearch) encode(b []byte, e *timeline.Event) []byte {
	return append(export.AppendECS(b, e), '\n')
}

func (s *openSearch) send(ctx context.Context, docs []document, _ bool) ([]outcome, error) {
	s.body = s.body[:0]
	for _, d := range docs {
		s.body = append(s.body, `{"create":{"_id":"`...)
		s.body = append(append(append(s.body, d.id...), `"}}`...), '\n')
		s.body = append(s.body, d.body...)
	}
	answer, err := s.do(ctx, http.MethodPost, s.path, "application/x-ndjson", s.body)
	if err != nil {
		return nil, err
	}
	var said struct {
		Items []struct {
			Create struct {
				Status int
				Error  *struct {
					Type, Reason string
					CausedBy     struct{ Reason string } `json:"caused_by"`
				}
			}
		}
	}
	if err := json.NewDecoder(bytes.NewReader(answer)).Decode(&said); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	outcomes := make([]outcome, len(said.Items))
	for i, item := range said.Items {
		o := &outcomes[i]
		switch st := item.Create; {
		case st.Status/100 == 2:
		case st.Status == http.StatusConflict:
			o.there = true
		case st.Status == http.StatusTooManyRequests:
			o.busy = true
		case st.Error != nil:
			o.reason = fmt.Sprintf("%s: %.300s %.300s", st.Error.Type, st.Error.Reason, st.Error.CausedBy.Reason)
		default:
			o.reason = fmt.Sprintf("status %d", st.Status)
		}
	}
	return outcomes, nil
}
