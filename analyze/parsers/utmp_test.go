package parsers

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestLinuxUtmp(t *testing.T) { parsertest.Run(t, linuxUtmp, "testdata/linux_utmp") }

func FuzzLinuxUtmp(f *testing.F) { parsertest.Fuzz(f, linuxUtmp, "testdata/linux_utmp") }

// utmpRecord packs one record.
func utmpRecord(size int, order binary.ByteOrder, typ uint16, pid uint32, line, id, user, host string, sec, usec int64, addr string) []byte {
	b := make([]byte, size)
	order.PutUint16(b, typ)
	order.PutUint32(b[4:], pid)
	copy(b[8:40], line)
	copy(b[40:44], id)
	copy(b[44:76], user)
	copy(b[76:332], host)
	at := 348
	if size == 400 {
		order.PutUint64(b[344:], uint64(sec))
		order.PutUint64(b[352:], uint64(usec))
		at = 360
	} else {
		order.PutUint32(b[340:], uint32(sec))
		order.PutUint32(b[344:], uint32(usec))
	}
	copy(b[at:], addr)
	return b
}

// utmpSample is a day of a small server.
func utmpSample(size int, order binary.ByteOrder) []byte {
	const day = 1_763_900_000
	var b []byte
	add := func(typ uint16, pid uint32, line, id, user, host string, sec, usec int64, addr string) {
		b = append(b, utmpRecord(size, order, typ, pid, line, id, user, host, day+sec, usec, addr)...)
	}
	add(2, 0, "~", "~~", "reboot", "6.1.0-30-amd64", 0, 125, "")
	add(1, 53, "~", "~~", "runlevel", "6.1.0-30-amd64", 9, 7, "")
	add(6, 500, "tty1", "tty1", "LOGIN", "", 10, 0, "")
	add(7, 812, "pts/0", "ts/0", "alice", "203.0.113.7", 600, 999_999, "\xcb\x00\x71\x07")
	add(7, 900, "pts/1", "ts/1", "r\xf6\xf6t", "2001:db8::7", 700, 1, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07")
	add(4, 0, "|", "~~", "date", "", 800, 0, "")
	add(3, 0, "{", "~~", "date", "", 801, 0, "")
	add(8, 812, "pts/0", "", "", "", 900, 0, "")
	add(1, 0, "~", "~~", "shutdown", "6.1.0-30-amd64", 1000, 0, "")
	return b
}

func TestLoginSamplesAreMade(t *testing.T) {
	if !*makeSamples {
		t.Skip("skipped: runs with -samples only")
	}
	le := utmpSample(384, binary.LittleEndian)
	zeroed := bytes.Clone(le)
	clear(zeroed[3*384 : 5*384])
	blanked := bytes.Clone(le)
	clear(blanked[3*384+44 : 3*384+76])
	for name, b := range map[string][]byte{
		"wtmp.x86_64":            le,
		"wtmp.aarch64":           utmpSample(400, binary.LittleEndian),
		"wtmp.s390x":             utmpSample(400, binary.BigEndian),
		"wtmp.ppc":               utmpSample(384, binary.BigEndian),
		"btmp.x86_64":            append(le[3*384:5*384:5*384], utmpRecord(384, binary.LittleEndian, 6, 77, "ssh:notty", "", "admin", "host.example", 1_763_900_050, 0, "")...),
		"damaged-zeroed.wtmp":    zeroed,
		"damaged-blanked.wtmp":   blanked,
		"damaged-shifted.wtmp":   append(append(bytes.Clone(le[:768]), "seventeen strange"...), le[768:]...),
		"damaged-cut.wtmp":       le[:5*384+100],
		"damaged-overwritten.wt": append(append(bytes.Clone(le[:768]), bytes.Repeat([]byte("overwritten!"), 64)...), le[4*384:]...),
	} {
		path := filepath.Join("testdata", "linux_utmp", name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		facts := `{"path":"/var/log/` + strings.TrimPrefix(name[:4], "dama") + `"}`
		if strings.HasPrefix(name, "damaged") {
			facts = `{"path":"/var/log/wtmp.1"}`
		}
		if err := os.WriteFile(path+".item", []byte(facts+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// utmpdump shows records as "[type] [pid] [id] [user] [line] [host] [addr] [time]".
var dumped = regexp.MustCompile(`^\[(\d+)\] \[(-?\d+)\] \[(.{4})\] \[(.{8,32})\] \[(.{12,32})\] \[(.{20,256})\] \[(.{15,40})\] \[(.*)\]$`)

func TestLinuxUtmpEqualsUtmpdump(t *testing.T) {
	tool := testenv.Tool(t, "utmpdump")
	dir := filepath.Join(testenv.Corpus(t), "linux-bin/utmp")
	for _, name := range []string{"artemis/wtmp", "generated/btmp", "generated/wtmp", "plaso/utmp", "plaso/utmp_x86_64"} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			sample := parsertest.Sample{Name: "s", Data: data, Facts: parsertest.Facts{Path: "/var/log/" + filepath.Base(name)}}
			if !linuxUtmp.Match(sample.Item(), data) {
				t.Error("not recognised")
			}
			res := parsertest.Parse(t, linuxUtmp, sample)
			out, err := exec.Command(tool, filepath.Join(dir, name)).Output()
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
			if len(lines) != len(res.Events) || len(res.Problems) > 0 {
				t.Fatalf("%d events, %d problems; utmpdump shows %d records", len(res.Events), len(res.Problems), len(lines))
			}
			for i, ev := range res.Events {
				m := dumped.FindStringSubmatch(lines[i])
				if m == nil {
					t.Fatalf("line %q not understood", lines[i])
				}
				when, _ := ev.Time()
				tty, _ := ev.Attr("tty")
				host, _ := ev.Attr("ut_host")
				addr := strings.TrimSpace(m[7])
				if ev.EventCode != m[1] || tty != strings.TrimSpace(m[5]) ||
					when.Format("2006-01-02T15:04:05,000000-07:00") != m[8] || !strings.HasPrefix(host, strings.TrimSpace(m[6])) {
					t.Errorf("record %d: %+v\nutmpdump: %s", i, ev, lines[i])
				}
				if ev.User != "" && ev.User != strings.TrimSpace(m[4]) {
					t.Errorf("record %d: user %q; utmpdump: %s", i, ev.User, lines[i])
				}
				if addr != "0.0.0.0" && ev.SrcIP != addr {
					t.Errorf("record %d: address %q; utmpdump: %s", i, ev.SrcIP, lines[i])
				}
			}
		})
	}
}

func TestLinuxUtmpReadsOtherArchitectures(t *testing.T) {
	corpus := testenv.Corpus(t)
	for name, want := range builtFrom(t, corpus, "linux-bin/utmp_other_arch/") {
		data, err := os.ReadFile(filepath.Join(corpus, name))
		if err != nil {
			t.Fatal(err)
		}
		res := parsertest.Parse(t, linuxUtmp, parsertest.Sample{Name: "wtmp", Data: data})
		if len(res.Events) != len(want) || len(res.Problems) > 0 {
			t.Fatalf("%s: %d events, %d problems, want %d", name, len(res.Events), len(res.Problems), len(want))
		}
		for i, ev := range res.Events {
			w := want[i]
			tty, _ := ev.Attr("tty")
			host, _ := ev.Attr("ut_host")
			if ev.TS != w.Unix*1e9+w.Usec*1e3 || ev.EventCode != strconv.Itoa(w.Type) || tty != w.Line || host != w.Host || ev.PID != w.PID {
				t.Errorf("%s record %d: %+v, built from %+v", name, i, ev, w)
			}
		}
	}
}

// packed is a record that the corpus builder wrote.
type packed struct {
	Type             int
	PID              int64
	Line, User, Host string
	Unix, Usec       int64
}

func builtFrom(t *testing.T, corpus, prefix string) map[string][]packed {
	t.Helper()
	f, err := os.Open(filepath.Join(corpus, "MANIFEST.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := map[string][]packed{}
	dec := json.NewDecoder(f)
	for dec.More() {
		var line struct {
			Path, Role string
			Expected   json.RawMessage
		}
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if line.Role != "input" || !strings.HasPrefix(line.Path, prefix) {
			continue
		}
		var expected struct {
			Built struct{ Records []packed } `json:"built_from"`
		}
		if err := json.Unmarshal(line.Expected, &expected); err != nil {
			t.Fatal(err)
		}
		found[line.Path] = expected.Built.Records
	}
	if len(found) < 3 {
		t.Fatalf("%d files with %s in the corpus", len(found), prefix)
	}
	return found
}

func TestLinuxUtmpKeepsWhatDamageLeaves(t *testing.T) {
	corpus := filepath.Join(testenv.Corpus(t), "linux-bin")
	for name, want := range map[string]struct{ events, problems int }{
		"utmp/plaso/wtmp.1":                                {2, 2},  // two records, two of zeros, one byte
		"utmp/plaso/utmp_corrupted":                        {2, 3},  // two records, two of type 99, 50 bytes
		"utmp/util-linux/github-1097":                      {0, 1},  // made by a fuzzer
		"utmp/util-linux/wtmp-ipv6.BE":                     {2, 0},  //
		"utmp/plaso/utmp_aarch64":                          {6, 0},  //
		"utmp_damaged/shifted__utmp":                       {14, 1}, // 17 bytes in front
		"utmp_damaged/shifted__wtmp-ipv6.BE":               {2, 1},
		"utmp_damaged/partial_last_record__utmp_corrupted": {1, 1},
		"utmp_damaged/partial_last_record__github-1097":    {0, 1},
	} {
		data, err := os.ReadFile(filepath.Join(corpus, name))
		if err != nil {
			t.Fatal(err)
		}
		res := parsertest.Parse(t, linuxUtmp, parsertest.Sample{Name: "wtmp", Data: data})
		if len(res.Events) != want.events || len(res.Problems) != want.problems {
			t.Errorf("%s: %d events, %d problems, want %+v: %v", name, len(res.Events), len(res.Problems), want, res.Problems)
		}
	}
}

func TestLinuxUtmpSeesTheSessionsThatLastSees(t *testing.T) {
	tool := testenv.Tool(t, "last")
	path := filepath.Join(testenv.Corpus(t), "linux-bin/utmp/generated/wtmp")
	out, err := exec.Command(tool, "-F", "-w", "-f", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, ev := range parsertest.Parse(t, linuxUtmp, parsertest.Sample{Name: "wtmp", Data: data}).Events {
		// last takes every record with an account and a line but a logout for a login.
		if when, ok := ev.Time(); ok && ev.User != "" && ev.EventCode != "8" {
			tty, _ := ev.Attr("tty")
			got = append(got, ev.User+" "+tty+" "+when.Format("Mon Jan 2 15:04:05 2006"))
		}
	}
	begins := regexp.MustCompile(`(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w{3} [ \d]\d [\d:]{8} \d{4}`)
	for line := range strings.SplitSeq(string(out), "\n") {
		f := strings.Fields(line)
		if at := begins.FindString(line); at != "" && f[0] != "reboot" && f[0] != "shutdown" && f[0] != "runlevel" && f[0] != "wtmp" {
			want = append(want, f[0]+" "+f[1]+" "+strings.Join(strings.Fields(at), " "))
		}
	}
	slices.Reverse(want)
	if !slices.Equal(got, want) {
		t.Errorf("sessions\n%s\nlast shows\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func BenchmarkLinuxUtmp(b *testing.B) {
	data := bytes.Repeat(utmpSample(384, binary.LittleEndian), 10_000)
	parsertest.Bench(b, linuxUtmp, parsertest.Sample{Name: "wtmp", Data: data})
}
