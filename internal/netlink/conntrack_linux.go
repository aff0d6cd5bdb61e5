package netlink

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrNotThere says that the kernel was built without, or has not loaded, what
// was asked for.
var ErrNotThere = errors.New("the kernel does not have it")

// Flows hands on the connections that netfilter tracks in the caller's
// network namespace. ErrInterrupted says that some may have been missed or
// handed on twice: the table may be too large to be read again.
func Flows(yield func(Flow)) error {
	unread := 0
	err := dump(unix.NETLINK_NETFILTER, conntrackGet, conntrackNew, nfRequest(unix.AF_UNSPEC), reader(parseFlow, yield, &unread))
	return errors.Join(notThere(err), unreadable(unread))
}

func notThere(err error) error {
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("%w: %w", ErrNotThere, err)
	}
	return err
}
