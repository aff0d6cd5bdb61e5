package push_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/push"
)

// some makes n dated events and an undated one.
func some(n int) func(func(*timeline.Event, error) bool) {
	return func(yield func(*timeline.Event, error) bool) {
		for i := range n {
			e := &timeline.Event{Message: "event " + strconv.Itoa(i), Host: "web01", Source: &timeline.Source{Path: "/var/log/auth.log"}}
			for c := range timeline.Columns {
				if col := &timeline.Columns[c]; col.Int != nil {
					*col.Int(e) = timeline.None
				}
			}
			e.SetNanos(1_700_000_000_000_000_000 + int64(i)*1_000_000_001)
			e.ID[0], e.ID[1], e.ID[15] = byte(i>>8), byte(i), 1
			if !yield(e, nil) {
				return
			}
		}
		yield(&timeline.Event{TSState: timeline.TimeNone}, nil)
	}
}

// told is a server that answers what it is told to and remembers what it took.
type told struct {
	*httptest.Server
	requests int
	waited   []time.Duration
}

func serve(t *testing.T, handle func(w http.ResponseWriter, r *http.Request, body []byte, n int)) *told {
	s := &told{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.requests++
		handle(w, r, body, s.requests)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *told) options() push.Options {
	return push.Options{
		URL: s.URL, Index: "exhibit", Attempts: 4,
		Wait: func(_ context.Context, d time.Duration) error { s.waited = append(s.waited, d); return nil },
	}
}

// bulk answers a bulk request: verdict says what becomes of each id.
func bulk(w io.Writer, body []byte, verdict func(id string) string) {
	var items []string
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var action struct {
			Create struct {
				ID string `json:"_id"`
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &action); err != nil || action.Create.ID == "" {
			fmt.Fprintf(w, `{"error":"no action: %s"}`, lines.Text())
			return
		}
		lines.Scan()
		if !json.Valid(lines.Bytes()) {
			fmt.Fprint(w, `{"error":"no document"}`)
			return
		}
		items = append(items, `{"create":`+verdict(action.Create.ID)+`}`)
	}
	fmt.Fprintf(w, `{"errors":true,"items":[%s]}`, strings.Join(items, ","))
}

const about = `{"version":{"number":"2.11.1","distribution":"opensearch"}}`

func TestBulkCountsWhatBecameOfEachEvent(t *testing.T) {
	tried := map[string]int{}
	s := serve(t, func(w http.ResponseWriter, r *http.Request, body []byte, n int) {
		switch {
		case r.URL.Path == "/":
			fmt.Fprint(w, about)
		case r.Method == http.MethodPut:
			if r.URL.Path != "/_index_template/exhibit-exhibit" || !bytes.Contains(body, []byte(`"flat_object"`)) {
				t.Errorf("template %s %s", r.URL.Path, body)
			}
		case n == 3: // the first batch: as a whole too much
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			bulk(w, body, func(id string) string {
				tried[id]++
				switch {
				case id[:4] == "0001":
					return `{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"there"}}`
				case id[:4] == "0002":
					return `{"status":400,"error":{"type":"mapper_parsing_exception","reason":"bad date","caused_by":{"reason":"evil"}}}`
				case id[:4] == "0003" && tried[id] == 1:
					return `{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"queue"}}`
				}
				return `{"status":201}`
			})
		}
	})
	opt := s.options()
	opt.Template = true
	res, err := push.OpenSearch(t.Context(), opt, some(10))
	if err != nil {
		t.Fatal(err)
	}
	if res.Sent != 8 || res.There != 1 || res.Refused != 1 || res.Undated != 1 || res.Again != 2 || len(res.Reasons) != 1 || !strings.Contains(res.Reasons[0], "bad date evil") {
		t.Errorf("%+v", res)
	}
	if fmt.Sprint(s.waited) != "[7s 1s]" {
		t.Errorf("waited %v", s.waited)
	}
	for id, n := range tried {
		if want := map[bool]int{true: 2, false: 1}[id[:4] == "0003"]; n != want {
			t.Errorf("%s went %d times", id, n)
		}
	}
}

func TestTooLargeBatchesAreHalved(t *testing.T) {
	var sizes []int
	s := serve(t, func(w http.ResponseWriter, r *http.Request, body []byte, _ int) {
		if r.URL.Path == "/" {
			fmt.Fprint(w, about)
			return
		}
		n := bytes.Count(body, []byte("\n")) / 2
		sizes = append(sizes, n)
		if n > 3 || bytes.Contains(body, []byte(`"event 5"`)) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		bulk(w, body, func(string) string { return `{"status":201}` })
	})
	res, err := push.OpenSearch(t.Context(), s.options(), some(10))
	if err != nil || res.Sent != 9 || res.Refused != 1 || !strings.Contains(res.Reasons[0], "too large") {
		t.Errorf("%+v, %v, batches of %v", res, err, sizes)
	}
}

func TestPushEndsWithAReason(t *testing.T) {
	for name, c := range map[string]struct {
		handle func(w http.ResponseWriter, r *http.Request)
		want   error
	}{
		"busy for ever": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				fmt.Fprint(w, about)
				return
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		}, push.ErrBusy},
		"not let in":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, push.ErrRefused},
		"something else": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, push.ErrAnswer},
		"a redirection": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}, push.ErrRefused},
		"too few answers": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				fmt.Fprint(w, about)
				return
			}
			fmt.Fprint(w, `{"items":[]}`)
		}, push.ErrAnswer},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request, _ []byte, _ int) { c.handle(w, r) })
		res, err := push.OpenSearch(t.Context(), s.options(), some(3))
		if !errors.Is(err, c.want) || res.Sent != 0 {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
	}
	if _, err := push.OpenSearch(t.Context(), push.Options{URL: "file:///etc/passwd"}, some(1)); !errors.Is(err, push.ErrRefused) {
		t.Errorf("no URL of the web: %v", err)
	}
}

