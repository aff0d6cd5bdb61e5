package collectors

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

const (
	binfmtDir       = "/proc/sys/fs/binfmt_misc"
	imaList         = "/sys/kernel/security/ima/ascii_runtime_measurements"
	maxBinFormats   = 10_000
	maxMeasurements = 2_000_000
	maxKernelLine   = 64 << 10 // of a list: a signature or a buffer is in it in hexadecimal
)

// collectKernelSets decodes binfmt_misc, the keys and what IMA measured.
func collectKernelSets(ctx context.Context, h *collect.Host, out collect.Taker) error {
	formats, err := binFormats(h, out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		out.Problem(problemOf(err, binfmtDir))
	}
	if err := writeRecords(ctx, out, record.BinaryFormat, formats); err != nil {
		return err
	}
	err = kernelList(ctx, h, out, "/proc/keys", record.Keys, func(_ int64, line string) (any, bool) { k, ok := parseKey(line); return k, ok })
	if err != nil {
		return err
	}
	return kernelList(ctx, h, out, imaList, record.IMA, func(n int64, line string) (any, bool) {
		m, ok := parseMeasurement(line)
		m.Number = n
		return m, ok
	})
}

func binFormats(h *collect.Host, out collect.Taker) (list []record.BinFormat, err error) {
	mounts, err := h.Mounts()
	if err != nil {
		return nil, err
	}
	if wouldMount(mounts, binfmtDir) {
		out.Problem(problemAt(evidence.Skipped, binfmtDir, "not looked into: it would be mounted by a look"))
		return nil, nil
	}
	entries, err := h.ReadDir(binfmtDir)
	for _, e := range entries[:min(len(entries), maxBinFormats)] {
		if e.Name == "register" || e.Name == "status" {
			continue
		}
		text, rerr := h.ReadFile(binfmtDir+"/"+e.Name, 64<<10)
		f, ok := parseBinFormat(e.Name, text)
		switch {
		case rerr != nil:
			out.Problem(problemOf(rerr, binfmtDir+"/"+e.Name))
		case !ok:
			out.Problem(problemAt(evidence.Corrupt, binfmtDir+"/"+e.Name, "not in the kernel's format"))
		default:
			list = append(list, f)
		}
	}
	return list, err
}

// kernelList decodes a list of the kernel, line by line.
func kernelList(ctx context.Context, h *collect.Host, out collect.Taker, from, to string, parse func(number int64, line string) (any, bool)) error {
	lines := collect.NewRecords(ctx, out, evidence.Item{Path: to, Source: "proc"})
	f, err := h.Open(from)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			out.Problem(problemOf(err, from))
		}
		return lines.Close()
	}
	defer f.Close()
	in, bad, number := bufio.NewReaderSize(f, maxKernelLine), 0, int64(0)
	for err == nil && ctx.Err() == nil {
		var line []byte
		line, rerr := in.ReadSlice('\n')
		for errors.Is(rerr, bufio.ErrBufferFull) { // its rest
			line = line[:0]
			_, rerr = in.ReadSlice('\n')
		}
		if number++; len(strings.TrimSpace(string(line))) > 0 || rerr == nil {
			v, ok := parse(number, string(line))
			switch {
			case !ok:
				bad++
			case number > maxMeasurements:
				out.Problem(problemAt(evidence.TooBig, from, fmt.Sprintf("more than %d lines; the rest was not decoded", maxMeasurements)))
				return errors.Join(err, lines.Close())
			default:
				err = lines.Write(v)
			}
		}
		if rerr != nil {
			break
		}
	}
	if bad > 0 {
		out.Problem(problemAt(evidence.Corrupt, from, fmt.Sprintf("%d lines are not in the kernel's format and were not decoded", bad)))
	}
	return errors.Join(err, ctx.Err(), lines.Close())
}
