package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// filetime is ns since 1970 as 100 ns since 1601, the time of Windows.
func filetime(ns int64) uint64 {
	return uint64(time.Unix(0, ns).Sub(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC))/100) + 116444736000000000
}

func utf16Bytes(s string) []byte {
	var units []byte
	for _, u := range utf16.Encode([]rune(s)) {
		units = little.AppendUint16(units, u)
	}
	return units
}

// usnWitness knows USN_RECORD_V2, V3 and V4: the length in front, the version,
// the USN that numbers the record, its time and its name.
func usnWitness(r row) error {
	n := len(r.rec)
	damaged := r.ev.Flags&timeline.CorruptRec != 0
	if n < 60 || int(little.Uint32(r.rec)) != n && !damaged {
		return errors.New("it is no change record")
	}
	usn, at := 24, 32
	switch major := little.Uint16(r.rec[4:]); major {
	case 2:
	case 3:
		usn, at = 40, 48
	case 4:
		usn, at = 40, 0
	default:
		return fmt.Errorf("it has version %d", major)
	}
	if got := int64(little.Uint64(r.rec[usn:])); got != r.ev.RecNo {
		return fmt.Errorf("its USN is %d", got)
	}
	if r.ev.TSState == timeline.TimeOK && (at == 0 || little.Uint64(r.rec[at:]) != filetime(r.ev.TS)) {
		return errors.New("its time is another one")
	}
	name := r.ev.File[strings.LastIndexByte(r.ev.File, '/')+1:]
	if !strings.Contains(name, `\u`) && !bytes.Contains(r.rec, utf16Bytes(name)) {
		return fmt.Errorf("it has no name %q", name)
	}
	return nil
}
