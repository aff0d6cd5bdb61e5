package rootcause

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// errWriter keeps the first error, so that writers can be written straight.
type errWriter struct {
	*bufio.Writer
}

func newErrWriter(w io.Writer) errWriter { return errWriter{bufio.NewWriter(w)} }

func (w errWriter) printf(format string, args ...any) { fmt.Fprintf(w.Writer, format, args...) }

// cites are the short marks of events, the first eight digits of each identity;
// the JSON output has them whole.
func cites(c Citations, n int) string {
	if len(c) == 0 {
		return ""
	}
	var out []string
	for i, id := range c {
		if i == n {
			out = append(out, fmt.Sprintf("+%d", len(c)-n))
			break
		}
		out = append(out, id.String()[:8])
	}
	return " [" + strings.Join(out, " ") + "]"
}

// WriteText writes the answer for a terminal, lines of any length. Text of the
// evidence carries no control or direction characters.
func (g *Graph) WriteText(out io.Writer) error {
	w := newErrWriter(out)
	w.printf("WHY  %s\n\n%s\n", g.Alert.Text, g.Conclusion)
	if len(g.Entries) > 0 {
		w.printf("\n")
	}
	for i, e := range g.Entries {
		w.printf("%d. %s  (score %.2f, confidence %s)%s\n   %s\n", i+1, e.Title, e.Score, e.Confidence, cites(e.Events, 4), e.Reason)
	}
	stage := ""
	for _, s := range g.Narrative {
		if s.Stage != stage {
			w.printf("\n%s\n", strings.ToUpper(s.Stage))
			stage = s.Stage
		}
		w.printf("  %s %s %s%s\n", when(s), mark(s.Class), s.Text, cites(s.Events, 3))
	}
	for _, box := range g.boxes() {
		if len(box.notes) == 0 {
			continue
		}
		w.printf("\n%s\n", strings.ToUpper(box.title))
		for _, n := range box.notes {
			w.printf("  - %s%s%s\n", share(n), n.Text, cites(n.Events, 3))
		}
	}
	c := g.Counts
	w.printf("\n%d events read, %d kept, %d nodes considered, %d paths pruned, %d nodes shown, %d effects not shown.\n", c.Events, c.Facts, c.Considered, c.Pruned, c.Shown, c.Hidden)
	w.printf("A stated by one record, B exact join of records, C inferred from time or names.\n")
	return w.Flush()
}

func when(s Sentence) string {
	if s.Time.IsZero() {
		return "(undated)          "
	}
	return s.Time.Format("2006-01-02 15:04:05")
}

func mark(c Class) string { return string(c) }

func share(n Note) string {
	if n.Score > 0 {
		return fmt.Sprintf("(%.2f) ", n.Score)
	}
	return ""
}

type box struct {
	title string
	notes []Note
}

func (g *Graph) boxes() []box {
	return []box{{"Assumptions", g.Assumptions}, {"Gaps", g.Gaps}, {"Alternatives", g.Alternatives}}
}

// WriteMarkdown writes the answer as a section of a report. Text of the
// evidence is escaped, so that it can neither mark up nor link.
func (g *Graph) WriteMarkdown(out io.Writer) error {
	w := newErrWriter(out)
	w.printf("# Why\n\n> %s\n\n%s\n\n## Entry points\n\n", escapeMarkdown(g.Alert.Text), escapeMarkdown(g.Conclusion))
	for i, e := range g.Entries {
		w.printf("%d. **%s** – score %.2f, confidence %s.%s  \n   %s\n", i+1, escapeMarkdown(e.Title), e.Score, e.Confidence, code(e.Events, 8), escapeMarkdown(e.Reason))
	}
	w.printf("\n## What happened\n")
	stage := ""
	for _, s := range g.Narrative {
		if s.Stage != stage {
			w.printf("\n### %s\n\n", s.Stage)
			stage = s.Stage
		}
		w.printf("- %s (%s) %s%s\n", strings.TrimSpace(when(s)), s.Class, escapeMarkdown(s.Text), code(s.Events, 8))
	}
	for _, box := range g.boxes() {
		if len(box.notes) == 0 {
			continue
		}
		w.printf("\n## %s\n\n", box.title)
		for _, n := range box.notes {
			w.printf("- %s%s%s\n", share(n), escapeMarkdown(n.Text), code(n.Events, 4))
		}
	}
	c := g.Counts
	w.printf("\n%d events were read, %d kept, %d nodes considered, %d paths pruned; %d nodes are shown, %d effects are not. ", c.Events, c.Facts, c.Considered, c.Pruned, c.Shown, c.Hidden)
	w.printf("Times are UTC. A: stated by one record. B: exact join of records. C: inferred from time or names.\n")
	return w.Flush()
}

func code(c Citations, n int) string {
	if s := cites(c, n); s != "" {
		return " `" + strings.TrimSpace(s) + "`"
	}
	return ""
}

// escapeMarkdown makes text of the evidence inert in Markdown and in the HTML
// that it may be turned into.
func escapeMarkdown(s string) string {
	var b strings.Builder
	for _, r := range plainText(s) {
		switch {
		case strings.ContainsRune("\\`*_[]#!|~$", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == ':':
			b.WriteString("&#58;") // no automatic links
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
