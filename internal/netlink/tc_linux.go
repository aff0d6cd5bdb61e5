package netlink

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// maxPlaces bounds the interfaces, disciplines and classes that are asked for
// their filters.
const maxPlaces = 1 << 16

// tcPlace is where filters are: a discipline or class of an interface, or a
// block that several share.
type tcPlace struct{ iface, parent uint32 }

// tcPlaces lists them once each, in the order in which they were met.
type tcPlaces struct {
	list  []tcPlace
	known map[tcPlace]bool
	lost  int
}

func (p *tcPlaces) add(iface, parent uint32) {
	at := tcPlace{iface, parent}
	switch {
	case p.known[at]:
	case len(p.list) >= maxPlaces:
		p.lost++
	default:
		p.known[at] = true
		p.list = append(p.list, at)
	}
}

// of adds the places of a discipline.
func (p *tcPlaces) of(q Traffic) {
	switch {
	case q.Parent == tcIngress && q.Kind == "ingress": // whichever is asked for, the answer is the same
		p.add(q.Iface, clsactIn)
	case q.Parent == tcIngress:
		p.add(q.Iface, clsactIn)
		p.add(q.Iface, clsactOut)
	case q.Handle != 0: // the kernel's own default has none, and no filters
		p.add(q.Iface, q.Handle)
	}
	for _, block := range q.blocks {
		p.add(tcBlock, block)
	}
}

// TrafficControl hands on the queueing disciplines of all interfaces, their
// classes and the filters on both. What was read is handed on when there is an
// error, too.
func TrafficControl(yield func(Traffic)) error {
	ifaces, places := tcPlaces{known: map[tcPlace]bool{}}, tcPlaces{known: map[tcPlace]bool{}}
	err := traffic(unix.RTM_GETQDISC, unix.RTM_NEWQDISC, "qdisc", tcPlace{}, func(q Traffic) {
		ifaces.add(q.Iface, 0)
		places.of(q)
		yield(q)
	})
	if errors.Is(err, unix.EOPNOTSUPP) { // a kernel without CONFIG_NET_SCHED
		return notThere(err)
	}
	errs := []error{err}
	for _, i := range ifaces.list {
		errs = append(errs, traffic(unix.RTM_GETTCLASS, unix.RTM_NEWTCLASS, "class", i, func(c Traffic) {
			if c.Handle != 0 {
				places.add(c.Iface, c.Handle)
			}
			yield(c)
		}))
	}
	for _, p := range places.list {
		err := traffic(unix.RTM_GETTFILTER, unix.RTM_NEWTFILTER, "filter", p, func(f Traffic) {
			// Those of a block are in the answer of each interface that shares
			// it, and in that of the block.
			if f.Block == 0 || p.iface == tcBlock {
				yield(f)
			}
		})
		// Not every discipline and class can have filters.
		if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, err)
		}
	}
	if lost := ifaces.lost + places.lost; lost > 0 {
		errs = append(errs, fmt.Errorf("%d interfaces, disciplines and classes were not asked for filters: %d are the most", lost, maxPlaces))
	}
	return errors.Join(errs...)
}

func traffic(get, wanted uint16, object string, at tcPlace, yield func(Traffic)) error {
	err := whole(unix.NETLINK_ROUTE, get, wanted, trafficRequest(at.iface, at.parent),
		func(b []byte) (Traffic, bool) { return parseTraffic(b, object) }, yield)
	if err != nil {
		return fmt.Errorf("%s of interface %d: %w", object, at.iface, err)
	}
	return nil
}
