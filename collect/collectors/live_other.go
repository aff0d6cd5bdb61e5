//go:build !linux

package collectors

import (
	"context"

	"github.com/exhibit-dfir/exhibit/collect"
)

// What asks a running Linux kernel. collect.OpenHost refuses on other
// systems, so that these are never called; they keep the shelf the same on
// all of them.
func notHere(context.Context, *collect.Host, collect.Taker) error { return collect.ErrUnsupported }

func expectProcesses(context.Context, *collect.Host) (collect.Expected, error) {
	return collect.Expected{}, collect.ErrUnsupported
}

func collectClocks(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectNetwork(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectProcesses(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectDeleted(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectKernel(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectMounts(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectSessions(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectBPF(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectTraffic(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectConntrack(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectNFTables(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectAudit(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectIPTables(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectMemory(ctx context.Context, _ MemoryOptions, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectCode(ctx context.Context, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func collectProcessMemory(ctx context.Context, _ ProcessMemoryOptions, h *collect.Host, out collect.Taker) error {
	return notHere(ctx, h, out)
}

func expectProcessMemory(context.Context, ProcessMemoryOptions, *collect.Host) (collect.Expected, error) {
	return collect.Expected{}, collect.ErrUnsupported
}
