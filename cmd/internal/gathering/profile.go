package gathering

import (
	"github.com/exhibit-dfir/exhibit/collect"
)

// Profile is a selection of collectors under a name. docs/collecting.md says
// what each costs.
type Profile struct {
	Name string   `json:"name"`
	Doc  string   `json:"doc"`
	Tier []Tiers  `json:"-"`
	Also []string `json:"-"` // collectors beside those of the tiers
}

// Tiers are the tiers from one to another.
type Tiers struct{ From, To collect.Tier }

// Profiles are all there are, the smallest first.
var Profiles = []Profile{
	{Name: "network", Doc: "clocks, network state, processes and what only they still hold", Tier: []Tiers{{collect.TierClocks, collect.TierProcesses}}},
	{Name: "volatile", Doc: "all that is gone after a restart: network, and kernel, mounts and sessions", Tier: []Tiers{{collect.TierClocks, collect.TierSessions}}},
	{Name: "logs", Doc: "clocks, mounts, and logs and temporary files", Tier: []Tiers{{collect.TierClocks, collect.TierClocks}, {collect.TierLogs, collect.TierLogs}}, Also: []string{"linux_mounts"}},
	{Name: "triage", Doc: "volatile, and logs, persistence and traces of users", Tier: []Tiers{{collect.TierClocks, collect.TierUsers}}},
	{Name: "full", Doc: "triage, and the walk of the whole file system", Tier: []Tiers{{collect.TierClocks, collect.TierFiles}}},
}

// profileNamed finds a profile.
func profileNamed(name string) (*Profile, bool) {
	for i := range Profiles {
		if Profiles[i].Name == name {
			return &Profiles[i], true
		}
	}
	return nil, false
}

// Of returns those of the collectors that the profile has.
func (p *Profile) Of(all []collect.Collector) []collect.Collector {
	var out []collect.Collector
	for _, c := range all {
		if p.has(c) {
			out = append(out, c)
		}
	}
	return out
}

func (p *Profile) has(c collect.Collector) bool {
	for _, t := range p.Tier {
		if c.Tier >= t.From && c.Tier <= t.To {
			return true
		}
	}
	for _, name := range p.Also {
		if c.Name == name {
			return true
		}
	}
	return false
}
