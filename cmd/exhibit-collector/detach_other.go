//go:build !linux && !darwin && !freebsd

package main

import (
	"os"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
)

// detach is for systems with sessions.
func detach(*cli.Context, *result, string) error {
	return command.Failf(command.Usage, "give it a time limit, --max-time 9m, or start it with the system's own means, such as Start-Process", "--detach is not for this system")
}

func starter() *os.File { return nil }

// held cannot tell: what is running is not known.
func held(*os.File) (bool, error) { return false, nil }
