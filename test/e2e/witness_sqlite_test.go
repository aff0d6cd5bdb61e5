package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// cellVarint reads SQLite's integers of 1 to 9 bytes.
func cellVarint(b []byte) (v uint64, rest []byte, err error) {
	for i := range b {
		if i == 8 {
			return v<<8 | uint64(b[i]), b[9:], nil
		}
		if v = v<<7 | uint64(b[i]&0x7f); b[i] < 0x80 {
			return v, b[i+1:], nil
		}
	}
	return 0, nil, errors.New("it ends inside a number")
}

// cellValues reads a cell of a table's leaf: length of the record, number of
// the row, length of the record's header, a type for each value, the values.
// What lies in overflow pages is cut off.
func cellValues(b []byte) (id int64, values []string, err error) {
	var n [2]uint64
	for i := range n {
		if n[i], b, err = cellVarint(b); err != nil {
			return 0, nil, err
		}
	}
	head, types, err := cellVarint(b)
	if err != nil || head > uint64(len(b)) {
		return 0, nil, errors.New("the header of its record is longer than it")
	}
	types, b = types[:int(head)-(len(b)-len(types))], b[head:]
	for len(types) > 0 {
		var kind uint64
		if kind, types, err = cellVarint(types); err != nil {
			return 0, nil, err
		}
		size := map[uint64]uint64{1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8}[kind]
		if kind >= 12 {
			size = (kind - 12) / 2
		}
		part := b[:min(size, uint64(len(b)))]
		b = b[len(part):]
		switch {
		case kind == 0:
		case kind == 8, kind == 9:
			values = append(values, strconv.FormatUint(kind-8, 10))
		case kind >= 12:
			values = append(values, string(part))
		case len(part) > 0:
			v := int64(int8(part[0]))
			for _, c := range part[1:] {
				v = v<<8 | int64(c)
			}
			values = append(values, strconv.FormatInt(v, 10))
		}
	}
	return int64(n[1]), values, nil
}

// cellWitness asks for the row's number, its time in units of so many ns, its
// end, account and attributes among the values of a cell.
func cellWitness(unit int64) witness {
	return func(r row) error {
		id, values, err := cellValues(r.rec)
		if err != nil {
			return err
		}
		if id != r.ev.RecNo {
			return fmt.Errorf("it is row %d", id)
		}
		wanted := []string{string(plain(r.ev, r.ev.User)), r.ev.SrcIP}
		for _, at := range []int64{r.ev.TS, r.ev.TSEnd} {
			if at != timeline.None {
				wanted = append(wanted, strconv.FormatInt(at/unit, 10))
			}
		}
		for _, a := range r.ev.Attrs {
			if len(r.more) == 0 && a.Key != "open" && a.Key != "spans_beside" { // which the parser says
				wanted = append(wanted, string(plain(r.ev, a.Value)))
			}
		}
		for _, w := range wanted {
			if w != "" && !slices.Contains(values, w) {
				return fmt.Errorf("its values are %q: no %q", values, w)
			}
		}
		return nil
	}
}

// logWitness is that of rows in a write-ahead log. Where a row rests on others
// in the database beside it, those are not here.
func logWitness(r row) error {
	if r.ev.DataType == "linux:wtmpdb:session" {
		return cellWitness(1e3)(r)
	}
	_, values, err := cellValues(r.rec)
	if err != nil {
		return err
	}
	transaction, _ := r.ev.Attr("transaction")
	if r.ev.DataType == "linux:dnf_history:package" && !slices.Contains(values, transaction) {
		return fmt.Errorf("its values are %q", values)
	}
	if _, away := r.ev.Attr("spans_beside"); away {
		return nil
	}
	return dnfWitness(r)
}

// dnfWitness asks for the row's number in its cell, and for its time, account,
// package and command line among the values of that cell and of those that
// the row names besides.
func dnfWitness(r row) error {
	id, values, err := cellValues(r.rec)
	if err != nil {
		return err
	}
	if id != r.ev.RecNo {
		return fmt.Errorf("it is row %d", id)
	}
	values = append(values, strconv.FormatInt(id, 10))
	for _, cell := range r.more {
		_, v, err := cellValues(cell)
		if err != nil {
			return err
		}
		values = append(values, v...)
	}
	transaction, _ := r.ev.Attr("transaction")
	arch, _ := r.ev.Attr("arch")
	wanted := []string{r.ev.Unit, r.ev.Cmdline, arch, transaction}
	if r.ev.TS != timeline.None {
		wanted = append(wanted, seconds(r.ev.TS))
	}
	if r.ev.UID != timeline.None {
		wanted = append(wanted, strconv.FormatInt(r.ev.UID, 10))
	}
	for _, w := range wanted {
		if w != "" && !slices.Contains(values, w) {
			return fmt.Errorf("its values are %q: no %q", values, w)
		}
	}
	return nil
}
