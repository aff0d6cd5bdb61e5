package parsers

import (
	"bytes"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
)

func TestAWSELB(t *testing.T) { parsertest.Run(t, awsELB, "testdata/aws_elb") }

func TestAWSS3Access(t *testing.T) { parsertest.Run(t, awsS3Access, "testdata/aws_s3_access") }

func TestAWSVPCFlow(t *testing.T) { parsertest.Run(t, awsVPCFlow, "testdata/aws_vpc_flow") }

func TestSquidAccess(t *testing.T) { parsertest.Run(t, squidAccess, "testdata/squid_access") }

// One engine reads all of them.
func FuzzFieldMap(f *testing.F) { parsertest.Fuzz(f, awsELB, "testdata/aws_elb") }

func BenchmarkSquidAccess(b *testing.B) {
	line := []byte("1715679030.450    120 10.0.0.15 TCP_MISS/200 10182 GET http://www.example.test/index.html - HIER_DIRECT/198.51.100.7 text/html\n")
	parsertest.Bench(b, squidAccess, parsertest.Sample{Name: "access.log", Data: bytes.Repeat(line, 50_000)})
}

func TestFieldMapsOnTheCorpus(t *testing.T) {
	testLineCorpus(t, []lineCorpus{
		{"cloud/aws_elb/plaso/part1__aws_elb_access.log", awsELB, 8, 0, 0, 0},
		{"cloud/hub_cloud/hub/aws-alb-logs.log", awsELB, 14, 0, 0, 0},
		{"web/iis/plaso/iis10_cookies.log", w3cLog, 3, 0, 0, 0},
		{"web/iis/plaso/iis10_edge_cases.log", w3cLog, 15, 0, 0, 0},
		{"web/iis/plaso/iis7_sqli.log", w3cLog, 2, 0, 0, 0},
		{"web/iis/plaso/iis_without_date.log", w3cLog, 11, 0, 0, 0},
		{"windows/winfirewall/plaso/part1__windows_firewall.log", w3cLog, 8, 0, 0, 0},
		{"web/exchange/velociraptor/exchange.log", w3cLog, 2, 1, 0, 0}, // its lines were shortened: 30 fields of 49,
	})
}

func TestW3CLog(t *testing.T) { parsertest.Run(t, w3cLog, "testdata/w3c_log") }

func FuzzW3CLog(f *testing.F) { parsertest.Fuzz(f, w3cLog, "testdata/w3c_log") }

func BenchmarkW3CLog(b *testing.B) {
	head := "#Software: Microsoft Internet Information Services 10.0\n#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken\n"
	line := []byte("2024-05-14 00:02:00 10.0.0.5 GET /owa/auth/logon.aspx url=https%3a%2f%2fmail 443 - 203.0.113.9 Mozilla/5.0+(Windows+NT+10.0;+Win64;+x64)+AppleWebKit/537.36 - 200 0 0 31\n")
	parsertest.Bench(b, w3cLog, parsertest.Sample{Name: "u_ex.log", Data: append([]byte(head), bytes.Repeat(line, 50_000)...)})
}

// Lines made to be searched again and again for an end that is not there.
func TestHostileFieldsAreSplitOnce(t *testing.T) {
	for name, c := range map[string]struct {
		split func([]byte, [][]byte) [][]byte
		part  string
	}{
		"quotes":         {splitBlanks, `"a `},
		"brackets":       {splitBlanks, `[a `},
		"doubled quotes": {splitCSV, `"""x,`},
	} {
		line := bytes.Repeat([]byte(c.part), textline.MaxLine/len(c.part))
		if n := len(c.split(line, nil)); n < textline.MaxLine/len(c.part) {
			t.Errorf("%s: %d fields", name, n)
		}
	}
}
