// Package sink is where the stream of a collection goes when that is not
// standard output: which places on this host may be written to at all, and
// how a stream reaches another machine over a link that breaks.
//
// A stream is sent in chunks. A chunk is acknowledged when the far side says
// that it holds it; until then it stays in memory, so that a broken link costs
// time and no bytes. Where the link stays dead, what was not acknowledged and
// all that follows goes into a local file, if one was allowed, beside a
// statement that says how to join both halves (docs/sinks.md).
package sink
