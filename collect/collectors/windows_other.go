//go:build !windows

package collectors

import (
	"context"

	"github.com/exhibit-dfir/exhibit/collect"
)

// What asks a running Windows. The engine leaves these out on other systems;
// they keep the shelf the same on all of them.
func collectWindowsProcesses(context.Context, *collect.Host, collect.Taker) error {
	return collect.ErrUnsupported
}

func collectWindowsSockets(context.Context, *collect.Host, collect.Taker) error {
	return collect.ErrUnsupported
}

func collectWindowsUsers(context.Context, *collect.Host, collect.Taker) error {
	return collect.ErrUnsupported
}

func collectWindowsServices(context.Context, *collect.Host, collect.Taker) error {
	return collect.ErrUnsupported
}
