// Package analyze turns the items of an evidence container into events.
//
// It knows three extension shapes, all struct values: Parser reads one item,
// Detector looks at events, and Evidence is whatever holds items. It never
// sees a bundle: a bundle, a folder and a test literal are all Evidence.
package analyze

import (
	"context"
	"iter"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Evidence is a container of items.
type Evidence interface {
	// Items yields every item, manifests of the container included.
	Items() iter.Seq2[evidence.Item, error]
	// Open returns the content of the item with that Member name.
	Open(member string) (evidence.Content, error)
}

// Parser reads one kind of item. A parser is a value registered on a shelf;
// adding one is one file, its test and its samples.
type Parser struct {
	Name    string   // lower case, underscores: linux_utmp
	Doc     string   // one line
	Version int      // raised whenever the output changes for some input
	Family  string   // segment directory: text, journal, audit, utmp, fs, net, live, history, package, state
	Types   []string // data types it may emit

	// Match decides from the item and the first bytes of its decoded content
	// (at most HeadSize) whether this parser reads it. Content first, path
	// second: a name alone proves nothing on a hostile host.
	Match func(it *evidence.Item, head []byte) bool

	// Beside, where not nil, names the path of a second file without which an
	// item at path cannot be read. The engine finds it in the same evidence.
	Beside func(path string) string

	// Parse reads the source and appends events. Damage is a Problem on out,
	// not an error: report it, resynchronise, go on. An error or panic ends
	// this item only.
	Parse func(ctx context.Context, src *Source, out *timeline.Appender) error
}

// HeadSize is how much decoded content Parser.Match may look at.
const HeadSize = 64 << 10

// Finding is what a Detector says about events.
type Finding struct {
	Detector string
	Level    string // informational, low, medium, high, critical
	Title    string
	Events   []timeline.ID
}

// Detector looks at every event once, in batches of one source each.
type Detector interface {
	Detect(ctx context.Context, b *timeline.Batch, found func(Finding) error) error
}
