package export

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/xuri/excelize/v2"

	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

const (
	xlsxRows = 1_000_000 // of a sheet, below Excel's 1,048,576
	xlsxText = 32_767    // UTF-16 units of a cell, Excel's limit
)

// XLSX writes the columns of CSV as a workbook, a sheet for each million rows,
// the first row frozen. All cells are texts, but for the
// integer columns: nothing is a formula, no number loses digits, and no time
// is changed by Excel's calendar. Control characters are escaped; texts beyond
// 32,767 characters are cut, end in "… (cut)" and are counted. Memory is
// bounded: rows go to a temporary file first.
func XLSX(w io.Writer, events Events) (res Result, err error) {
	book := excelize.NewFile()
	defer func() { err = errors.Join(err, book.Close()) }()
	fields := make([]timeline.Field, len(Columns))
	for i, name := range Columns {
		fields[i] = timeline.FieldOf(name)
	}
	var sheet *excelize.StreamWriter
	row := make([]any, len(fields))
	var values []string
	next := 0
	for e, err := range events {
		if err != nil {
			return res, err
		}
		if sheet == nil || next == xlsxRows+2 {
			if sheet, err = xlsxSheet(book, sheet, int(res.Rows/xlsxRows)+1); err != nil {
				return res, err
			}
			next = 2
		}
		for i, f := range fields {
			values = f.Values(values[:0], e)
			s := strings.Join(values, "; ")
			if n, err := strconv.ParseInt(s, 10, 64); f.Kind == timeline.FieldInt && err == nil && n > -1e15 && n < 1e15 {
				row[i] = n
				continue
			}
			text, cut := xlsxCell(xlsxPlain(term.Escape(s)))
			if cut {
				res.Cut++
			}
			row[i] = text
		}
		if err := sheet.SetRow("A"+strconv.Itoa(next), row); err != nil {
			return res, fmt.Errorf("write row: %w", err)
		}
		next++
		res.Rows++
	}
	if sheet == nil {
		if sheet, err = xlsxSheet(book, nil, 1); err != nil {
			return res, err
		}
	}
	if err := sheet.Flush(); err != nil {
		return res, fmt.Errorf("finish sheet: %w", err)
	}
	if err := book.Write(w); err != nil {
		return res, fmt.Errorf("write workbook: %w", err)
	}
	return res, nil
}

// xlsxSheet ends the sheet before and begins the next.
func xlsxSheet(book *excelize.File, before *excelize.StreamWriter, number int) (*excelize.StreamWriter, error) {
	name := "Timeline"
	if number > 1 {
		name += " " + strconv.Itoa(number)
	}
	var err error
	if before == nil {
		err = book.SetSheetName("Sheet1", name)
	} else if err = before.Flush(); err == nil {
		_, err = book.NewSheet(name)
	}
	if err != nil {
		return nil, fmt.Errorf("begin sheet: %w", err)
	}
	sheet, err := book.NewStreamWriter(name)
	if err != nil {
		return nil, fmt.Errorf("begin sheet: %w", err)
	}
	head := make([]any, len(Columns))
	for i, column := range Columns {
		head[i] = column
		width := 16.0
		if column == "message" {
			width = 80
		}
		if err := sheet.SetColWidth(i+1, i+1, width); err != nil {
			return nil, fmt.Errorf("begin sheet: %w", err)
		}
	}
	err = sheet.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"})
	return sheet, errors.Join(err, sheet.SetRow("A1", head))
}

// halfRune is the escape of half a character in texts of a workbook (ISO/IEC
// 29500-1, 22.9.2.19).
var halfRune = regexp.MustCompile(`_x[dD][89a-fA-F][0-9a-fA-F]{2}_`)

// xlsxPlain keeps text that looks like such an escape from being left out:
// excelize has an escape for that of whole characters only.
func xlsxPlain(s string) string {
	for halfRune.MatchString(s) {
		s = halfRune.ReplaceAllStringFunc(s, func(m string) string { return `\u{5f}` + m[1:] })
	}
	return s
}

// xlsxCell cuts a text to what a cell may hold.
func xlsxCell(s string) (string, bool) {
	const mark = "… (cut)"
	if len(s) <= xlsxText {
		return s, false
	}
	units := utf16.Encode([]rune(s))
	if len(units) <= xlsxText {
		return s, false
	}
	return string(utf16.Decode(units[:xlsxText-len(mark)])) + mark, true
}
