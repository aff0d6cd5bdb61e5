//go:build linux

package collect

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheDeadlineOfTheRunBoundsCollectorsWithOneOfTheirOwn(t *testing.T) {
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		long := Collector{Name: "long", Deadline: time.Hour, Run: func(ctx context.Context, _ *Host, _ Taker) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		began := time.Now()
		res, _, err := runWith(t, context.Background(), Options{Root: root, Deadline: time.Minute, Collectors: []Collector{long}})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); res.Collectors[0].Outcome != TimedOut || took > 2*time.Minute {
			t.Errorf("%+v after %v", res.Collectors[0], took)
		}
	})
}
