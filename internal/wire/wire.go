// Package wire is the protocol between a collector and exhibit receive
// (docs/format/receive.md): frames over TLS 1.3 in which both ends are known
// by their Ed25519 keys.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Version is that of the protocol, ALPN its name in the handshake.
const (
	Version = 1
	ALPN    = "exhibit-receive/1"
)

// Kinds of frames. A frame is its kind (1 byte), the length of its payload
// (4 bytes, big endian) and the payload.
const (
	Hello   = 'H' // client: JSON, Greeting
	State   = 'S' // server: JSON, Standing
	Data    = 'D' // client: offset (8 bytes, big endian) and bytes of the stream
	Ack     = 'A' // server: how much is on its disk (8 bytes, big endian)
	Commit  = 'C' // client: JSON, Total
	Receipt = 'R' // server: JSON, Signed
	Wait    = 'W' // server: empty, it is still at work
	Failure = 'E' // server: JSON, Refusal; the connection ends
)

// MaxChunk is the most of a stream that one frame carries, in bytes.
const MaxChunk = 4 << 20

// maxText bounds every other payload: a custody event is at most 64 KiB.
const maxText = 256 << 10

// Greeting begins a connection.
type Greeting struct {
	V            int    `json:"v"`
	Upload       string `json:"upload"`       // 32 hexadecimal digits, chosen at random for one stream
	Name         string `json:"name"`         // proposed for the file
	Acknowledged int64  `json:"acknowledged"` // bytes; 0 in the first connection
}

// Standing answers it.
type Standing struct {
	Held int64 `json:"held"` // bytes from which to go on
	Free int64 `json:"free"` // bytes free; -1: not known
}

// Total ends a stream.
type Total struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Signed is the receipt: a custody event and its signature.
type Signed struct {
	Exhibit   string `json:"exhibit"`
	Verdict   string `json:"verdict"`
	Event     string `json:"event"`     // the event's file: one line of JSON and one LF
	Signature string `json:"signature"` // armored SSHSIG over it, namespace exhibit-custody
}

// Refusal says why a connection ends.
type Refusal struct {
	Text    string `json:"text"`
	Lasting bool   `json:"lasting"` // trying again does not help
}

// ErrFrame says that the other side does not keep to the protocol.
var ErrFrame = errors.New("not a frame of exhibit receive")

// Write writes one frame in one piece.
func Write(w io.Writer, kind byte, payload ...[]byte) error {
	n := 0
	for _, p := range payload {
		n += len(p)
	}
	frame := make([]byte, 5, 5+n)
	frame[0] = kind
	binary.BigEndian.PutUint32(frame[1:], uint32(n))
	for _, p := range payload {
		frame = append(frame, p...)
	}
	_, err := w.Write(frame)
	return err
}

// WriteJSON writes a frame with a value.
func WriteJSON(w io.Writer, kind byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return Write(w, kind, text)
}

// Offset is the head of a Data frame and the payload of an Ack.
func Offset(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// Read reads one frame. The payload lies in buf where it is large enough.
func Read(r io.Reader, buf []byte) (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(head[1:]))
	limit := maxText
	if head[0] == Data {
		limit = MaxChunk + 8
	}
	if n > limit {
		return 0, nil, fmt.Errorf("%w: %d bytes of kind %q", ErrFrame, n, head[0])
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err = io.ReadFull(r, buf)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return head[0], buf, err
}

// ParseOffset reads an offset from the head of a payload.
func ParseOffset(p []byte) (int64, []byte, error) {
	if len(p) < 8 || p[0] > 0x7f {
		return 0, nil, fmt.Errorf("%w: an offset is missing", ErrFrame)
	}
	return int64(binary.BigEndian.Uint64(p)), p[8:], nil
}

// Parse reads a JSON payload.
func Parse(p []byte, into any) error {
	if err := json.Unmarshal(p, into); err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return nil
}
