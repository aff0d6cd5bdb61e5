package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// decodeLine reads one line of a record set into v.
func (r row) decodeLine(v any) error {
	if err := r.onLine(); err != nil {
		return err
	}
	if bytes.Count(r.rec, []byte("\n")) != 1 || !bytes.HasSuffix(r.rec, []byte("\n")) {
		return errors.New("it is not one line")
	}
	return json.Unmarshal(r.rec, v)
}

// is compares a text of the row with what the record says; rows may be cut.
func (r row) is(what, got string, want []byte) error {
	if raw := plain(r.ev, got); !bytes.Equal(raw, want) && (len(want) < cutMessage || !bytes.HasPrefix(want, raw[:cutMessage/2])) {
		return fmt.Errorf("its %s is %.200q, the row says %.200q", what, want, got)
	}
	return nil
}

func processWitness(r row) error {
	var p record.Process
	if err := r.decodeLine(&p); err != nil {
		return err
	}
	if p.PID != r.ev.PID || p.UID[0] != r.ev.UID || p.PPID != r.ev.PPID {
		return fmt.Errorf("it is process %d of account %d", p.PID, p.UID[0])
	}
	if !sameTime(r.ev.TS, p.Start, p.Taken) {
		return fmt.Errorf("it started at %d", p.Start)
	}
	args := make([]string, len(p.Args))
	for i, a := range p.Args {
		args[i] = string(a)
	}
	deleted := strings.Contains(r.ev.Message, "(its program file was deleted)")
	if deleted != p.ExeDeleted {
		return errors.New("its program file is deleted, or not")
	}
	return errors.Join(r.is("program", r.ev.Exe, p.Exe), r.is("command line", r.ev.Cmdline, []byte(strings.Join(args, " "))))
}

func socketWitness(r row) error {
	var s record.Socket
	if err := r.decodeLine(&s); err != nil {
		return err
	}
	inode, _ := r.ev.Attr("inode")
	if n := strconv.FormatUint(s.Inode, 10); s.Inode != 0 && n != inode || s.Taken != r.ev.TS {
		return fmt.Errorf("it is socket %s at %d", n, s.Taken)
	}
	if family, _ := r.ev.Attr("family"); family != s.Family {
		return fmt.Errorf("its family is %s", s.Family)
	}
	if netns, _ := r.ev.Attr("netns"); netns != s.Netns || strings.HasSuffix(r.ev.Message, " in network namespace "+s.Netns) != s.Foreign {
		return fmt.Errorf("it is of %s, foreign: %v", s.Netns, s.Foreign)
	}
	if s.Family != "inet" && s.Family != "inet6" {
		return r.is("path", r.ev.File, s.Path)
	}
	if s.SrcIP != r.ev.SrcIP || s.SrcPort != r.ev.SrcPort || s.DstPort > 0 && s.DstPort != r.ev.DstPort {
		return fmt.Errorf("its ends are %s:%d and %s:%d", s.SrcIP, s.SrcPort, s.DstIP, s.DstPort)
	}
	return nil
}

func moduleWitness(r row) error {
	var m record.Module
	if err := r.decodeLine(&m); err != nil {
		return err
	}
	if _, hidden := r.ev.Attr("hidden"); hidden == m.InProc {
		return errors.New("it is hidden, or not")
	}
	return r.is("name", r.ev.Unit, []byte(m.Name))
}

func mountWitness(r row) error {
	var m record.Mount
	if err := r.decodeLine(&m); err != nil {
		return err
	}
	if id, _ := r.ev.Attr("id"); m.ID != 0 && id != strconv.FormatInt(m.ID, 10) {
		return fmt.Errorf("it is mount %d", m.ID)
	}
	return errors.Join(r.is("point", r.ev.File, m.Point), r.is("source", r.ev.File2, m.Source))
}

// fileRecordWitness reads a line of the file system walk, or the metadata line
// of a manifest: it must be about the row's path and state its time.
func fileRecordWitness(r row) error {
	var line struct {
		record.File
		PathB64 []byte `json:"path_b64"`
		Stat    struct {
			Inode                      uint64 `json:"ino"`
			Atime, Mtime, Ctime, Btime string
		} `json:"stat"`
	}
	if err := r.decodeLine(&line); err != nil {
		return err
	}
	path := []byte(line.Path)
	if len(path) == 0 {
		path = line.PathB64
	}
	if err := r.is("path", r.ev.File, path); err != nil {
		return err
	}
	if r.ev.TSState != timeline.TimeOK {
		return nil
	}
	times := []int64{line.File.Atime, line.File.Mtime, line.File.Ctime, line.File.Btime}
	for _, s := range []string{line.Stat.Atime, line.Stat.Mtime, line.Stat.Ctime, line.Stat.Btime} {
		times = append(times, rfc3339(s))
	}
	if !sameTime(r.ev.TS, times...) {
		return fmt.Errorf("its times are %v", times)
	}
	return nil
}

