package bundle

import (
	"fmt"
	"slices"
	"strings"
)

// Link is one bundle of several that may continue each other.
type Link struct {
	Name      string
	Seal      string // its seal id
	Continues string // seal id of the one before it; "" where it begins
	Unknown   bool   // not opened or not intact: what it continues cannot be believed
}

// States of a chain.
const (
	ChainHolds     = "holds"     // each names the one before it, all are there, in this order
	ChainReordered = "reordered" // all are there, named in another order
	ChainMissing   = "missing"   // one that another continues is not there
	ChainForked    = "forked"    // two continue the same one
	ChainUnknown   = "unknown"   // of one it is not known what it continues
)

// Chain says how several bundles continue each other.
type Chain struct {
	State     string   `json:"state"`
	Order     []string `json:"order"` // names, each behind the one it continues
	Missing   []string `json:"missing,omitempty"`
	Forked    []string `json:"forked,omitempty"`
	Sentences []string `json:"sentences"`
}

// CheckChain looks at bundles in the order in which somebody gave them. It
// returns nil where none continues another: then there is no chain. That no
// further bundle follows the last, it cannot say: nobody signs for the future.
func CheckChain(links []Link) *Chain {
	links = slices.Clone(links)
	linked := false
	at := map[string]int{}
	for i, l := range links {
		if l.Unknown {
			links[i].Continues = ""
		}
		linked = linked || links[i].Continues != ""
		if _, twice := at[l.Seal]; !twice && l.Seal != "" {
			at[l.Seal] = i
		}
	}
	if len(links) < 2 || !linked {
		return nil
	}
	c := &Chain{State: ChainHolds}
	next := map[int][]int{} // by predecessor; -1 for those that have none here
	for i, l := range links {
		before, there := at[l.Continues]
		switch {
		case l.Continues == "" || there && before == i:
			before = -1
		case !there:
			before = -1
			c.Missing = append(c.Missing, l.Continues)
			c.say("%s continues a bundle with seal %s, which is missing here.", l.Name, shortSeal(l.Continues))
		}
		next[before] = append(next[before], i)
	}
	var order []int
	seen := make([]bool, len(links))
	var follow func(i int)
	follow = func(i int) {
		for i >= 0 && !seen[i] {
			seen[i] = true
			order = append(order, i)
			after := next[i]
			if len(after) == 0 {
				return
			}
			if len(after) > 1 {
				var names []string
				for _, k := range after {
					names = append(names, links[k].Name)
				}
				c.Forked = append(c.Forked, links[i].Name)
				c.say("%s all say that they continue %s: no more than one of them is its continuation.", strings.Join(names, " and "), links[i].Name)
				for _, k := range after[1:] {
					follow(k)
				}
			}
			i = after[0]
		}
	}
	for _, i := range next[-1] {
		follow(i)
	}
	for i := range links {
		follow(i) // bundles that name each other in a circle, which no hash allows
	}
	c.judge(links, order)
	return c
}

func (c *Chain) judge(links []Link, order []int) {
	given, unknown := true, 0
	for n, i := range order {
		c.Order = append(c.Order, links[i].Name)
		given = given && (n == 0 || links[i].Continues == "" || order[n-1] < i)
		if links[i].Unknown {
			unknown++
			c.say("%s was not opened or is not intact: what it continues is not known.", links[i].Name)
		}
	}
	switch {
	case len(c.Forked) > 0:
		c.State = ChainForked
	case len(c.Missing) > 0:
		c.State = ChainMissing
	case unknown > 0:
		c.State = ChainUnknown
	case !given:
		c.State = ChainReordered
		c.say("All parts are there, but not in this order. They continue each other as: %s.", strings.Join(c.Order, ", "))
	default:
		c.say("Each of these bundles names the seal of the one it continues, and none is missing between them.")
	}
	c.say("Whether another bundle follows the last, nothing here can say.")
}

func (c *Chain) say(format string, args ...any) {
	c.Sentences = append(c.Sentences, fmt.Sprintf(format, args...))
}

// shortSeal is the start of a seal id as a sentence names it.
func shortSeal(id string) string { return id[:min(len(id), 16)] + "…" }
