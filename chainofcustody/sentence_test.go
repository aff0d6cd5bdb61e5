package chainofcustody

import (
	"strings"
	"testing"
)

func TestEveryKindHasItsOwnPhrase(t *testing.T) {
	seen := map[string]EventKind{}
	for _, k := range EventKinds() {
		phrase := k.phrase()
		if strings.HasPrefix(phrase, "recorded “") {
			t.Errorf("%s has no phrase", k)
		}
		if other, ok := seen[phrase]; ok {
			t.Errorf("%s and %s share the phrase %q", k, other, phrase)
		}
		seen[phrase] = k
	}
}

func TestSentenceNamesWhoWhatWhereWhy(t *testing.T) {
	alice := Person{ID: "alice@lab", Name: "Alice Example", Org: "Lab", Role: "examiner"}
	tests := []struct {
		event Event
		want  string
	}{
		{Event{Kind: EventSealed, Actor: Person{ID: "bob"}}, "bob sealed the exhibit."},
		{
			Event{Kind: EventTransferred, Actor: alice, To: &Person{ID: "bob"}, Place: "Zurich"},
			"Alice Example (examiner, Lab) handed the exhibit over to bob at Zurich.",
		},
		{
			Event{Kind: EventVerified, Actor: alice, Tool: &ToolInfo{Name: "exhibit", Ver: "1.0"}, Purpose: "receipt.", Check: &Check{Result: "VERIFIED"}},
			"Alice Example (examiner, Lab) checked the exhibit against its seal with exhibit 1.0. Purpose: receipt. Result: VERIFIED.",
		},
	}
	for _, test := range tests {
		if got := test.event.Sentence(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}
