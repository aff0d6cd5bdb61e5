package intake

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// MembersPath is the path of the record set that says of each item where it
// lay in what was received, one Member a line.
const MembersPath = "import/members.jsonl"

// Member says where an item lay.
type Member struct {
	Leaf   int64        `json:"leaf"`         // of the item
	Path   record.Bytes `json:"path"`         // its path
	In     record.Bytes `json:"in,omitempty"` // archive in the original that held it; empty: the original itself
	Name   record.Bytes `json:"name"`         // its name there
	Offset int64        `json:"offset"`       // of its first byte in the archive, in a tar after decompression; -1: none
	Packed int64        `json:"packed"`       // bytes it takes there; -1: not stated
	Method string       `json:"method,omitempty"`
	Sealed string       `json:"encrypted,omitempty"`
	Size   int64        `json:"size"`
	SHA256 string       `json:"sha256"`
	Local  string       `json:"local_time,omitempty"` // of modification, without a zone, as stated
	Note   string       `json:"note,omitempty"`
}

// memberList is the record set while it grows: in a file, for it can be long.
type memberList struct {
	file *os.File
	out  *bufio.Writer
}

func (l *memberList) open(dir string) (err error) {
	if l.file, err = os.CreateTemp(dir, ".exhibit-members-*"); err != nil {
		return err
	}
	l.out = bufio.NewWriterSize(l.file, 64<<10)
	return nil
}

func (l *memberList) add(m *Member) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = l.out.Write(append(line, '\n'))
	return err
}

// store gives the list to the sink.
func (l *memberList) store(ctx context.Context, sink Sink) error {
	if err := l.out.Flush(); err != nil {
		return err
	}
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := sink.Add(ctx, evidence.Item{
		Kind: evidence.KindStream, Source: evidence.SourceTool, Path: MembersPath, Collector: collector, Size: -1,
	}, l.file)
	return err
}

func (l *memberList) close() {
	if l.file != nil {
		_ = errors.Join(l.file.Close(), os.Remove(l.file.Name())) //nolint:errcheck // scratch
	}
}
