package report

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper/html"
	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper/pdf"
)

// papers writes a document in both forms, and into EXHIBIT_REPORT_OUT for
// looking at them.
func papers(t testing.TB, name string, doc paper.Document) (page, print []byte) {
	t.Helper()
	var a, b bytes.Buffer
	if err := html.Render(&a, doc); err != nil {
		t.Fatal(err)
	}
	if err := pdf.Render(&b, doc, pdf.A4); err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("EXHIBIT_REPORT_OUT"); dir != "" {
		for ext, data := range map[string][]byte{".html": a.Bytes(), ".pdf": b.Bytes()} {
			if err := os.WriteFile(filepath.Join(dir, name+ext), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return a.Bytes(), b.Bytes()
}

func report(t testing.TB, exhibits ...Data) paper.Document {
	t.Helper()
	doc, err := New(exhibits...)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func render(t testing.TB, exhibits ...Data) string {
	t.Helper()
	var b bytes.Buffer
	if err := html.Render(&b, report(t, exhibits...)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
