// Package html writes a paper as one self-contained HTML page: no script,
// nothing loaded, a content security policy that allows this one style sheet
// and nothing else. The same paper gives the same bytes.
package html

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the style sheet
	"encoding/base64"
	"encoding/hex"
	"fmt"
	stdhtml "html"
	"io"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

//go:embed style.css
var styleText string

// zeros stands where the page's own hash will, while it is hashed.
var zeros = strings.Repeat("0", sha256.Size*2)

// Render writes the paper. Errors are those of w.
func Render(w io.Writer, d paper.Document) error {
	p := &page{widths: map[int]bool{}}
	p.body(d)
	style := styleText + p.moreStyle(d)
	sum := sha256.Sum256([]byte(style))
	var out bytes.Buffer
	fmt.Fprintf(&out, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<style>%s</style>
</head>
<body%s>
`, base64.StdEncoding.EncodeToString(sum[:]), esc(d.Title), style, tightClass(d))
	out.Write(p.b.Bytes())
	out.WriteString("</body>\n</html>\n")
	text := out.Bytes()
	if d.OwnHash {
		text = withOwnHash(text)
	}
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// withOwnHash puts the SHA-256 of the page, made with zeros in its place,
// where the zeros are. Digits of evidence cannot be taken for the place: the
// mark around it is markup, which evidence never is.
func withOwnHash(text []byte) []byte {
	sum := sha256.Sum256(text)
	return bytes.Replace(text, []byte(ownHashMark+zeros), []byte(ownHashMark+hex.EncodeToString(sum[:])), 1)
}

const ownHashMark = `<b class="hash" id="own-hash">`

// OwnHashCommands check a page's own hash with stock tools: they print the
// hash the page states and the one its bytes have.
const OwnHashCommands = `f=REPORT.html
h=$(sed -n 's/.*id="own-hash">\([0-9a-f]\{64\}\)<.*/\1/p' "$f"); echo "$h"
sed "s/$h/$(printf '%064d' 0)/g" "$f" | sha256sum`

// page gathers the body.
type page struct {
	b        bytes.Buffer
	sections []paper.Section
	widths   map[int]bool
	draft    string
}

func esc(s string) string { return stdhtml.EscapeString(paper.Clean(s)) }

func (p *page) f(format string, args ...any) { fmt.Fprintf(&p.b, format, args...) }

func tightClass(d paper.Document) string {
	if d.Tight {
		return ` class="tight"`
	}
	return ""
}

// wide notes that a width class is used and returns its name.
func (p *page) wide(percent int) string {
	percent = max(1, min(percent, 100))
	p.widths[percent] = true
	return fmt.Sprintf("w%d", percent)
}

// moreStyle is the part of the style that depends on the paper: headers of
// printed pages and the widths in use. What it takes from the paper is kept
// to plain letters.
func (p *page) moreStyle(d paper.Document) string {
	var b strings.Builder
	for i, s := range p.sections {
		fmt.Fprintf(&b, ".s%d { page: s%d }\n@page s%d { @top-left { content: %q } @top-right { content: %q } }\n",
			i, i, i, paper.PlainLetters(s.Left, 80), paper.PlainLetters(s.Right, 40))
	}
	if d.Draft != "" {
		fmt.Fprintf(&b, "@page { @bottom-left { content: %q; color: #a3261d; font-weight: bold } }\n", paper.PlainLetters(d.Draft, 80))
	}
	if d.Tight {
		b.WriteString("@page { margin: 16mm 16mm 15mm }\n")
	}
	var used []int
	for w := range p.widths {
		used = append(used, w)
	}
	slices.Sort(used)
	for _, w := range used {
		fmt.Fprintf(&b, ".w%d { width: %d%% }\n", w, w)
	}
	return b.String()
}

func (p *page) body(d paper.Document) {
	p.draft = d.Draft
	for _, b := range d.Blocks {
		p.block(b)
	}
	if d.OwnHash {
		p.ownHash()
	}
	if len(p.sections) > 0 {
		p.f("</div>\n")
	}
}

func (p *page) ownHash() {
	p.f("<footer>\n<p class=\"small\">SHA-256 of this page: %s%s</b></p>\n", ownHashMark, zeros)
	p.f("<p class=\"small\">It covers every byte of the file, these 64 digits themselves counted as zeros. To check it, run the lines below; they print the same value twice. "+
		"The hash finds accidents and ties a print to its file. What ties it to a person is the signed entry that the custody log holds of this file.</p>\n<pre>%s</pre>\n</footer>\n", esc2(OwnHashCommands))
}

// esc2 escapes text of several lines.
func esc2(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = esc(lines[i])
	}
	return strings.Join(lines, "\n")
}
