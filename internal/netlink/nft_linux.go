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
	maxSets     = 1 << 16
)

// NFTables hands on the nftables rule set of the caller's network namespace:
// tables, chains, rules in their order, sets and their elements. What was read
// is handed on when there is an error, too.
func NFTables(yield func(NFObject)) error {
	var errs []error
	ask := func(what string, get, wanted uint16, parse func([]byte) (NFObject, bool)) []NFObject {
		var list []NFObject
		var err error
		for range maxTries {
			list = nil
			err = dump(unix.NETLINK_NETFILTER, get, wanted, nfRequest(unix.AF_UNSPEC), func(b []byte) {
				if o, ok := parse(b); ok {
					list = append(list, o)
				}
			})
			if !errors.Is(err, ErrInterrupted) {
				break
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, notThere(err)))
		}
		return list
	}
	tables := ask("tables", nftGetTable, nftNewTable, parseNFTable)
	if len(errs) > 0 && errors.Is(errs[0], ErrNotThere) {
		return errs[0]
	}
	for _, o := range tables {
		yield(o)
	}
	for _, o := range ask("chains", nftGetChain, nftNewChain, parseNFChain) {
		yield(o)
	}
	for _, o := range ask("rules", nftGetRule, nftNewRule, parseNFRule) {
		yield(o)
	}
	sets := ask("sets", nftGetSet, nftNewSet, parseNFSet)
	for i, s := range sets {
		yield(s)
		if i >= maxSets {
			errs = append(errs, fmt.Errorf("the elements of %d sets were not read: %d are the most", len(sets)-i, maxSets))
			break
		}
		err := elements(s, yield)
		if err != nil && !errors.Is(err, unix.ENOENT) { // the set is gone
			errs = append(errs, fmt.Errorf("elements of set %q: %w", s.Name, err))
		}
	}
	return errors.Join(errs...)
}

// elements reads a set once: it may be large.
func elements(s NFObject, yield func(NFObject)) error {
	body := nfRequest(s.family)
	body = appendAttr(body, 1, append([]byte(s.Table), 0))
	body = appendAttr(body, 2, append([]byte(s.Name), 0))
	return dump(unix.NETLINK_NETFILTER, nftGetElem, nftNewElem, body, func(b []byte) { parseNFElements(b, yield) })
}
