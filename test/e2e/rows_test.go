package e2e

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/local"
)

// perParser is how many events of each parser are resolved at least, spread
// evenly; the first and the last of every item come on top.
const perParser = 1000

// row is an event with the bytes that some place of its item holds.
type row struct {
	ev   *timeline.Event
	off  int64
	rec  []byte   // the bytes at off
	more [][]byte // the other parts of a record, from attr spans
	data []byte   // the whole decoded item
}

// content is an item of a bundle, read and proven once.
type content struct {
	reader  *bundle.Reader
	item    evidence.Item
	decoded []byte
	events  []*timeline.Event // by place
}

// resolver turns rows of a timeline into proven bytes.
type resolver struct {
	t       *testing.T
	readers map[evidence.Digest]*bundle.Reader
	proven  map[string]bool
	firsts  map[string][]*content // items by the parser of their first event
}

// tally is what was done about one parser.
type tally struct{ events, resolved, shifted, twins int }

// everyRowResolves samples the rows of the case's timeline, resolves each to
// bytes that its seal proves, and has the parser's witness say whether these
// bytes support the row. Then it does the same with the bytes of the record
// beside it, which the witness must refuse: a test that cannot tell a record
// from its neighbour proves nothing about offsets. It returns the items.
func everyRowResolves(t *testing.T, l *lab, wanted []string) []*content {
	v := &resolver{t: t, readers: map[evidence.Digest]*bundle.Reader{}, proven: map[string]bool{}, firsts: map[string][]*content{}}
	for _, r := range l.bundles() {
		v.readers[r.Seal().ID] = r
	}
	items, tallies := v.load(l)
	for _, c := range items {
		for _, ev := range c.events[:1] {
			v.firsts[ev.Parser] = append(v.firsts[ev.Parser], c)
		}
	}
	step := map[string]int{}
	for name, y := range tallies {
		step[name] = max(y.events/perParser, 1)
	}
	for _, c := range items {
		for i, ev := range c.events {
			y := tallies[ev.Parser]
			if i != 0 && i != len(c.events)-1 && i%step[ev.Parser] != 0 {
				continue
			}
			y.resolved++
			v.resolve(c, i, y)
		}
	}
	for _, name := range wanted {
		switch y := tallies[name]; {
		case y == nil:
			t.Errorf("parser %s has no row: give it something to read here", name)
		case y.events > 1 && y.shifted == 0:
			t.Errorf("the witness of %s was never seen to refuse a record", name)
		}
	}
	for name, y := range tallies {
		t.Logf("%-18s %6d events, %5d resolved, %5d shifts detected, %d beside a twin", name, y.events, y.resolved, y.shifted, y.twins)
		if y.resolved == 0 {
			t.Errorf("no event of %s was checked", name)
		}
	}
	return items
}

// load reads the timeline and groups it by item, in the order of the places.
func (v *resolver) load(l *lab) ([]*content, map[string]*tally) {
	eng, err := local.Open(filepath.Join(l.dir, "timeline"), local.Options{})
	if err != nil {
		v.t.Fatal(err)
	}
	defer eng.Close()
	byName, tallies := map[string]*content{}, map[string]*tally{}
	var items []*content
	for ev, err := range eng.Events(v.t.Context(), timeline.Query{}, nil) {
		if err != nil {
			v.t.Fatal(err)
		}
		ref := ev.Ref()
		key := ref.Bundle.String() + ref.Member
		c := byName[key]
		if c == nil {
			c = v.open(ref)
			byName[key], items = c, append(items, c)
		}
		c.events = append(c.events, ev.Clone())
		if tallies[ev.Parser] == nil {
			tallies[ev.Parser] = &tally{}
		}
		tallies[ev.Parser].events++
	}
	for _, c := range items {
		slices.SortStableFunc(c.events, func(a, b *timeline.Event) int {
			return cmp.Or(cmp.Compare(a.RecOff, b.RecOff), cmp.Compare(a.RecLen, b.RecLen), cmp.Compare(a.Seq, b.Seq))
		})
	}
	return items, tallies
}

