package rootcause

import (
	"fmt"
	"io"
	"strings"
)

// dotShapes tells kinds of nodes apart in DOT.
var dotShapes = map[Kind]string{
	KindProcess: "box", KindSession: "house", KindFile: "note", KindUnit: "component", KindJob: "component", KindFlow: "cds",
	KindRequest: "parallelogram", KindPackage: "box3d", KindEvent: "ellipse", KindAttempts: "octagon", KindAddress: "hexagon",
}

// WriteDOT writes the graph for Graphviz: inferred edges dashed, the alert and
// the entry coloured.
func (g *Graph) WriteDOT(out io.Writer) error {
	w := newErrWriter(out)
	w.printf("digraph why {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", fontsize=10];\n  edge [fontname=\"sans-serif\", fontsize=8];\n")
	for i, n := range g.Nodes {
		label := n.Label
		if n.Detail != "" {
			label += "\n" + shorten(n.Detail, 80)
		}
		if !n.Time.IsZero() {
			label += "\n" + n.Time.Format("2006-01-02 15:04:05")
		}
		w.printf("  n%d [shape=%s, label=%s%s];\n", i, dotShapes[n.Kind], dotQuote(label), dotRole[n.Role])
	}
	for _, e := range g.Edges {
		style := ""
		if e.Class == Inferred {
			style = ", style=dashed"
		}
		w.printf("  n%d -> n%d [label=%s%s];\n", e.From, e.To, dotQuote(fmt.Sprintf("%s %s", e.Class, e.Rule)), style)
	}
	w.printf("}\n")
	return w.Flush()
}

var dotRole = map[Role]string{
	RoleAlert: ", style=filled, fillcolor=\"#ffd6d6\"", RoleEntry: ", style=filled, fillcolor=\"#ffe3b3\"",
	RolePath: ", style=filled, fillcolor=\"#eef2f7\"", RoleScope: "",
}

// dotQuote writes a DOT string: quotes and backslashes escaped, line feeds as
// \n, everything else as it is.
func dotQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
