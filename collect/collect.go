// Package collect gathers evidence from a host that is not trusted: the running
// system, or one mounted below a folder. It runs collectors in the order
// of volatility, each under a deadline, and records an outcome for everything
// that was looked for. It starts no other program.
package collect

import (
	"context"
	"io"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Tier orders collectors by volatility, after RFC 3227: lower runs first.
type Tier int

// The tiers, in the order in which they run. TierAlongside starts with the
// first and ends with the last.
const (
	TierClocks      Tier = iota // clocks and the collector itself
	TierNetwork                 // sockets, neighbours, routes
	TierProcesses               // processes and what only they still hold
	TierKernel                  // modules, taint, parameters
	TierMemory                  // main memory
	TierSessions                // mounts and sessions
	TierLogs                    // temporary and rotating files
	TierPersistence             // what starts again by itself
	TierUsers                   // accounts and what people left
	TierFiles                   // the whole file system
	TierAlongside               // packet capture
)

// Collector is one unit of collection: a struct value on the shelf in
// collect/collectors.
type Collector struct {
	Name     string        // lower case, underscores, first the system it is for if it is for one: linux_processes
	Doc      string        // one line
	Tier     Tier          // when it runs
	Live     bool          // needs a running host; left out, with a record, under --root
	Deadline time.Duration // 0: the engine's default
	Run      func(ctx context.Context, h *Host, out Taker) error
	// Secret looks at the content of a small regular file (smallFile) before
	// it is taken. leave: the file is recorded as skipped, with detail, and its
	// content stays on the host. detail alone is recorded with the content.
	// nil: everything is taken.
	Secret func(content []byte) (leave bool, detail string)
	// Expect tells, of a collector that needs a running host, what Run would
	// take, by names and metadata alone; nil: that cannot be told.
	Expect func(ctx context.Context, h *Host) (Expected, error)
}

// Taker is where a collector puts what it found. All methods are safe for
// concurrent use. They return an error only when the run must end (sink
// failed, cancelled): a file that cannot be read is a record, not an error.
type Taker interface {
	// File takes a path of the host, whatever it is: content of a regular
	// file, target of a link, metadata of the rest, or the reason why not.
	// rule names the definition that asked for it.
	File(ctx context.Context, path, rule string) error
	// Stream takes content that is not a file of the host, of a length that
	// need not be known (it.Size -1). it.Path is the collector's name for it.
	Stream(ctx context.Context, it evidence.Item, r io.Reader) error
	// Open takes an open file (a deleted executable, a memfd) under the
	// name it.Path, holes and short reads recorded.
	Open(ctx context.Context, it evidence.Item, f ReaderAt) error
	// Note takes an item without content: a negative record or metadata.
	Note(ctx context.Context, it evidence.Item) error
	// Seen adds to the ledger how a definition went: how many paths matched.
	Seen(rule string, matched int)
	// Went is Seen for a definition of which the collector knows more:
	// outcome overrules what the records under the rule say, "" does not, and
	// detail says why.
	Went(rule string, matched int, outcome Outcome, detail string)
	// Problem records evidence that was lost.
	Problem(p evidence.Problem)
}

// ReaderAt is an open file as a Taker reads it. *os.File is one.
type ReaderAt interface {
	io.Reader
	io.ReaderAt
	Fd() uintptr
}