// open reads an item and, where it has a record of its own, checks that the
// record states these bytes. A manifest batch is proven line by line.
func (v *resolver) open(ref evidence.Ref) *content {
	v.t.Helper()
	r := v.readers[ref.Bundle]
	if r == nil {
		v.t.Fatalf("an event comes from bundle %s, which the case does not have", ref.Bundle)
	}
	c, err := r.Open(ref.Member)
	if err != nil {
		v.t.Fatal(err)
	}
	defer c.Close()
	raw, err := io.ReadAll(c)
	if err != nil {
		v.t.Fatalf("%s: %v", ref.Member, err)
	}
	out := &content{reader: r, decoded: raw}
	if leaf, err := r.Leaf(ref.Member); err == nil {
		if out.item, err = r.Item(leaf); err != nil {
			v.t.Fatal(err)
		}
		v.states(r, out.item, raw)
	}
	if ref.Chain == "" {
		return out
	}
	in, chain, err := analyze.Decode(bytes.NewReader(raw), int64(len(raw)))
	if err != nil || chain != ref.Chain {
		v.t.Fatalf("%s: decoded with %q, the event says %q: %v", ref.Member, chain, ref.Chain, err)
	}
	if out.decoded, err = io.ReadAll(in); err != nil {
		v.t.Fatalf("%s: %v", ref.Member, err)
	}
	return out
}

// states checks that the content line, which the Merkle proof covers, has the
// digest of these bytes and, for large items, the root over their blocks.
func (v *resolver) states(r *bundle.Reader, it evidence.Item, raw []byte) {
	v.t.Helper()
	proof, err := r.Prove(it.Index)
	if err == nil {
		err = proof.Verify(r.Seal())
	}
	if err != nil {
		v.t.Fatalf("%q: %v", it.Path, err)
	}
	var line struct {
		SHA256 string `json:"sha256"`
		Sums   string `json:"sums"`
		Size   int64  `json:"size"`
		Blk    struct {
			Size int    `json:"size"`
			Root string `json:"root"`
		} `json:"blk"`
	}
	if err := json.Unmarshal(proof.Content, &line); err != nil {
		v.t.Fatal(err)
	}
	stored := raw
	if line.Sums == "stored" {
		stored = withoutHoles(raw, it.Holes)
	}
	if sum := sha256.Sum256(stored); line.SHA256 != hex.EncodeToString(sum[:]) || line.Size != int64(len(raw)) {
		v.t.Errorf("%q: content of %d bytes has SHA-256 %x, its line says %s", it.Path, len(raw), sum, proof.Content)
	}
	if len(raw) >= bundle.BlockMin && line.Sums != "stored" {
		if root := blockRoot(raw, line.Blk.Size); root != line.Blk.Root {
			v.t.Errorf("%q: its blocks of %d bytes have root %s, its line says %s", it.Path, line.Blk.Size, root, line.Blk.Root)
		}
	}
	v.proven[r.Seal().ID.String()+fmt.Sprint(it.Index)] = true
}

func withoutHoles(raw []byte, holes []evidence.Extent) []byte {
	var out []byte
	at := int64(0)
	for _, h := range holes {
		out = append(out, raw[at:h.Offset]...)
		at = h.Offset + h.Length
	}
	return append(out, raw[at:]...)
}

// blockRoot is RFC 6962's tree over the digests of blocks, written from
// docs/format/bundle.md, section 6, and not with the code that is tested.
func blockRoot(raw []byte, size int) string {
	if size <= 0 {
		return "no block size"
	}
	var level [][]byte
	for block := range slices.Chunk(raw, size) {
		sum := sha256.Sum256(block)
		leaf := sha256.Sum256(append([]byte{0}, sum[:]...))
		level = append(level, leaf[:])
	}
	for len(level) > 1 {
		var up [][]byte
		for pair := range slices.Chunk(level, 2) {
			if len(pair) == 1 {
				up = append(up, pair[0])
				continue
			}
			node := sha256.Sum256(slices.Concat([]byte{1}, pair[0], pair[1]))
			up = append(up, node[:])
		}
		level = up
	}
	return hex.EncodeToString(level[0])
}