// jsonWitness is that of logs of JSON objects: the bytes are one whole object,
// which has the row's time as it is written and the value of every attribute
// among its texts and numbers. Of a damaged one the values stand in the bytes.
func jsonWitness(r row) error {
	if r.ev.Flags&timeline.CorruptRec != 0 {
		return r.holds(r.ev.TSRaw, r.ev.EventCode, r.ev.SrcIP, r.ev.DstIP)
	}
	d := json.NewDecoder(bytes.NewReader(r.rec))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return err
	} else if d.InputOffset() != int64(len(r.rec)) {
		return errors.New("more than one object")
	}
	texts := map[string]bool{r.ev.TSRaw: r.ev.TSRaw == ""}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		default:
			texts[fmt.Sprint(v)] = true
		}
	}
	walk(object)
	if !texts[r.ev.TSRaw] {
		return fmt.Errorf("the time %q is not there", r.ev.TSRaw)
	}
	for _, a := range r.ev.Attrs {
		if len(a.Value) < cutMessage && !texts[string(plain(r.ev, a.Value))] {
			return fmt.Errorf("%s %q is not there", a.Key, a.Value)
		}
	}
	return nil
}

// tabWitness is that of logs with tabs between the fields: a line that begins
// with the row's time as it is written and has every attribute as a field.
func tabWitness(r row) error {
	if err := r.onLine(); err != nil {
		return err
	}
	fields := strings.Split(strings.TrimSuffix(string(r.rec), "\n"), "\t")
	if fields[0] != r.ev.TSRaw {
		return fmt.Errorf("the time is %q", fields[0])
	}
	for _, a := range r.ev.Attrs {
		if !slices.Contains(fields, string(plain(r.ev, a.Value))) {
			return fmt.Errorf("%s %q is not there", a.Key, a.Value)
		}
	}
	return nil
}

// snapWitness is that of a change in snapd's state: the bytes are one whole
// object, which has the row's time, number, kind and summary.
func snapWitness(r row) error {
	var c map[string]any
	if err := json.Unmarshal(r.rec, &c); err != nil {
		return err
	}
	change, _ := r.ev.Attr("change")
	kind, _ := r.ev.Attr("kind")
	if c["spawn-time"] != r.ev.TSRaw || c["id"] != change || c["kind"] != kind || c["summary"] != r.ev.Message {
		return fmt.Errorf("it is change %v of %v: %v", c["id"], c["spawn-time"], c["summary"])
	}
	return r.holds(r.ev.Unit)
}

// valueWitness is that of logs whose messages are values in quotes, which are
// doubled there.
func valueWitness(r row) error {
	if err := r.onLine(); err != nil {
		return err
	}
	if r.ev.TSRaw == "" || !bytes.HasPrefix(r.rec, []byte(r.ev.TSRaw)) {
		return fmt.Errorf("it does not begin with the time %q", r.ev.TSRaw)
	}
	undoubled := bytes.ReplaceAll(r.rec, []byte(`""`), []byte(`"`))
	message := bytes.ReplaceAll(plain(r.ev, r.ev.Message), []byte(`""`), []byte(`"`))
	if len(message) < cutMessage && !bytes.Contains(undoubled, message) {
		return fmt.Errorf("%q is not there", message)
	}
	return r.holds(r.ev.SrcIP, r.ev.User)
}

// bodyWitness knows the eleven columns of a body file: the time is one of the
// last four, and the name stands behind the first.
func bodyWitness(r row) error {
	if err := r.onLine(); err != nil {
		return err
	}
	name, ok := r.ev.Attr("name_raw")
	if !ok {
		name = r.ev.File
	}
	if err := r.holds("|" + name); err != nil {
		return err
	}
	columns := strings.Split(strings.TrimRight(string(r.rec), "\r\n"), "|")
	if len(columns) < 11 {
		return fmt.Errorf("it has %d columns", len(columns))
	}
	for _, c := range columns[len(columns)-4:] {
		whole, fraction, _ := strings.Cut(c, ".")
		sec, err := strconv.ParseInt(whole, 10, 64)
		ns, err2 := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
		if whole != "" && whole[0] == '-' {
			ns = -ns
		}
		if err == nil && err2 == nil && (r.ev.TSState != timeline.TimeOK || sec*1e9+ns == r.ev.TS) {
			return nil
		}
	}
	return errors.New("it does not have that time")
}

// tableWitness is that of CSV: one row has the time as written and every
// attribute as a field.
func tableWitness(r row) error {
	if r.off > 0 && r.data[r.off-1] != '\n' {
		return errors.New("the row does not begin a line")
	}
	if r.ev.Flags&timeline.CorruptRec != 0 {
		texts := []string{r.ev.TSRaw}
		for _, a := range r.ev.Attrs {
			if !strings.Contains(a.Value, `"`) {
				texts = append(texts, a.Value)
			}
		}
		return r.holds(texts...)
	}
	table := csv.NewReader(bytes.NewReader(r.rec))
	rows, err := table.ReadAll()
	if err != nil || len(rows) != 1 {
		return fmt.Errorf("it has %d rows: %w", len(rows), err)
	}
	if r.ev.TSRaw != "" && !slices.Contains(rows[0], r.ev.TSRaw) {
		return fmt.Errorf("the time %q is not there", r.ev.TSRaw)
	}
	for _, a := range r.ev.Attrs {
		if !slices.Contains(rows[0], string(plain(r.ev, a.Value))) {
			return fmt.Errorf("%s %q is not there", a.Key, a.Value)
		}
	}
	return nil
}

// recordOrRowWitness is that of what comes as JSON and as CSV.
func recordOrRowWitness(r row) error {
	if r.rec[0] == '{' {
		return jsonWitness(r)
	}
	return tableWitness(r)
}
