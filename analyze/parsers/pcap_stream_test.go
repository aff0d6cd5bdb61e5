package parsers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// said is what rows of a capture say, without when and where.
func said(res parsertest.Result) []string {
	var all []string
	for _, ev := range res.Events {
		if ev.DataType == typeFlow {
			continue
		}
		text := []string{ev.DataType, ev.Message, ev.User, ev.File, ev.Outcome, ev.Flags.String()}
		for _, a := range ev.Attrs {
			if !strings.HasSuffix(a.Key, "_packet") && a.Key != "spans" {
				text = append(text, a.Key+"="+a.Value)
			}
		}
		all = append(all, strings.Join(text, " | "))
	}
	slices.Sort(all)
	return all
}

// spoken is one connection with what each side says, in turn.
type spoken struct {
	port  uint16
	turns []string // the client's first
}

func conversations() []spoken {
	return []spoken{
		{8080, []string{
			"GET /a HTTP/1.1\r\nHost: one.example\r\n\r\nPOST /b HTTP/1.1\r\nHost: one.example\r\nContent-Length: 300\r\n\r\n" + strings.Repeat("GET / HTTP/1.1\r\n", 20)[:300],
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + strings.Repeat("HTTP/1.1", 8) + "\r\n0\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nHTTP/",
			"GET /c HTTP/1.1\r\nHost: one.example\r\n\r\n", "HTTP/1.1 500 Oops\r\n\r\nuntil the end",
		}},
		{443, []string{clientHelloRecord("split.example"), tlsRecord(22, serverHello(0xc02f, nil)) + tlsRecord(22, tlsMessage(14, nil))}},
		{22, []string{"SSH-2.0-a\r\n" + sshKexInit("k", "h", "e", "f", "m", "n", "c", "d"), "SSH-2.0-b\r\n" + sshKexInit("k2", "h", "e", "f", "m", "n", "c", "d")}},
		{445, []string{joinedSMB(), smbMessage(5, 7, 0, true, 0, make([]byte, 88), 0, nil)}},
		{445, []string{smbMessage(3, 5, 0, false, 0, make([]byte, 8), 4, wideText(`\\f\C$`)), smbMessage(3, 5, 0, true, 4, make([]byte, 16), 0, nil)}},
	}
}

// joinedSMB is a frame of two messages: a file is opened and closed at once.
func joinedSMB() string {
	open := make([]byte, 56)
	first := []byte(smbMessage(5, 7, 0, false, 4, open, 44, wideText(`joined.txt`)))[4:]
	first = append(first, make([]byte, -len(first)&7)...)
	little.PutUint32(first[20:], uint32(len(first)))
	both := append(first, smbMessage(6, 8, 0, false, 4, make([]byte, 24), 0, nil)[4:]...)
	return string(append([]byte{0, 0, byte(len(both) >> 8), byte(len(both))}, both...))
}

// TestStreamsAreReadHoweverTheyAreCut sends the same words in segments of any
// size, out of order and more than once.
func TestStreamsAreReadHoweverTheyAreCut(t *testing.T) {
	var want []string
	for round := range 60 {
		rng := rand.New(rand.NewPCG(uint64(round), 5))
		k := &talk{t: t}
		for i, conv := range conversations() {
			a, b := &side{addr: "10.0.0.1", port: uint16(40000 + i)}, &side{addr: "10.0.0.2", port: conv.port}
			k.connect(a, b)
			for j, text := range conv.turns {
				from, to := a, b
				if j%2 == 1 {
					from, to = b, a
				}
				k.shuffled(rng, from, to, text, round > 0)
			}
			k.bye(a, b)
		}
		res := parsertest.Parse(t, netPcap, parsertest.Sample{Name: "cut.pcap", Data: k.classic()})
		got := said(res)
		if round == 0 {
			if want = got; len(want) != 7 {
				t.Fatalf("%d rows: %q", len(want), want)
			}
		} else if !slices.Equal(got, want) {
			t.Fatalf("round %d: %q\nwant %q", round, got, want)
		}
		if len(res.Problems) > 0 {
			t.Fatalf("round %d: %+v", round, res.Problems)
		}
		checkSpans(t, res, k)
	}
}

// shuffled sends text in pieces, neighbours exchanged and some sent again.
func (k *talk) shuffled(rng *rand.Rand, from, to *side, text string, disturb bool) {
	type part struct {
		seq  uint32
		text string
	}
	var parts []part
	for rest := text; len(rest) > 0; {
		n := len(rest)
		if disturb {
			n = min(n, 1+rng.IntN(1+rng.IntN(120)))
		}
		parts = append(parts, part{from.seq, rest[:n]})
		from.seq, rest = from.seq+uint32(n), rest[n:]
	}
	if disturb {
		for range len(parts) / 2 {
			i := rng.IntN(len(parts))
			j := min(i+rng.IntN(6), len(parts)-1)
			parts[i], parts[j] = parts[j], parts[i]
			if rng.IntN(4) == 0 {
				parts = append(parts, parts[i])
			}
		}
	}
	for _, p := range parts {
		k.tcp(from.addr, from.port, to.addr, to.port, p.seq, "A", p.text)
	}
}

// checkSpans asks that every span is a record of the file, the first the
// row's own.
func checkSpans(t *testing.T, res parsertest.Result, k *talk) {
	t.Helper()
	records, off := map[string]bool{}, 24
	for _, p := range k.packets {
		records[fmt.Sprintf("%d+%d", off, 16+len(p))] = true
		off += 16 + len(p)
	}
	for _, ev := range res.Events {
		if own := fmt.Sprintf("%d+%d", ev.RecOff, ev.RecLen); !records[own] {
			t.Fatalf("%s is at %s, which is no record", ev.Message, own)
		}
		spans, ok := ev.Attr("spans")
		for i, span := range strings.Split(spans, ",") {
			if ok && (!records[span] || i == 0 && span != fmt.Sprintf("%d+%d", ev.RecOff, ev.RecLen)) {
				t.Fatalf("%s: span %q of %q", ev.Message, span, spans)
			}
		}
	}
}

// TestFlowsAreLetGoWhenAllHoldTooMuch opens flows that never finish what they
// begin: what is held stays bounded, nothing of them is lost unsaid, and a
// flow that finishes is read.
func TestFlowsAreLetGoWhenAllHoldTooMuch(t *testing.T) {
	k := &talk{t: t}
	for i := range 400 {
		k.tcp(fmt.Sprintf("10.1.%d.%d", i/200, i%200), 40000, "10.0.0.2", 80, 1, "A", fmt.Sprintf("GET /%d HTTP/1.1\r\nX: %s", i, strings.Repeat("x", 1000)))
	}
	k.tcp("10.9.9.9", 40000, "10.0.0.2", 80, 1, "A", "GET /last HTTP/1.1\r\n\r\n")
	data := k.classic()
	s := parsertest.Sample{Name: "many.pcap", Data: data}
	whole := said(parsertest.Parse(t, netPcap, s))
	limited := netPcap
	most := 0
	limited.Parse = func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		p := newCapture(out)
		p.limit = 100 << 10
		err := p.read(src)
		most = p.most
		return err
	}
	res := parsertest.Parse(t, limited, s)
	if got := said(res); !slices.Equal(got, whole) || len(got) != 401 {
		t.Errorf("%d rows, without a limit %d", len(got), len(whole))
	}
	if most > 110<<10 || most < 50<<10 {
		t.Errorf("%d bytes were held", most)
	}
	if len(res.Problems) != 1 || !strings.Contains(res.Problems[0].Detail, "not read to its end") {
		t.Errorf("problems: %+v", res.Problems)
	}
}
