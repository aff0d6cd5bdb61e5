package collectors

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

const (
	hashChunk = 256 << 10
	// hashStall is how long one read may take.
	hashStall = 10 * time.Second
)

// fileReader hashes files one after the other. It must not be shared.
type fileReader struct{ buf []byte }

// sum reads a file whole that had the metadata st when it was seen. also, when
// there is one, gets its bytes too. note says why there is no digest.
func (r *fileReader) sum(ctx context.Context, host *collect.Host, path string, st *evidence.Stat, also hash.Hash, limit int64) (sum evidence.Digest, note string) {
	f, err := host.Open(path)
	if err != nil {
		return sum, string(codeOf(err)) + ": " + err.Error()
	}
	defer f.Close()
	now, err := host.StatFile(f)
	if err != nil || now.Mode&modeType != modeRegular || now.Inode != st.Inode {
		return sum, "replaced while it was looked at"
	}
	h := evidence.NewHash()
	var read int64
	for {
		buf := r.buf
		r.buf = nil // not ours until the answer is here
		if buf == nil {
			buf = make([]byte, hashChunk)
		}
		n, err := collect.Patiently(host, hashStall, nil, func() (int, error) { return f.Read(buf) })
		if errors.Is(err, collect.ErrTimeout) {
			return sum, fmt.Sprintf("%s at offset %d: %v", codeOf(err), read, err)
		}
		r.buf = buf
		h.Write(buf[:n])
		if also != nil {
			also.Write(buf[:n])
		}
		read += int64(n)
		host.Pace(ctx, n)
		switch {
		case err == io.EOF:
			return evidence.DigestOf(h), ""
		case err != nil:
			return sum, fmt.Sprintf("%s at offset %d: %v", codeOf(err), read, err)
		case ctx.Err() != nil:
			return sum, "cancelled"
		case read > limit:
			return sum, "grew over the limit while it was read"
		}
	}
}
