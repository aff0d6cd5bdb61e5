package evtx_test

import (
	"bytes"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/format/evtx"
	"github.com/exhibit-dfir/exhibit/analyze/format/evtx/evtxtest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// BenchmarkReader reads logons with twenty values each.
func BenchmarkReader(b *testing.B) {
	f := evtxtest.New()
	const records = 5000
	for i := range records {
		var data []evtxtest.Pair
		for j := range 20 {
			v := evtxtest.String("a value of some length")
			if j%4 == 0 {
				v = evtxtest.Hex64(uint64(i * j))
			}
			data = append(data, evtxtest.Pair{Name: "Value" + string(rune('A'+j)), Value: v})
		}
		f.Add(event(4624, data...))
	}
	data := f.Bytes()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	meter := testenv.StartCPU()
	rounds := 0
	for b.Loop() {
		r, err := evtx.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for {
			if _, err := r.Next(); err != nil {
				break
			}
			n++
		}
		if n != records {
			b.Fatalf("%d records", n)
		}
		rounds++
	}
	meter.Report(b, float64(rounds*records), "records")
}
