package e2e

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// fishWitness knows "- cmd: COMMAND" with \\n for a line end, then
// "  when: SECONDS" and the paths.
func fishWitness(r row) error {
	if err := r.onLine(); err != nil {
		return err
	}
	command := strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(string(plain(r.ev, r.ev.Cmdline)))
	first, rest, _ := strings.Cut(string(r.rec), "\n")
	// A command may hold a backslash that is not doubled: fish read it so.
	if first != "- cmd: "+command && strings.ReplaceAll(first, `\\`, `\`) != "- cmd: "+strings.ReplaceAll(command, `\\`, `\`) {
		return fmt.Errorf("its command is %q", first)
	}
	if r.ev.TSState == timeline.TimeOK && !strings.Contains(rest, "  when: "+seconds(r.ev.TS)+"\n") {
		return fmt.Errorf("its time is another one: %q", rest)
	}
	for _, a := range r.ev.Attrs {
		if a.Key == "path" && !strings.Contains(rest, "    - "+string(plain(r.ev, a.Value))+"\n") {
			return fmt.Errorf("it has no path %q", a.Value)
		}
	}
	return nil
}

// promptWitness is that of histories of other programs than shells: the row's
// text and file stand in the record, with \ooo for characters and 0x01 for line
// ends undone, and so does its time where it has one.
func promptWitness(r row) error {
	if err := r.onLine(); err != nil {
		return err
	}
	var text []byte
	for i := 0; i < len(r.rec); i++ {
		if r.rec[i] == '\\' && i+4 <= len(r.rec) {
			if n, err := strconv.ParseUint(string(r.rec[i+1:i+4]), 8, 8); err == nil {
				text = append(text, byte(n))
				i += 3
				continue
			}
		}
		text = append(text, r.rec[i])
	}
	text = bytes.ReplaceAll(text, []byte{1}, []byte("\n"))
	text = bytes.ReplaceAll(text, []byte("\n\t"), []byte("\n")) // lines of a register
	wanted := []string{r.ev.Message, r.ev.File}
	if r.ev.TSState == timeline.TimeOK {
		wanted = append(wanted, seconds(r.ev.TS))
	}
	for _, w := range wanted {
		if !bytes.Contains(text, plain(r.ev, w)) {
			return fmt.Errorf("%q is not there", w)
		}
	}
	return nil
}
