package report

import (
	"io"
	"testing"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper/html"
	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper/pdf"
)

func BenchmarkReportAsHTML(b *testing.B) {
	d := sample(b)
	for b.Loop() {
		if err := html.Render(io.Discard, report(b, d)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReportAsPDF(b *testing.B) {
	d := sample(b)
	for b.Loop() {
		if err := pdf.Render(io.Discard, report(b, d), pdf.A4); err != nil {
			b.Fatal(err)
		}
	}
}
