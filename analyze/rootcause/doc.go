// Package rootcause answers "why": from an alert it walks the causes of what
// happened back to where somebody came in, and tells the way forward from
// there in sentences that cite events.
//
// The method follows the literature on provenance graphs (King and Chen,
// Backtracking Intrusions, 2003; PrioTracker, 2018; NoDoze, 2019; DepImpact,
// 2022) over what logs, audit records, packet captures and file times state.
// Every edge comes from a rule of the table in rules.go and has one of three
// classes: stated by one record (A), an exact join of records (B), or inferred
// from time and names (C). There is no model and no learning: the same events
// and options give the same bytes.
//
// The events are read in two streaming passes into a compact index (about 170
// bytes per retained event, at most Options.MaxFacts of them); nothing is
// asked of the store afterwards but the events that are cited. Targeted
// queries per step were the alternative: a walk asks several hundred
// questions, and at 20 million rows each costs as much as a good part of a
// pass.
package rootcause
