// Package collectors is the shelf of what can be collected: one file per
// collector, each a collect.Collector value. Adding one is adding a file with
// `var linuxX = register(collect.Collector{…})` and its test.
package collectors

import (
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
)

var shelf []collect.Collector

// register puts a collector on the shelf, one that leaves private keys where
// they are. Two of one name are a mistake of the program, found by the first
// test that runs.
func register(c collect.Collector) collect.Collector {
	c.Secret = leaveKeys
	for _, other := range shelf {
		if other.Name == c.Name {
			panic("two collectors named " + c.Name)
		}
	}
	shelf = append(shelf, c)
	return c
}

// All returns every collector in the order in which they run: by tier, within
// a tier by name. The caller owns the slice.
func All() []collect.Collector {
	all := slices.Clone(shelf)
	slices.SortFunc(all, func(a, b collect.Collector) int {
		if a.Tier != b.Tier {
			return int(a.Tier - b.Tier)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all
}
