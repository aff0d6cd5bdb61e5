package parsers

import (
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
)

func TestSnapState(t *testing.T) { parsertest.Run(t, snapState, "testdata/snap_state") }

func FuzzSnapState(f *testing.F) { parsertest.Fuzz(f, snapState, "testdata/snap_state") }
