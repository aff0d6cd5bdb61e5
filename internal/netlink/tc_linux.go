package netlink

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// TrafficControl lists the queueing disciplines of all interfaces, their
// classes and the filters on both. What was read is returned with the error.
func TrafficControl() ([]Traffic, error) {
	all, err := traffic(unix.RTM_GETQDISC, unix.RTM_NEWQDISC, "qdisc", 0, 0)
	if errors.Is(err, unix.EOPNOTSUPP) { // a kernel without CONFIG_NET_SCHED
		return nil, nil
	}
	errs := []error{err}
	type place struct{ iface, parent uint32 }
	var places []place
	known := map[place]bool{}
	var ifaces []uint32
	add := func(iface, parent uint32) {
		if p := (place{iface, parent}); parent != 0 && !known[p] && len(places) < maxTcParent {
			known[p] = true
			places = append(places, p)
		}
	}
	for _, q := range all {
		if !slices.Contains(ifaces, q.Iface) {
			ifaces = append(ifaces, q.Iface)
		}
		switch q.Parent {
		case tcIngress: // ingress and clsact: two places, of which ingress has the first
			add(q.Iface, clsactIn)
			add(q.Iface, clsactOut)
		default:
			add(q.Iface, q.Handle)
		}
		for _, block := range q.blocks {
			add(tcBlock, block)
		}
	}
	for _, iface := range ifaces {
		classes, err := traffic(unix.RTM_GETTCLASS, unix.RTM_NEWTCLASS, "class", iface, 0)
		errs = append(errs, err)
		for _, c := range classes {
			add(iface, c.Handle)
		}
		all = append(all, classes...)
	}
	seen := map[string]bool{}
	for _, p := range places {
		filters, err := traffic(unix.RTM_GETTFILTER, unix.RTM_NEWTFILTER, "filter", p.iface, p.parent)
		// Not every discipline and class can have filters.
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, err)
		}
		for _, f := range filters {
			// The place "ingress" has is that of the whole discipline: both
			// questions are answered with the same filters.
			key := fmt.Sprint(f.Iface, f.Block, f.Parent, f.Priority, f.Protocol, f.Chain, f.Handle, f.Kind)
			if !seen[key] && len(all) < maxTraffic {
				seen[key] = true
				all = append(all, f)
			}
		}
	}
	return all, errors.Join(errs...)
}

func traffic(get, wanted uint16, object string, iface, parent uint32) ([]Traffic, error) {
	list, err := whole(get, wanted, trafficRequest(iface, parent), func(b []byte) (Traffic, bool) { return parseTraffic(b, object) })
	if err != nil {
		err = fmt.Errorf("%s of interface %d: %w", object, iface, err)
	}
	return list, err
}
