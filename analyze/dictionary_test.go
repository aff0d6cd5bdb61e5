package analyze_test

import (
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
)

func TestAnXZFileMayNotAskForAHugeDictionary(t *testing.T) {
	const stream = "\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46"
	for property, refused := range map[string]bool{"\x16": false, "\x1c": false, "\x1d": true, "\x28": true} {
		block := "\x02\x00\x21\x01" + property + "\x00\x00\x00" + strings.Repeat("\x00", 64)
		_, _, err := analyze.Decode(strings.NewReader(stream+block), 100)
		if got := err != nil && strings.Contains(err.Error(), "dictionary"); got != refused {
			t.Errorf("property %#x: %v", property, err)
		}
	}
}