func TestABrokenConnectionIsTriedAgain(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request, body []byte, n int) {
		switch {
		case r.URL.Path == "/":
			fmt.Fprint(w, about)
		case n < 4:
			panic(http.ErrAbortHandler)
		default:
			bulk(w, body, func(string) string { return `{"status":201}` })
		}
	})
	res, err := push.OpenSearch(t.Context(), s.options(), some(5))
	if err != nil || res.Sent != 5 || res.Again != 2 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestSplunk(t *testing.T) {
	var taken []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request, body []byte, n int) {
		if r.URL.Path == "/services/collector/health" {
			return
		}
		n--
		if r.URL.Path != "/services/collector/event" || r.Header.Get("Authorization") != "Splunk secret" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if n <= 6 { // more bad events than attempts
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"text":"Event field cannot be blank","code":12,"invalid-event-number":2}`)
			return
		}
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		for d.More() {
			var e struct {
				Time                            json.Number
				Host, Source, Sourcetype, Index string
				Fields                          map[string]string
				Event                           map[string]any
			}
			if err := d.Decode(&e); err != nil {
				t.Error(err)
				return
			}
			taken = append(taken, fmt.Sprint(e.Time, e.Host, e.Source, e.Sourcetype, e.Index, len(e.Fields["exhibit_event_id"]), e.Event["message"]))
		}
		fmt.Fprint(w, `{"text":"Success","code":0}`)
	})
	opt := s.options()
	opt.Token, opt.Index = "secret", "main"
	res, err := push.Splunk(t.Context(), opt, some(9))
	if err != nil || res.Sent != 3 || res.Refused != 6 || res.Undated != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	want := "1700000001.000000001web01/var/log/auth.logexhibit:timelinemain32event 1"
	if len(taken) != 3 || taken[1] != want {
		t.Errorf("%q, want %q", taken, want)
	}
}

// What Timesketch does is recorded from its source (api/v1/resources/upload.py
// and views/auth.py) and its importer.
func TestTimesketch(t *testing.T) {
	var events, streams []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request, body []byte, n int) {
		r.Body = io.NopCloser(bytes.NewReader(body))
		switch {
		case r.URL.Path == "/login/" && r.Method == http.MethodGet:
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "one", Path: "/"})
			fmt.Fprint(w, `<form><input id="csrf_token" name="csrf_token" type="hidden" value="tok-1"></form>`)
		case r.URL.Path == "/login/":
			if r.FormValue("csrf_token") != "tok-1" || r.FormValue("password") != "right" {
				fmt.Fprint(w, "<form>")
				return
			}
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "in", Path: "/"})
			http.Redirect(w, r, "/", http.StatusFound)
		case r.URL.Path == "/api/v1/upload/":
			c, err := r.Cookie("session")
			if err != nil || c.Value != "in" || r.Header.Get("X-Csrftoken") != "tok-1" || r.FormValue("sketch_id") != "7" || r.FormValue("name") != "web01" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			if n > 5 && r.FormValue("index_name") != "abc" {
				t.Errorf("batch %d goes into another index: %q", n, r.FormValue("index_name"))
			}
			events = append(events, strings.Split(r.FormValue("events"), "\n")...)
			streams = append(streams, r.FormValue("enable_stream"))
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"meta":{},"objects":[{"id":1,"searchindex":{"index_name":"abc"}}]}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	opt := s.options()
	opt.User, opt.Password, opt.Sketch, opt.Timeline = "alice", "wrong", 7, "web01"
	if _, err := push.Timesketch(t.Context(), opt, some(1)); !errors.Is(err, push.ErrRefused) {
		t.Errorf("wrong password: %v", err)
	}
	opt.Password = "right"
	res, err := push.Timesketch(t.Context(), opt, some(4500))
	if err != nil || res.Sent != 4500 || res.Undated != 1 || len(events) != 4500 {
		t.Fatalf("%+v, %v, %d lines", res, err, len(events))
	}
	if fmt.Sprint(streams) != "[True True False]" {
		t.Errorf("stream %v", streams)
	}
	for i, line := range events {
		var row struct {
			Message  string
			Datetime time.Time
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil || row.Message != "event "+strconv.Itoa(i) {
			t.Fatalf("line %d: %v %s", i, err, line)
		}
	}
}

func TestPushStopsWhenItIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(w http.ResponseWriter, r *http.Request, _ []byte, _ int) {
		if r.URL.Path == "/" {
			fmt.Fprint(w, about)
			return
		}
		cancel()
		w.WriteHeader(http.StatusTooManyRequests)
	})
	opt := s.options()
	opt.Wait = nil
	if _, err := push.OpenSearch(ctx, opt, some(2)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
