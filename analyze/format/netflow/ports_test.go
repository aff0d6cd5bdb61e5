package netflow

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// A port that a record does not state is not 0.
func TestAPortThatIsNotStated(t *testing.T) {
	be := binary.BigEndian
	set := func(id uint16, content []byte) []byte {
		return append(be.AppendUint16(be.AppendUint16(nil, id), uint16(4+len(content))), content...)
	}
	var template []byte
	for _, n := range []uint16{256, 4, 8, 4, 12, 4, 4, 1, 11, 2} {
		template = be.AppendUint16(template, n)
	}
	record := []byte{10, 0, 0, 1, 10, 0, 0, 2, 6, 1, 187}
	body := append(set(2, template), set(256, record)...)
	message := be.AppendUint16(be.AppendUint16(nil, 10), uint16(16+len(body)))
	message = append(be.AppendUint32(message, 1_700_000_000), make([]byte, 8)...)
	r, err := NewReader(bytes.NewReader(append(message, body...)), nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if f.HasSrcPort || !f.HasDstPort || f.DstPort != 443 {
		t.Errorf("from port %d (%v) to %d (%v)", f.SrcPort, f.HasSrcPort, f.DstPort, f.HasDstPort)
	}
}
