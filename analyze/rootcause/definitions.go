package rootcause

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// definitions is what the evidence itself says of jobs, units and keys.
type definitions struct {
	commands map[string][]definition // plain command → cron tables and units with it
	keys     map[string][]definition // SHA256:… fingerprint → key lists
	read     int
}

// definition is one line of a file that lets something happen.
type definition struct {
	host string // "" when the evidence does not say
	path string
	line string
	ref  evidence.Ref
}

// Bounds of what is read: definitions are small.
const (
	maxDefinitions    = 8192
	maxDefinitionSize = 256 << 10
)

// readDefinitions reads cron tables, units and key lists from the evidence.
// What cannot be read is left out: the walk then joins by time instead.
func readDefinitions(ctx context.Context, eng timeline.Engine, from []analyze.Evidence) (definitions, error) {
	d := definitions{commands: make(map[string][]definition), keys: make(map[string][]definition)}
	if len(from) == 0 {
		return d, nil
	}
	type member struct {
		name string
		path string
	}
	hosts := make(map[member]string)
	refs := make(map[member]evidence.Digest)
	for s, err := range eng.Sources(ctx) {
		if err != nil {
			return d, fmt.Errorf("reading the list of sources: %w", err)
		}
		if s.Source != nil {
			hosts[member{s.Source.Member, s.Source.Path}] = s.Source.Host
			refs[member{s.Source.Member, s.Source.Path}] = s.Source.Bundle
		}
	}
	for _, ev := range from {
		for it, err := range ev.Items() {
			if err != nil || ctx.Err() != nil {
				break
			}
			kind := persistent(it.Path)
			if it.Kind != evidence.KindFile || it.Size > maxDefinitionSize || d.read >= maxDefinitions ||
				kind != "cron" && kind != "unit" && kind != "key" {
				continue
			}
			b, err := readSmall(ev, it.Member)
			if err != nil {
				continue
			}
			d.read++
			m := member{it.Member, it.Path}
			d.add(kind, b, definition{host: hosts[m], path: it.Path, ref: evidence.Ref{Bundle: refs[m], Member: it.Member}})
		}
	}
	return d, ctx.Err()
}

func readSmall(ev analyze.Evidence, name string) ([]byte, error) {
	c, err := ev.Open(name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return io.ReadAll(io.LimitReader(c, maxDefinitionSize))
}

// add reads the lines of one file.
func (d *definitions) add(kind string, b []byte, def definition) {
	off := int64(0)
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(make([]byte, 0, 4096), maxDefinitionSize)
	sc.Split(linesWithEnds)
	for sc.Scan() {
		raw := sc.Text()
		line := strings.TrimSpace(raw)
		def := def
		def.line = line
		def.ref.Offset, def.ref.Length = off, int64(len(raw))
		off += int64(len(raw))
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		switch kind {
		case "cron":
			if c := cronCommand(line, def.path); c != "" {
				k := commandKey(c)
				d.commands[k] = append(d.commands[k], def)
			}
		case "unit":
			if k, v, ok := strings.Cut(line, "="); ok && strings.HasPrefix(strings.TrimSpace(k), "ExecStart") {
				c := commandKey(strings.TrimLeft(strings.TrimSpace(v), "-@:+!"))
				d.commands[c] = append(d.commands[c], def)
			}
		case "key":
			if fp := fingerprint(line); fp != "" {
				d.keys[fp] = append(d.keys[fp], def)
			}
		}
	}
}

// linesWithEnds splits after line feeds and keeps them, so that lengths add up
// to offsets.
func linesWithEnds(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// cronCommand returns the command of a crontab(5) line: after five fields or
// one @word, and in system tables after the account. An unescaped % ends it.
func cronCommand(line, file string) string {
	fields := 5
	if line[0] == '@' {
		fields = 1
	}
	if strings.HasPrefix(file, "/etc/cron") {
		fields++
	}
	rest := line
	for range fields {
		i := strings.IndexAny(rest, " \t")
		if i < 0 {
			return ""
		}
		rest = strings.TrimLeft(rest[i:], " \t")
	}
	for i := 0; i < len(rest); i++ {
		if rest[i] == '%' && (i == 0 || rest[i-1] != '\\') {
			rest = rest[:i]
		}
	}
	return plainCommand(strings.ReplaceAll(rest, `\%`, "%"))
}

// fingerprint returns SHA256:… of a line of authorized_keys (sshd(8)), as sshd
// logs it: base64 without padding of the digest of the key blob.
func fingerprint(line string) string {
	for f := range strings.FieldsSeq(line) {
		if !strings.HasPrefix(f, "AAAA") {
			continue
		}
		blob, err := base64.StdEncoding.DecodeString(f)
		if err != nil {
			return ""
		}
		sum := sha256.Sum256(blob)
		return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
	}
	return ""
}

// of returns the definitions of a command on a host.
func (d *definitions) of(list []definition, host string) []definition {
	var out []definition
	for _, e := range list {
		if e.host == "" || host == "" || e.host == host {
			out = append(out, e)
		}
	}
	return out
}

// inDir reports whether a command is one of a folder that run-parts runs.
func inDir(cmd, file string) bool {
	return strings.Contains(cmd, "run-parts") && strings.Contains(cmd, path.Dir(file))
}