// at returns the row of an event as if its record lay at another's place.
func (c *content) at(ev, place *timeline.Event) (row, error) {
	off, n := place.RecOff, place.RecLen
	if off < 0 || n <= 0 || off+n > int64(len(c.decoded)) {
		return row{}, fmt.Errorf("the event points at %d+%d of %d bytes", off, n, len(c.decoded))
	}
	r := row{ev: ev, off: off, rec: c.decoded[off : off+n], data: c.decoded}
	spans, _ := ev.Attr("spans")
	for span := range strings.SplitSeq(spans, ",") {
		var at, length int64
		if n, err := fmt.Sscanf(span, "%d+%d", &at, &length); n != 2 || err != nil {
			continue
		}
		if at < 0 || length <= 0 || at+length > int64(len(c.decoded)) {
			return row{}, fmt.Errorf("span %q lies outside of %d bytes", span, len(c.decoded))
		}
		r.more = append(r.more, c.decoded[at:at+length])
	}
	return r, nil
}

// resolve checks the i-th event of an item: its bytes support it, its
// neighbour's do not, and its leaf is proven.
func (v *resolver) resolve(c *content, i int, y *tally) {
	ev := c.events[i]
	speak := witnesses[ev.Parser]
	if speak == nil {
		v.t.Errorf("parser %s has no witness: say in witnesses how its bytes support its rows", ev.Parser)
		return
	}
	r, err := c.at(ev, ev)
	if err == nil {
		err = speak(r)
	}
	if err != nil {
		v.t.Errorf("%s: %q at %d+%d of %q is not supported: %v\n%.160q", ev.Parser, ev.Message, ev.RecOff, ev.RecLen, ev.Source.Path, err, r.rec)
		return
	}
	if beside, other := v.neighbour(c, i); other != nil {
		shifted, err := beside.at(ev, other)
		switch {
		case err != nil:
			v.t.Error(err)
		case speak(shifted) != nil:
			y.shifted++
		case twins(ev, other):
			y.twins++
		default:
			v.t.Errorf("%s: the bytes of %q pass for those of %q", ev.Parser, other.Message, ev.Message)
		}
	}
	v.prove(c, ev)
}

// neighbour returns an event of the record beside that of the i-th event; of
// items that are one record each, one of another item.
func (v *resolver) neighbour(c *content, i int) (*content, *timeline.Event) {
	if other := c.neighbour(i); other != nil {
		return c, other
	}
	if _, spans := c.events[i].Attr("spans"); spans {
		return nil, nil
	}
	for _, beside := range v.firsts[c.events[i].Parser] {
		if beside != c {
			return beside, beside.events[0]
		}
	}
	return nil, nil
}

// neighbour returns an event of the record beside that of the i-th event.
func (c *content) neighbour(i int) *timeline.Event {
	ev := c.events[i]
	for _, other := range c.events[i:] {
		if other.RecOff != ev.RecOff {
			return other
		}
	}
	for _, other := range slices.Backward(c.events[:i]) {
		if other.RecOff != ev.RecOff {
			return other
		}
	}
	return nil
}

// twins reports whether two records say the same: then nothing can tell which
// of them an event was read from.
func twins(a, b *timeline.Event) bool {
	return a.TS == b.TS && a.TSRaw == b.TSRaw && a.Message == b.Message && a.PID == b.PID && a.File == b.File
}

// prove checks the Merkle proof of the record that an event rests on.
func (v *resolver) prove(c *content, ev *timeline.Event) {
	leaf, err := c.reader.LeafAt(ev.Source.Member, ev.RecOff)
	if err != nil {
		v.t.Errorf("%s: %v", ev.Parser, err)
		return
	}
	key := c.reader.Seal().ID.String() + fmt.Sprint(leaf)
	if v.proven[key] {
		return
	}
	v.proven[key] = true
	proof, err := c.reader.Prove(leaf)
	if err == nil {
		err = proof.Verify(c.reader.Seal())
	}
	if err != nil {
		v.t.Errorf("%s: leaf %d: %v", ev.Parser, leaf, err)
		return
	}
	// A row of the manifest itself: the line it names is the one proven.
	if c.item.Member == "" {
		line := c.decoded[ev.RecOff : ev.RecOff+ev.RecLen]
		if !bytes.Equal(line, proof.Content) && !bytes.Equal(line, proof.Meta) {
			v.t.Errorf("%s: leaf %d proves another line than %.200q", ev.Parser, leaf, line)
		}
	}
}
