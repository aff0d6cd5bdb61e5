package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/disk"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// inNamespace is set for the second life of a process that collects an image:
// in a mount namespace of its own, which ends with it, so that no mount is left
// whatever happens.
const inNamespace = "EXHIBIT_IMAGE_NAMESPACE"

// collectImage collects the system on a disk image.
func collectImage(c *cli.Context, collect func(origin string) error) error {
	if c.IsSet("root") {
		return command.Failf(command.Usage, "give one of them", "--image and --root name two systems")
	}
	number := -1
	if text := c.String("volume"); text != "" {
		var err error
		if number, err = strconv.Atoi(text); err != nil || number < 0 {
			return command.Failf(command.Usage, "exhibit volumes IMAGE lists them", "%q is no number of a volume", text)
		}
	}
	if os.Geteuid() != 0 {
		return command.Fail(command.Privilege, "run it as root: sudo exhibit collect --image …", disk.ErrPrivileges)
	}
	if os.Getenv(inNamespace) == "" {
		return again()
	}
	d, err := disk.Open(c.Context, c.String("image"))
	if err != nil {
		return imageError(err)
	}
	err = mounted(c, d, number, collect)
	return errors.Join(err, d.Close())
}

// mounted collects the system of an open image.
func mounted(c *cli.Context, d *disk.Disk, number int, collect func(origin string) error) error {
	root, list, problems, err := d.MountSystem(number)
	if err != nil {
		return imageError(err)
	}
	origin := []string{fmt.Sprintf("image %s, %s, %d bytes", d.Path, d.Form, d.Size)}
	for _, m := range list {
		origin = append(origin, fmt.Sprintf("volume %d (%s) at %s, %s", m.Number, m.Type, m.At, m.Options))
	}
	for _, p := range problems {
		origin = append(origin, "not mounted: "+p.Error())
		fmt.Fprintf(c.App.ErrWriter, "exhibit: %s\n", term.Escape(p.Error()))
	}
	if err := c.Set("root", root); err != nil {
		return err
	}
	err = collect(strings.Join(origin, "; "))
	if err == nil && len(problems) > 0 {
		err = command.Exit(command.Partial)
	}
	return err
}

// imageError says what to do.
func imageError(err error) error {
	hint := "exhibit volumes IMAGE lists what is on it; docs/dead-systems.md has recipes for the rest"
	switch {
	case errors.Is(err, disk.ErrTool):
		hint = "install it, or convert the image to a raw one with what made it"
	case errors.Is(err, disk.ErrNoSystem):
		hint = "choose one with --volume: exhibit volumes IMAGE lists them"
	}
	return command.Fail(command.Failure, hint, err)
}

// again runs this program once more, in a mount namespace of its own.
func again() error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(own, os.Args[1:]...) //nolint:gosec // ourselves
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	runtime.LockOSThread() // the other process ends with the thread that made it
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return err
	}
	// Ctrl-C reaches both; what is sent to us alone is passed on.
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(ch)
	go func() {
		for s := range ch {
			_ = cmd.Process.Signal(s) //nolint:errcheck // it may have ended
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return command.Exit(exit.ExitCode())
	}
	return err
}

func volumesCommand() *cli.Command {
	return &cli.Command{
		Name: "volumes", Usage: "what a disk image is divided into", ArgsUsage: "IMAGE", Category: catCollect,
		Description: "Example:\n   sudo exhibit volumes disk.E01\n\nRaw images need no root; others are read by way of qemu-storage-daemon or ewfmount.",
		Action:      runVolumes,
	}
}

func runVolumes(c *cli.Context) error {
	if c.NArg() != 1 {
		return command.Failf(command.Usage, "see: exhibit volumes --help", "volumes takes one image")
	}
	path := c.Args().First()
	list, err := volumesOf(c, path)
	if err != nil {
		return imageError(err)
	}
	if list == nil {
		if os.Geteuid() != 0 {
			return command.Fail(command.Privilege, "run it as root: sudo exhibit volumes …", disk.ErrPrivileges)
		}
		if os.Getenv(inNamespace) == "" {
			return again()
		}
		d, err := disk.Open(c.Context, path)
		if err != nil {
			return imageError(err)
		}
		list = d.Volumes
		if err := d.Close(); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		for _, v := range list {
			if err := command.JSON(c.App.Writer, v); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Fprintf(c.App.Writer, "%6s  %14s  %10s  %-10s  %-36s  %s\n", "VOLUME", "OFFSET", "SIZE", "HOLDS", "UUID", "LABEL")
	for _, v := range list {
		fmt.Fprintf(c.App.Writer, "%6d  %14d  %10s  %-10s  %-36s  %s\n", v.Number, v.Offset, term.Size(v.Size), v.Kind, v.UUID, term.Escape(v.Label))
	}
	return nil
}

// volumesOf reads a raw image; nil where it is of another form.
func volumesOf(_ *cli.Context, path string) ([]disk.Volume, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if disk.FormOf(f) != disk.Raw {
		return nil, nil
	}
	size, err := f.Seek(0, 2)
	if err != nil {
		return nil, err
	}
	return disk.Volumes(f, size)
}
