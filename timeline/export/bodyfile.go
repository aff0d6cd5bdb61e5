package export

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// bodyPending is how many files Bodyfile remembers until all their times came.
const bodyPending = 1 << 18

// bodyFile is one file whose times are being put together.
type bodyFile struct {
	event timeline.Event // the first of them
	times [4]int64       // seconds; m, a, c, b
}

// Bodyfile writes file times as mactime reads them (The Sleuth Kit wiki, "Body
// file" of version 3): MD5|name|inode|mode|UID|GID|size|atime|mtime|ctime|
// crtime, seconds since 1970, 0 for what is not known. Events that are no file
// times are left out and counted. The times of one file come as events far
// apart; they are put together for up to 262,144 files at once, so in a larger
// timeline a file may get several lines, each time in one of them. In names
// "|" and "\" have a backslash before them, as plaso writes them.
func Bodyfile(w io.Writer, events Events) (Result, error) {
	type key struct {
		source string
		off    int64
		line   int64
	}
	var res Result
	files := map[key]*bodyFile{}
	var order []*bodyFile
	flush := func(yield func(*timeline.Event, error) bool) {
		for _, f := range order {
			if !yield(&f.event, nil) {
				return
			}
		}
	}
	index := 0
	write := func() error {
		index = 0
		_, err := lines(w, flush, "", func(b []byte, e *timeline.Event) []byte {
			b = appendBody(b, e, &order[index].times)
			index++
			return b
		})
		clear(files)
		order = order[:0]
		return err
	}
	for e, err := range events {
		if err != nil {
			return res, err
		}
		mark := macb(e)
		switch {
		case !strings.HasPrefix(e.DataType, "fs:") || e.File == "" || mark == "....":
			res.Others++
			continue
		case e.TSState != timeline.TimeOK:
			res.Undated++
			continue
		}
		k := key{off: e.RecOff, line: e.Line}
		if e.Source != nil {
			k.source = e.Source.ID
		}
		f := files[k]
		if f == nil || f.event.File != e.File {
			if len(order) == bodyPending {
				if err := write(); err != nil {
					return res, err
				}
			}
			f = &bodyFile{event: *e.Clone()}
			files[k] = f
			order = append(order, f)
		}
		for i := range f.times {
			if mark[i] != '.' {
				f.times[i] = time.Unix(0, e.TS).Unix()
			}
		}
		res.Rows++
	}
	return res, write()
}

func appendBody(b []byte, e *timeline.Event, times *[4]int64) []byte {
	attr := func(name, unknown string) string {
		s, _ := e.Attr(name)
		return firstSet(bodyText(s), unknown)
	}
	b = append(b, attr("md5", "0")...)
	for _, s := range []string{bodyText(e.File), attr("inode", "0"), attr("mode", "0"), attr("uid", "0"), attr("gid", "0"), attr("size", "0")} {
		b = append(append(b, '|'), s...)
	}
	for _, i := range [4]int{1, 0, 2, 3} { // atime, mtime, ctime, crtime
		b = strconv.AppendInt(append(b, '|'), times[i], 10)
	}
	return append(b, '\n')
}

// bodyText escapes what would end a field or a line.
func bodyText(s string) string {
	return strings.ReplaceAll(term.Escape(strings.ReplaceAll(s, `\`, `\\`)), "|", `\|`)
}
