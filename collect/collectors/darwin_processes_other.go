//go:build !darwin

package collectors

import (
	"context"

	"github.com/exhibit-dfir/exhibit/collect"
)

func collectDarwinProcesses(context.Context, *collect.Host, collect.Taker) error {
	return collect.ErrUnsupported
}
