package report

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
)

var hostileTexts = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</style><script>alert(1)</script>`,
	`javascript:alert(1)`, "'; touch owned; '", "$(reboot)", "`reboot`", "a\nb\r\n\x00c", "\x1b[2J\x1b]0;x\a",
	"invoice\u202efdp.exe", "\u2066x\u2069\u200f\u061c", "\xff\xfe\x80", "{{.Tool}}", "]]>-->", "\u2028\u2029\ufeff",
	strings.Repeat("A", 100_000), strings.Repeat("ü", 2100),
}

// fill sets every string in a value, at any depth, to text.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		fill(v.Elem(), text)
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), text)
			}
		}
	}
}

var (
	tagPattern = regexp.MustCompile(`<(/?[a-zA-Z!][^\s>/]*)`)
	attrEvent  = regexp.MustCompile(`<[^>]*\s(on[a-z]+|src|href|style|action|srcdoc)\s*=`)
)

func TestHostileTextIsInertInEveryField(t *testing.T) {
	known := map[string]bool{}
	for _, tag := range tagPattern.FindAllStringSubmatch(render(t, sample(t)), -1) {
		known[tag[1]] = true
	}
	for _, text := range hostileTexts {
		for _, verdict := range []chainofcustody.Verdict{chainofcustody.VerdictVerified, chainofcustody.Verdict(text)} {
			d := sample(t)
			fill(reflect.ValueOf(&d).Elem(), text)
			d.Verdict = verdict
			page := render(t, d)
			for _, tag := range tagPattern.FindAllStringSubmatch(page, -1) {
				if !known[tag[1]] {
					t.Errorf("%.40q brings the tag %q onto the page", text, tag[1])
				}
			}
			if found := attrEvent.FindString(page); found != "" {
				t.Errorf("%.40q makes an active attribute: %q", text, found)
			}
			for i, r := range page {
				if r != '\n' && (r < 0x20 || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r) || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff) {
					t.Fatalf("%.40q leaves %U at byte %d", text, r, i)
				}
			}
			if len(page) > 4<<20 {
				t.Errorf("%.40q makes a page of %d bytes", text, len(page))
			}
		}
	}
}

func TestEveryStringOfDataIsMadeVisible(t *testing.T) {
	d := sample(t)
	fill(reflect.ValueOf(&d).Elem(), "x\u202ey")
	var check func(v reflect.Value, path string)
	check = func(v reflect.Value, path string) {
		switch v.Kind() {
		case reflect.String:
			if v.String() != `x\u{202e}y` {
				t.Errorf("%s is %q", path, v.String())
			}
		case reflect.Pointer:
			check(v.Elem(), path)
		case reflect.Slice:
			for i := range v.Len() {
				check(v.Index(i), path+"[]")
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					check(v.Field(i), path+"."+v.Type().Field(i).Name)
				}
			}
		case reflect.Map, reflect.Interface:
			t.Errorf("%s has a kind that sanitize does not walk", path)
		}
	}
	check(reflect.ValueOf(sanitized(d)), "Data")
}

func TestPageLoadsNothingAndRunsNothing(t *testing.T) {
	page := render(t, sample(t))
	for _, banned := range []string{"<script", "<link", "<iframe", "<object", "<img", "url(", "@import", "http://", "https://", "style="} {
		if strings.Contains(page, banned) {
			t.Errorf("page contains %q", banned)
		}
	}
	if !strings.Contains(page, `default-src &#39;none&#39;`) && !strings.Contains(page, `default-src 'none'`) {
		t.Error("page has no strict content security policy")
	}
}

func TestShellWordsStayOneWord(t *testing.T) {
	tests := []struct{ in, want string }{
		{"./a-b_c.tar.zst", "./a-b_c.tar.zst"},
		{"-rf", "'-rf'"},
		{"", "''"},
		{"a b", "'a b'"},
		{"a'b", `'a'\''b'`},
		{"$(x)", "'$(x)'"},
		{"a\\b", `'a\b'`},
		{"~", "'~'"},
	}
	for _, test := range tests {
		if got := shell(test.in); got != test.want {
			t.Errorf("shell(%q) = %s, want %s", test.in, got, test.want)
		}
	}
}
