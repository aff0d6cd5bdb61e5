package parsers

import (
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Who connects is the source, and no answer is no success.
func TestSidesAndOutcomesOfRecords(t *testing.T) {
	for _, c := range []struct {
		name, text              string
		parser                  analyze.Parser
		src, dst, user, outcome string
		srcPort                 int64
	}{
		{
			name: "accepted connection", parser: crowdstrikeFDR, src: "203.0.113.5", dst: "10.0.0.6", srcPort: 50000,
			text: `{"event_simpleName":"NetworkReceiveAcceptIP4","aid":"a","timestamp":"1715671914000","LocalAddressIP4":"10.0.0.6","LocalPort":"22","RemoteAddressIP4":"203.0.113.5","RemotePort":"50000"}`,
		},
		{
			name: "log-on", parser: crowdstrikeFDR, src: "203.0.113.5", user: "bob", outcome: "failure", srcPort: timeline.None,
			text: `{"event_simpleName":"UserLogonFailed2","aid":"a","timestamp":"1715671914000","UserName":"bob","RemoteAddressIP4":"203.0.113.5"}`,
		},
		{
			name: "opened connection", parser: crowdstrikeFDR, src: "10.0.0.6", dst: "203.0.113.5", srcPort: 50000,
			text: `{"event_simpleName":"NetworkConnectIP4","aid":"a","timestamp":"1715671914000","LocalAddressIP4":"10.0.0.6","LocalPort":"50000","RemoteAddressIP4":"203.0.113.5","RemotePort":"443"}`,
		},
		{
			name: "account in quotes", parser: nextcloudLog, src: "203.0.113.5", user: "admin", outcome: "failure", srcPort: timeline.None,
			text: `{"reqId":"a","level":2,"time":"2024-05-14T07:31:54+00:00","remoteAddr":"203.0.113.5","app":"core","message":"Login failed: 'admin' (Remote IP: '203.0.113.5')"}`,
		},
		{
			name: "echo requests", parser: awsVPCFlow, src: "10.0.0.6", dst: "203.0.113.5", outcome: "success", srcPort: timeline.None,
			text: "2 123456789010 eni-1235b8ca123456789 10.0.0.6 203.0.113.5 0 0 1 4 336 1432917027 1432917142 ACCEPT OK",
		},
		{
			name: "flow of TCP", parser: awsVPCFlow, src: "10.0.0.6", dst: "203.0.113.5", outcome: "failure", srcPort: 50000,
			text: "2 123456789010 eni-1235b8ca123456789 10.0.0.6 203.0.113.5 50000 443 6 4 336 1432917027 1432917142 REJECT OK",
		},
		{
			name: "viewer that went away", parser: w3cLog, src: "203.0.113.5", srcPort: timeline.None,
			text: "#Version: 1.0\n#Fields: date time x-edge-location c-ip cs-method sc-status\n2024-05-14\t07:31:54\tFRA1\t203.0.113.5\tGET\t000",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := parsertest.Parse(t, c.parser, parsertest.Sample{Name: "x.log", Data: []byte(c.text + "\n")})
			if len(res.Events) != 1 {
				t.Fatalf("%d events", len(res.Events))
			}
			if ev := res.Events[0]; ev.SrcIP != c.src || ev.DstIP != c.dst || ev.User != c.user || ev.Outcome != c.outcome || ev.SrcPort != c.srcPort {
				t.Errorf("from %q port %d to %q, user %q, outcome %q", ev.SrcIP, ev.SrcPort, ev.DstIP, ev.User, ev.Outcome)
			}
		})
	}
}

// A hostile log without dates in its lines can turn the clock back at every
// second one. Days that nothing dates any more are not invented.
func TestDaysOfALogWithoutDatesHaveAnEnd(t *testing.T) {
	text := "#Date: 2024-05-14 00:00:00\n#Fields: time c-ip\n" + strings.Repeat("23:59:59 203.0.113.5\n00:00:00 203.0.113.5\n", 4000)
	events := parsertest.Parse(t, w3cLog, parsertest.Sample{Name: "x.log", Data: []byte(text)}).Events
	if len(events) != 8000 || events[1].TSState != timeline.TimeOK || events[1].TS-events[0].TS != 1e9 {
		t.Fatalf("%d events, the second at %d", len(events), events[1].TS)
	}
	if last := events[7999]; last.TSState != timeline.TimeNone || last.TS != timeline.None {
		t.Errorf("the last is of %d", last.TS)
	}
}
