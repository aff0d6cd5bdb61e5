package collectors

import "github.com/exhibit-dfir/exhibit/collect"

// linuxClocks writes live/self.jsonl: one record.SelfRecord. Together with
// the readings that the engine takes first and last it says how far the
// host's clock can be trusted.
var linuxClocks = register(collect.Collector{
	Name: "linux_clocks",
	Doc:  "Clocks and their quality, and the run itself: boot id, machine id, kernel, privileges, namespaces",
	Tier: collect.TierClocks,
	Live: true,
	Run:  collectClocks,
})
