package netlink

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Messages of nf_tables that read: none of them resets a counter.
const (
	nftNewTable = subsysNFTables << 8
	nftGetTable = nftNewTable + 1
	nftNewChain = nftNewTable + 3
	nftGetChain = nftNewTable + 4
	nftNewRule  = nftNewTable + 6
	nftGetRule  = nftNewTable + 7
	nftNewSet   = nftNewTable + 9
	nftGetSet   = nftNewTable + 10
	nftNewElem  = nftNewTable + 12
	nftGetElem  = nftNewTable + 13

	nftNewObj       = nftNewTable + 18
	nftGetObj       = nftNewTable + 19
	nftNewFlowtable = nftNewTable + 22
	nftGetFlowtable = nftNewTable + 23

	maxSets = 1 << 16
)

// nftDumps are the questions, in the order in which they are asked.
var nftDumps = []struct {
	what        string
	get, wanted uint16
	parse       func([]byte) (NFObject, bool)
}{
	{"tables", nftGetTable, nftNewTable, parseNFTable},
	{"chains", nftGetChain, nftNewChain, parseNFChain},
	{"rules", nftGetRule, nftNewRule, parseNFRule},
	{"objects", nftGetObj, nftNewObj, parseNFStateful},
	{"flow tables", nftGetFlowtable, nftNewFlowtable, parseNFFlowtable},
	{"sets", nftGetSet, nftNewSet, parseNFSet},
}

// NFTables hands on the nftables rule set of the caller's network namespace:
// tables, chains, rules in their order, stateful objects, flow tables, sets, and
// the elements of these. What was read is handed on when there is an error,
// too.
func NFTables(yield func(NFObject)) error {
	var errs []error
	var sets []NFObject
	unread := 0
	for i, q := range nftDumps {
		err := notThere(whole(unix.NETLINK_NETFILTER, q.get, q.wanted, nfRequest(unix.AF_UNSPEC), q.parse, func(o NFObject) {
			yield(o)
			switch {
			case o.Object == "set" && len(sets) < maxSets:
				sets = append(sets, NFObject{family: o.family, Table: o.Table, Name: o.Name})
			case o.Object == "set":
				unread++
			}
		}))
		switch {
		case i == 0 && errors.Is(err, ErrNotThere):
			return err
		case err != nil && !errors.Is(err, ErrNotThere): // of an older kernel, which has fewer kinds
			errs = append(errs, fmt.Errorf("%s: %w", q.what, err))
		}
	}
	for _, s := range sets {
		err := elements(s, yield)
		if err != nil && !errors.Is(err, unix.ENOENT) { // the set is gone
			errs = append(errs, fmt.Errorf("elements of set %q: %w", s.Name, err))
		}
	}
	if unread > 0 {
		errs = append(errs, fmt.Errorf("the elements of %d sets were not read: %d sets are the most", unread, maxSets))
	}
	return errors.Join(errs...)
}

// elements reads a set once: it may be large.
func elements(s NFObject, yield func(NFObject)) error {
	body := nfRequest(s.family)
	body = appendAttr(body, 1, append([]byte(s.Table), 0))
	body = appendAttr(body, 2, append([]byte(s.Name), 0))
	unread := 0
	err := dump(unix.NETLINK_NETFILTER, nftGetElem, nftNewElem, body, func(b []byte) {
		if !parseNFElements(b, yield) {
			unread++
		}
	})
	return errors.Join(err, unreadable(unread))
}
