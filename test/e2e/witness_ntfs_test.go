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

// mftWitness knows the file record: its mark, its number at 44 or that of its
// base record at 32, and the update sequence array that keeps the last two
// bytes of every sector. The time of the row and, of a $FILE_NAME, the name
// stand in it.
func mftWitness(r row) error {
	n := len(r.rec)
	if n < 1024 || string(r.rec[:4]) != "FILE" && string(r.rec[:4]) != "BAAD" {
		return errors.New("it is no file record")
	}
	number := int64(little.Uint32(r.rec[44:]))
	if base := int64(little.Uint64(r.rec[32:]) & (1<<48 - 1)); number != r.ev.RecNo && base != r.ev.RecNo {
		return fmt.Errorf("it is record %d, of %d", number, base)
	}
	rec := bytes.Clone(r.rec)
	array := rec[little.Uint16(rec[4:]):]
	for i := 1; i <= n/512; i++ {
		if end := rec[512*i-2 : 512*i]; bytes.Equal(end, array[:2]) {
			copy(end, array[2*i:2*i+2])
		}
	}
	if r.ev.TSState == timeline.TimeOK && !bytes.Contains(rec, little.AppendUint64(nil, filetime(r.ev.TS))) {
		return errors.New("it does not have that time")
	}
	name := r.ev.File[strings.LastIndexByte(r.ev.File, '/')+1:]
	if kind, _ := r.ev.Attr("attribute"); kind == "$FILE_NAME" && !strings.Contains(name, `\u`) && !bytes.Contains(rec, utf16Bytes(name)) {
		return fmt.Errorf("it has no name %q", name)
	}
	return nil
}
