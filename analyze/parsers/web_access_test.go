package parsers

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestWebAccess(t *testing.T) { parsertest.Run(t, webAccess, "testdata/web_access") }

func FuzzWebAccess(f *testing.F) { parsertest.Fuzz(f, webAccess, "testdata/web_access") }

func BenchmarkWebAccess(b *testing.B) {
	line := []byte("203.0.113.7 - - [14/May/2024:09:30:00 +0200] \"GET /index.php?q=1 HTTP/1.1\" 200 494 \"https://www.example.test/\" \"Mozilla/5.0 (X11; Linux x86_64)\"\n")
	parsertest.Bench(b, webAccess, parsertest.Sample{Name: "access.log", Data: bytes.Repeat(line, 50_000)})
}

// Every line of the corpus that is a request becomes one event.
func TestWebAccessOnTheCorpus(t *testing.T) {
	dir := filepath.Join(testenv.Corpus(t), "web")
	for _, c := range []struct {
		file                string
		events, withAddress int
	}{
		{"apache_access/examples/part1__apache_logs", 3000, 3000},
		{"apache_access/plaso/apache_access.log", 15, 15}, // plaso reads 14: one agent has no closing quote
	} {
		data, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		res := parsertest.Parse(t, webAccess, parsertest.Sample{Name: filepath.Base(c.file), Data: data})
		n := 0
		for _, ev := range res.Events {
			if ev.SrcIP != "" {
				n++
			}
		}
		if len(res.Events) != c.events || n != c.withAddress {
			t.Errorf("%s: %d events, %d with an address, want %d and %d; problems %v", c.file, len(res.Events), n, c.events, c.withAddress, res.Problems)
		}
	}
}
