// Package duckdb holds the timeline store to the answers of an independent
// engine: DuckDB reads the same Parquet segments, and random conditions are
// put to both, written as SQL for the one. It is a module of its own because
// DuckDB needs a C compiler, which nothing else here does.
package duckdb
