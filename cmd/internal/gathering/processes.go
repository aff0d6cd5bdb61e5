package gathering

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
)

// chosenProcesses are the choices of --process-memory, each once.
func chosenProcesses(c *cli.Context) []string {
	var list []string
	for _, text := range c.StringSlice("process-memory") {
		for which := range strings.SplitSeq(text, ",") {
			if which = strings.TrimSpace(which); !slices.Contains(list, which) {
				list = append(list, which)
			}
		}
	}
	return list
}

// processText says whose memory is taken, for header and order.
func processText(c *cli.Context) string {
	list := chosenProcesses(c)
	switch {
	case len(list) == 0:
		return ""
	case c.Bool("freeze"):
		return frozenIn + strings.Join(list, ",")
	}
	return processesIn + strings.Join(list, ",")
}

// withProcesses adds the acquisition of the memory of processes when it was
// asked for.
func withProcesses(c *cli.Context, all []collect.Collector) ([]collect.Collector, error) {
	list := chosenProcesses(c)
	if len(list) == 0 {
		if c.Bool("freeze") {
			return nil, command.Failf(command.Usage, "say whose memory: --process-memory PID|NAME|finding", "--freeze stops processes whose memory is taken, and none is")
		}
		return all, nil
	}
	for _, which := range list {
		if err := collectors.CheckSelection(which); err != nil {
			return nil, command.Fail(command.Usage, "write --process-memory 412, --process-memory sshd or --process-memory finding", err)
		}
	}
	return append(all, collectors.ProcessMemory(collectors.ProcessMemoryOptions{Which: list, Freeze: c.Bool("freeze")})), nil
}

// takeProcesses sets the flags from what an order says of processes, and
// returns the rest of its text.
func takeProcesses(c *cli.Context, text string) (rest string, err error) {
	rest, list, some := strings.Cut(text, processesIn)
	freeze := false
	if !some {
		rest, list, freeze = strings.Cut(text, frozenIn)
	}
	if !some && !freeze || c.IsSet("process-memory") {
		return rest, nil
	}
	if err := c.Set("process-memory", list); err != nil {
		return rest, err
	}
	if c.IsSet("freeze") {
		return rest, nil
	}
	return rest, c.Set("freeze", strconv.FormatBool(freeze))
}

// resumeProcesses takes over whose memory the interrupted run took. After a
// restart the same numbers mean other processes, so that they have to be
// chosen anew.
func resumeProcesses(c *cli.Context, h *bundle.Header, name string) error {
	if !slices.Contains(strings.Split(h.Options["collectors"], ","), collectors.ProcessMemoryName) || c.IsSet("process-memory") {
		return nil
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || strings.TrimSpace(string(boot)) != h.Host.BootID {
		return command.Failf(command.Usage, "say whose memory now: --process-memory PID|NAME|finding", "%s has memory of processes, and this is another boot", name)
	}
	text, _, _ := strings.Cut(h.Profile, artifactsIn)
	_, err = takeProcesses(c, text)
	return err
}
