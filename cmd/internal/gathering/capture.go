package gathering

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/internal/pcapfilter"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// captureFlags are the flags of a packet capture.
func captureFlags() []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{Name: "capture", Usage: "also capture network traffic for at most this `TIME`, for example 30s", DefaultText: "no capture"},
		&cli.StringSliceFlag{Name: "interface", Usage: "capture on this `INTERFACE` only (repeatable)"},
		&cli.StringFlag{Name: "capture-filter", Usage: "capture only packets that match `TEXT`, as in tcpdump: 'tcp port 443 and not host 192.0.2.1'"},
		&cli.StringFlag{Name: "capture-filter-ddd", Usage: "capture only packets that the program in `FILE` keeps, as tcpdump -ddd prints it"},
		&cli.BoolFlag{Name: "promiscuous", Usage: "capture what is addressed to others, too; wants --interface"},
		&cli.StringFlag{Name: "capture-max-size", Usage: "end the capture at this `SIZE`", DefaultText: "256M"},
		&cli.StringFlag{Name: "capture-rotate", Usage: "begin another capture file at this `SIZE|DURATION`, for example 64M or 5m (minutes)", DefaultText: "one file"},
	}
}

// Least sizes of what a capture is cut into: every file is an item of the
// bundle.
const (
	leastRotation     = 1 << 20
	leastRotationTime = time.Second
)

// captureOptions returns what the flags say of the capture, nil for none.
func captureOptions(c *cli.Context) (*collectors.CaptureOptions, error) {
	if c.Duration("capture") <= 0 {
		for _, f := range captureFlags() {
			if name := f.Names()[0]; name != "capture" && name != "interface" && c.IsSet(name) {
				return nil, command.Failf(command.Usage, "say for how long: --capture 30s", "--%s is about a capture, and there is none", name)
			}
		}
		return nil, nil
	}
	opt := &collectors.CaptureOptions{
		For: c.Duration("capture"), Interfaces: c.StringSlice("interface"), Promiscuous: c.Bool("promiscuous"),
		Filter: c.String("capture-filter"),
	}
	if opt.Promiscuous && len(opt.Interfaces) == 0 {
		return nil, command.Failf(command.Usage, "name them: --interface eth0", "--promiscuous is for named interfaces")
	}
	var err error
	if opt.MaxBytes, err = ParseSize(c.String("capture-max-size")); err != nil {
		return nil, err
	}
	if opt.RotateBytes, opt.RotateEvery, err = rotation(c.String("capture-rotate")); err != nil {
		return nil, err
	}
	opt.Program, err = captureProgram(opt.Filter, c.String("capture-filter-ddd"))
	return opt, err
}

// recordedFlags are the flags of a capture that the bundle's header has, by
// their names there.
var recordedFlags = map[string]string{
	"capture_filter": "capture-filter", "capture_filter_ddd": "capture-filter-ddd", "promiscuous": "promiscuous",
	"capture_max_size": "capture-max-size", "capture_rotate": "capture-rotate",
}

// captureRecord returns what the capture was told, for the bundle's header;
// the program itself is in the capture's statistics.
func captureRecord(c *cli.Context) map[string]string {
	record := map[string]string{}
	for name, flag := range recordedFlags {
		if c.Duration("capture") > 0 && c.IsSet(flag) {
			record[name] = fmt.Sprint(c.Value(flag))
		}
	}
	return record
}

// resumeCapture gives the flags of a capture that are not set the values that
// an interrupted run had. The file of a program may be another one by now.
func resumeCapture(c *cli.Context, options map[string]string, name string) error {
	filtered := c.IsSet("capture-filter") || c.IsSet("capture-filter-ddd")
	for key, flag := range recordedFlags {
		value, had := options[key]
		isFilter := flag == "capture-filter" || flag == "capture-filter-ddd"
		if !had || c.Duration("capture") <= 0 || c.IsSet(flag) || isFilter && filtered {
			continue
		}
		if flag == "capture-filter-ddd" {
			return command.Failf(command.Usage, "give the program again: --capture-filter-ddd FILE", "%s was captured with a filter program", name)
		}
		if err := c.Set(flag, value); err != nil {
			return command.Failf(command.Failure, "give --"+flag+" yourself", "%s was made with %s = %s, which is no value here", name, flag, term.Escape(value))
		}
	}
	return nil
}

// captureProgram compiles the filter or reads the program that stands for it.
func captureProgram(filter, file string) (pcapfilter.Program, error) {
	switch {
	case filter != "" && file != "":
		return nil, command.Failf(command.Usage, "join them in one filter", "--capture-filter and --capture-filter-ddd are two filters")
	case filter != "":
		program, err := pcapfilter.Compile(filter)
		if err != nil {
			return nil, command.Fail(command.Usage, "docs/capture.md has the language; tcpdump -ddd makes a program of anything else: --capture-filter-ddd", err)
		}
		return program, nil
	case file != "":
		text, err := readProgram(file)
		if err != nil {
			return nil, command.Fail(command.Usage, "write one with: tcpdump -ddd 'tcp port 443' > FILE", err)
		}
		program, err := pcapfilter.Parse(text)
		if err != nil {
			return nil, command.Fail(command.Usage, "write it with: tcpdump -ddd 'tcp port 443' > FILE", fmt.Errorf("%s: %w", file, err))
		}
		return program, nil
	}
	return nil, nil
}

func readProgram(file string) (string, error) {
	const largest = 256 << 10 // many times what 4096 instructions take
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, largest))
	return string(text), err
}

// rotation reads a size (64M) or a time (5m): lower-case s, m and h are units
// of time.
func rotation(s string) (int64, time.Duration, error) {
	if s == "" {
		return 0, 0, nil
	}
	bad := func(what string) (int64, time.Duration, error) {
		return 0, 0, command.Failf(command.Usage, "write for example 64M (a size) or 5m (minutes)", "--capture-rotate %q is %s", s, what)
	}
	if every, err := time.ParseDuration(s); err == nil && s != "0" {
		if every < leastRotationTime {
			return bad("less than a second")
		}
		return 0, every, nil
	}
	size, err := ParseSize(s)
	switch {
	case err != nil:
		return bad("neither a size nor a time")
	case size < leastRotation:
		return bad("less than 1M")
	}
	return size, 0, nil
}
