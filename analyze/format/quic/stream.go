package quic

// maxStream bounds the handshake bytes of one direction.
const maxStream = 32 << 10

// Stream puts the pieces of a handshake in order: clients send them in any.
type Stream struct {
	data []byte
	have []span // disjoint, sorted
}

type span struct{ from, to int }

// Add adds a piece. What lies behind the limit is left out.
func (s *Stream) Add(offset uint64, data []byte) {
	if offset >= maxStream || len(data) == 0 || len(s.have) > 256 {
		return
	}
	data = data[:min(len(data), maxStream-int(offset))]
	from, to := int(offset), int(offset)+len(data)
	if len(s.data) < to {
		s.data = append(s.data, make([]byte, to-len(s.data))...)
	}
	copy(s.data[from:to], data)
	merged := make([]span, 0, len(s.have)+1)
	for _, h := range s.have {
		switch {
		case h.to < from:
			merged = append(merged, h)
		case h.from > to:
			if from >= 0 {
				merged = append(merged, span{from, to})
				from, to = -1, -1
			}
			merged = append(merged, h)
		default:
			from, to = min(from, h.from), max(to, h.to)
		}
	}
	if from >= 0 {
		merged = append(merged, span{from, to})
	}
	s.have = merged
}

// Bytes returns what is there from the beginning without a hole.
func (s *Stream) Bytes() []byte {
	if len(s.have) == 0 || s.have[0].from > 0 {
		return nil
	}
	return s.data[:s.have[0].to]
}

// Size returns the bytes of memory that the stream takes.
func (s *Stream) Size() int { return cap(s.data) + 16*cap(s.have) }
