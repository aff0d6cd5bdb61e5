//go:build !linux

package main

import (
	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
)

func noImages() error {
	return command.Failf(command.Failure, "do it on a Linux machine", "images are read by the Linux kernel")
}

func collectImage(*cli.Context, func(string) error) error { return noImages() }

func volumesCommand() *cli.Command {
	return &cli.Command{Name: "volumes", Usage: "what a disk image is divided into (on Linux)", Category: catCollect, Action: func(*cli.Context) error { return noImages() }}
}
