package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shown is an event as the query prints it.
type shown struct {
	ID      string    `json:"event_id"`
	TS      time.Time `json:"time"`
	Message string    `json:"message"`
	Parser  string    `json:"parser"`
}

// query asks the program for rows.
func (l *lab) query(q string) []shown {
	l.t.Helper()
	var rows []shown
	for line := range bytes.Lines(l.run([]int{0}, "timeline", "query", "--json", "--limit", "0", q)) {
		var s shown
		if err := json.Unmarshal(line, &s); err != nil {
			l.t.Fatalf("%s: %v in %.300q", q, err, line)
		}
		rows = append(rows, s)
	}
	return rows
}

// proofOf is what prove says.
type proofOf struct {
	Holds  bool   `json:"holds"`
	Bytes  []byte `json:"bytes"`
	Signer string `json:"examiner"`
	Parts  []struct {
		Bytes []byte `json:"bytes"`
	} `json:"parts"`
	Checks []struct {
		What  string `json:"what"`
		Holds bool   `json:"holds"`
		Why   string `json:"why"`
	} `json:"checks"`
}

// slack is how far a row's time may be from when the fact was planted.
const slack = 2 * time.Second

// factsAreProven looks for every planted fact by its query, compares the
// time, and goes through the proof to the sealed bytes.
func factsAreProven(t *testing.T, l *lab, v *visit) {
	for _, f := range v.Facts {
		rows := l.query(f.Query)
		if len(rows) == 0 || f.Rows > 0 && len(rows) != f.Rows {
			t.Errorf("%s: %d rows, want %d: %s: %v", f.Name, len(rows), f.Rows, f.Query, rows)
			continue
		}
		row, ok := nearest(rows, f.At)
		if !ok {
			t.Errorf("%s: no row is within %v of %v: %v", f.Name, slack, time.Unix(0, f.At).UTC(), rows)
			continue
		}
		p := ask[proofOf](l, []int{0}, "prove", "--max-bytes", "1048576", row.ID)
		if !p.Holds {
			t.Errorf("%s: the proof fails: %+v", f.Name, p.Checks)
		}
		for _, part := range p.Parts {
			p.Bytes = append(p.Bytes, part.Bytes...)
		}
		for _, want := range f.Bytes {
			if !bytes.Contains(p.Bytes, []byte(want)) {
				t.Errorf("%s: the sealed bytes of %q have no %q: %.400q", f.Name, row.Message, want, p.Bytes)
			}
		}
	}
	if len(v.Facts) < 20 {
		t.Errorf("only %d facts were planted", len(v.Facts))
	}
}

func nearest(rows []shown, at int64) (shown, bool) {
	for _, row := range rows {
		if at == 0 || row.TS.Sub(time.Unix(0, at)).Abs() <= slack {
			return row, true
		}
	}
	return shown{}, false
}

// nobodyVouches takes the receipt away: the bytes are proven as before, but
// nothing says by whom, which is another exit code than that of a broken proof.
func nobodyVouches(t *testing.T, l *lab, v *visit) {
	events, err := filepath.Glob(filepath.Join(l.dir, "custody/EX-001/*received*"))
	if err != nil || len(events) == 0 {
		t.Fatal(events, err)
	}
	for _, path := range events {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	p := ask[proofOf](l, []int{5}, "prove", l.query(v.Facts[0].Query)[0].ID)
	want(t, "the proof does not hold", !p.Holds, p)
	for _, c := range p.Checks {
		want(t, c.What, c.Holds != strings.Contains(c.What, "vouches"), c)
	}
}

// whyReachesTheLogin asks for the cause of what was dropped. Without audit
// records no record states which session wrote the file, so the answer may
// rest on time, and must say so.
func whyReachesTheLogin(t *testing.T, l *lab) {
	for _, question := range []string{`file:"/etc/cron.d/sysupd"`, `file:"/etc/systemd/system/sysupd.service"`} {
		g := ask[struct {
			Entries []struct {
				Address, Account, Confidence string
			} `json:"entries"`
			Assumptions  []json.RawMessage `json:"assumptions"`
			Gaps         []json.RawMessage `json:"gaps"`
			Alternatives []json.RawMessage `json:"alternatives"`
		}](l, []int{0}, "why", question)
		if len(g.Entries) == 0 || g.Entries[0].Address != attackerIP || g.Entries[0].Account != "root" {
			t.Errorf("why %s: entries %+v, gaps %s", question, g.Entries, g.Gaps)
			continue
		}
		if len(g.Assumptions)+len(g.Gaps) == 0 {
			t.Errorf("why %s: no record states who wrote the file, and the answer does not say so: %+v", question, g)
		}
		for _, e := range g.Entries {
			if e.Account == "bob" || e.Account == "carol" || e.Account == "mallory" {
				t.Errorf("why %s: names the harmless %+v", question, e)
			}
		}
		text := string(l.run([]int{0}, "why", question))
		if !strings.Contains(text, attackerIP) {
			t.Errorf("why %s: the narrative does not name %s:\n%s", question, attackerIP, text)
		}
		t.Logf("why %s: %+v\n%s", question, g.Entries, text)
	}
}

func want(t *testing.T, what string, ok bool, got any) {
	t.Helper()
	if !ok {
		t.Errorf("%s: %s", what, fmt.Sprintf("%+v", got))
	}
}
