package memory_test

import (
	"testing"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
	"github.com/exhibit-dfir/exhibit/timeline/storetest"
)

func TestEngine(t *testing.T) {
	storetest.Run(t, func(t *testing.T, jobs []storetest.Job) timeline.Engine {
		events, problems, sources := storetest.Collect(t, jobs)
		m := memory.New(events, sources...)
		m.AddProblems(problems...)
		return m
	})
}
