package bundle

import (
	"crypto/md5"  //nolint:gosec // for look-ups in hash lists, never for integrity
	"crypto/sha1" //nolint:gosec // the same
	"encoding/hex"
	"hash"
	"sync"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// blockLimit bounds the items whose blocks are hashed: the digests of 1 TiB
// of blocks take 8 MiB.
const blockLimit = 1 << 40

// digests sums the content of one item in every way that was asked for.
type digests struct {
	sha256, md5, sha1 hash.Hash // the last two nil when not wanted
	block             hash.Hash // nil when blocks are not hashed
	inBlock           int
	blocks            []evidence.Digest
}

func newDigests(withMD5, withSHA1, withBlocks bool) *digests {
	d := &digests{sha256: evidence.NewHash()}
	if withMD5 {
		d.md5 = md5.New() //nolint:gosec // see import
	}
	if withSHA1 {
		d.sha1 = sha1.New() //nolint:gosec // see import
	}
	if withBlocks {
		d.block = evidence.NewHash()
	}
	return d
}

// parallelFrom is the size from which different digests of the same bytes are
// computed at the same time.
const parallelFrom = 128 << 10

// write adds the next bytes of the content.
func (d *digests) write(p []byte) {
	var work []func()
	for _, h := range []hash.Hash{d.md5, d.sha1} {
		if h != nil {
			work = append(work, func() { h.Write(p) })
		}
	}
	if d.block != nil {
		work = append(work, func() { d.writeBlocks(p) })
	}
	if len(p) < parallelFrom {
		d.sha256.Write(p)
		for _, f := range work {
			f()
		}
		return
	}
	var wg sync.WaitGroup
	for _, f := range work {
		wg.Go(f)
	}
	d.sha256.Write(p)
	wg.Wait()
}

func (d *digests) writeBlocks(p []byte) {
	for len(p) > 0 {
		n := min(len(p), BlockSize-d.inBlock)
		d.block.Write(p[:n])
		p = p[n:]
		if d.inBlock += n; d.inBlock == BlockSize {
			d.endBlock()
		}
	}
}

func (d *digests) endBlock() {
	d.blocks = append(d.blocks, evidence.DigestOf(d.block))
	d.block.Reset()
	d.inBlock = 0
}

// zeros is a read-only page of nothing.
var zeros [256 << 10]byte

// writeZeros adds n zero bytes.
func (d *digests) writeZeros(n int64) {
	for n > 0 {
		part := min(n, int64(len(zeros)))
		d.write(zeros[:part])
		n -= part
	}
}

// hole adds n bytes of a hole, unless the digests leave holes out.
func (d *digests) hole(n int64, leftOut bool) {
	if !leftOut {
		d.writeZeros(n)
	}
}

// finish fills in the digests of an item and of its blocks.
func (d *digests) finish(r *record) {
	r.item.SHA256 = evidence.DigestOf(d.sha256)
	if d.md5 != nil {
		r.item.MD5 = hex.EncodeToString(d.md5.Sum(nil))
	}
	if d.sha1 != nil {
		r.item.SHA1 = hex.EncodeToString(d.sha1.Sum(nil))
	}
	if d.block != nil {
		if d.inBlock > 0 {
			d.endBlock()
		}
		r.blkRoot = blockRoot(d.blocks)
	}
}

// blockRoot is the Merkle root over blocks: each leaf is the RFC 6962 leaf
// hash of the 32 bytes of a block's digest.
func blockRoot(blocks []evidence.Digest) evidence.Digest {
	var t tree
	for _, b := range blocks {
		t.add(blockLeaf(b))
	}
	return t.root()
}

func blockLeaf(block evidence.Digest) evidence.Digest {
	return evidence.Sum(append([]byte{0}, block[:]...))
}

// blockList is the content of a blocks member: one digest a line.
func blockList(blocks []evidence.Digest) []byte {
	out := make([]byte, 0, 65*len(blocks))
	for _, b := range blocks {
		out = append(hex.AppendEncode(out, b[:]), '\n')
	}
	return out
}
