package bundle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// Errors of a Reader.
var (
	ErrNoMember = errors.New("no such member in the bundle")
	ErrMismatch = errors.New("bundle contradicts itself")
)

// Reader opens single items of a bundle without reading the rest. It finds its
// way by indexes that it does not trust: what they lead to is checked against
// the manifest, and the manifest against the seal by Prove and Verify. It is
// safe for concurrent use.
type Reader struct {
	frames *frameCache
	header Header
	key    ed25519.PublicKey
	sshKey ssh.PublicKey
	seal   Seal
	sealed bool // false: a recovered bundle, closed by a checkpoint only

	recovered bool // records may be missing
	trailer   Trailer
	rows      []row
	names     place // member index
	leafLoc   place // leaves.txt

	mu     sync.Mutex
	leaves []evidence.Digest // loaded by Prove

	erasures []signedErasure
	erased   map[int64]*erasedRecord

	rowMu    sync.Mutex
	lastRow  row      // read last, with its lines: members are mostly opened in order
	rowLines [][]byte // shared, not to be changed
}

// Open opens a complete bundle of the given size: it reads the seek table and
// a few small frames. ErrNoTable says that the end is missing (see Recover),
// ErrNotBundle that this is something else.
func Open(r io.ReaderAt, size int64) (*Reader, error) {
	frames, err := readSeekTable(r, size)
	if err != nil {
		if errors.Is(err, ErrNoTable) && !looksLikeBundle(r, size) {
			return nil, ErrNotBundle
		}
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	out := &Reader{frames: newFrameCache(r, frames)}
	if err := out.load(); err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	return out, nil
}

// looksLikeBundle reports whether a file begins with a frame that begins with
// this format's first member.
func looksLikeBundle(r io.ReaderAt, size int64) bool {
	if formOf(r, size) != formZstd {
		return true
	}
	packed, plain, err := measureFrame(r, 0, size)
	if err != nil {
		return false
	}
	u, err := newUnpacker()
	if err != nil {
		return false
	}
	defer u.dec.Close()
	b, err := u.unpack(r, frameAt{packed: packed, plain: plain}, nil)
	if err != nil {
		return false
	}
	return beginsLikeBundle(b)
}

// beginsLikeBundle reports whether tar bytes begin with exhibit/format, or in
// a recovered bundle with what replaces it.
func beginsLikeBundle(b []byte) bool {
	e, n, err := parseHeader(b)
	if err != nil || n > len(b) {
		return false
	}
	return strings.HasPrefix(e.name, lostPrefix) || e.name == formatMember && bytes.HasPrefix(b[n:], []byte(formatText))
}

// load reads what locates everything else.
func (r *Reader) load() error {
	places, err := r.locator()
	if err != nil {
		return err
	}
	_, r.recovered = places["recovery"]
	if r.rows, err = r.readRows(places["manifest-index"]); err != nil {
		return err
	}
	r.names, r.leafLoc = places["member-index"], places["leaves"]
	if first, err := r.record(0); err == nil {
		if r.header, r.key, r.sshKey, err = parseHeaderRecord(first); err != nil {
			return err
		}
	} else if !r.recovered {
		return err
	}
	if err := r.loadSeal(places); err != nil {
		return err
	}
	if last := r.rows[len(r.rows)-1]; last.leaf+last.count != r.seal.Size && !r.recovered {
		return fmt.Errorf("%w: manifest index and seal disagree on the number of records", ErrMismatch)
	}
	return r.loadTrailer()
}

// loadTrailer reads the last record of a sealed bundle.
func (r *Reader) loadTrailer() error {
	if !r.sealed {
		return nil
	}
	last, err := r.record(r.seal.Size - 1)
	if err != nil {
		if r.recovered {
			return nil // lost
		}
		return err
	}
	if last.item.Kind != evidence.KindTrailer || last.body == nil {
		return fmt.Errorf("%w: the last record is no trailer", ErrMismatch)
	}
	if err := json.Unmarshal(last.body, &r.trailer); err != nil {
		return fmt.Errorf("read trailer: %w", err)
	}
	return nil
}

// loadSeal reads the signed statement and checks that its note was signed by
// the key in the header.
func (r *Reader) loadSeal(places map[string]place) error {
	at, sealed := places["seal"]
	if !sealed {
		at = places["checkpoint"]
	}
	r.sealed = sealed
	members, err := r.membersFrom(at.off)
	if err != nil {
		return err
	}
	note := members[noteMember]
	if !sealed {
		note = members[recoveryNote]
	}
	if r.key == nil {
		if err := r.keyFromSeal(members); err != nil {
			return err
		}
	}
	if r.seal, err = parseNote(note, r.key); err != nil {
		return fmt.Errorf("read seal: %w", err)
	}
	if r.header.Bundle != "" && r.seal.Origin != OriginPrefix+r.header.Bundle {
		return fmt.Errorf("%w: seal is of another bundle", ErrMismatch)
	}
	if sealed {
		r.seal.SSHSig, r.seal.CertSig = members[sshsigMember], members[certSigMember]
		if !bytes.Equal(members[sealMember], r.seal.Text) {
			return fmt.Errorf("%w: seal.txt and seal.note differ", ErrMismatch)
		}
	}
	return r.loadErasures(members)
}

// keyFromSeal takes the run's key from the seal's signature when the header is
// lost. Whether that key is to be trusted is no more known than before.
func (r *Reader) keyFromSeal(members map[string][]byte) error {
	key, err := chainofcustody.Verify(chainofcustody.NamespaceSeal, members[sealMember], members[sshsigMember])
	if err != nil {
		return fmt.Errorf("read seal: %w", err)
	}
	r.sshKey = key
	r.key, err = ed25519Key(key)
	return err
}

// locator reads the last member: where the seal and the indexes are.
func (r *Reader) locator() (map[string]place, error) {
	var b [4 * tarBlock]byte
	at := r.frames.size() - int64(len(b))
	if _, err := r.frames.ReadAt(b[:], at); err != nil {
		return nil, fmt.Errorf("read locator: %w", err)
	}
	e, n, err := parseHeader(b[:])
	if err != nil || e.name != locatorMember || n != tarBlock || e.size > tarBlock {
		return nil, fmt.Errorf("%w: no locator at the end", ErrNoTable)
	}
	lines := strings.Split(string(b[tarBlock:tarBlock+e.size]), "\n")
	if lines[0] != "exhibit-locator 1" {
		return nil, fmt.Errorf("%w: locator of an unknown version", ErrMismatch)
	}
	places := map[string]place{}
	for _, line := range lines[1 : len(lines)-1] {
		var p place
		if n, err := fmt.Sscanf(line, "%s %d %d", &p.what, &p.off, &p.size); n != 3 || err != nil || p.off < 0 || p.size < 0 || p.off > at || p.size > at-p.off {
			return nil, fmt.Errorf("%w: bad line in locator", ErrMismatch)
		}
		places[p.what] = p
	}
	for _, what := range []string{"leaves", "manifest-index", "member-index"} {
		if _, ok := places[what]; !ok {
			return nil, fmt.Errorf("%w: locator lacks %s", ErrMismatch, what)
		}
	}
	return places, nil
}

// tailLimit bounds what is read of the last members.
const tailLimit = 1 << 20

// membersFrom reads the small members whose first has its data at off, up to
// the end of the tar.
func (r *Reader) membersFrom(off int64) (map[string][]byte, error) {
	size := r.frames.size() - off + tarBlock
	if off < tarBlock || size > tailLimit {
		return nil, fmt.Errorf("%w: locator points away from the seal", ErrMismatch)
	}
	b := make([]byte, size)
	if _, err := r.frames.ReadAt(b, off-tarBlock); err != nil {
		return nil, fmt.Errorf("read seal: %w", err)
	}
	out := map[string][]byte{}
	for len(b) > 2*tarBlock {
		e, n, err := parseHeader(b)
		if err != nil || n > len(b) || e.size > int64(len(b)-n) {
			return nil, fmt.Errorf("%w: malformed members around the seal", ErrMismatch)
		}
		out[e.name] = b[n : n+int(e.size)]
		b = b[min(n+int(e.size+tarBlock-1)&^(tarBlock-1), len(b)):]
	}
	return out, nil
}

// rowLimit bounds the manifest index: 16 M records of the least possible size
// fill fewer rows.
const rowLimit = 1 << 22

// readRows reads the manifest index and checks that its rows follow upon each
// other without a gap.
func (r *Reader) readRows(p place) ([]row, error) {
	if p.size > rowLimit*16 {
		return nil, fmt.Errorf("%w: manifest index too long", ErrMismatch)
	}
	b := make([]byte, p.size)
	if _, err := r.frames.ReadAt(b, p.off); err != nil {
		return nil, fmt.Errorf("read manifest index: %w", err)
	}
	return parseRows(b, r.frames.size(), r.recovered)
}

// parseRows reads a manifest index. With gaps, records may be missing.
func parseRows(b []byte, size int64, gaps bool) ([]row, error) {
	var rows []row
	next, end := int64(0), int64(0)
	for line := range bytes.Lines(b) {
		var v [5]int64
		fields := strings.Split(strings.TrimSuffix(string(line), "\n"), " ")
		bad := len(fields) != len(v)
		for i := 0; i < len(v) && !bad; i++ {
			var err error
			v[i], err = strconv.ParseInt(fields[i], 10, 64)
			bad = err != nil || v[i] < 0
		}
		w := row{v[0], v[1], v[2], v[3], int(v[4])}
		switch {
		case bad, w.leaf != next && (!gaps || w.leaf < next), w.leaf > leafLimit, w.count < 1, w.off < end, w.size < 1, w.size > rowSize+2*maxLine, w.off > size-w.size:
			return nil, fmt.Errorf("%w: bad line %d in manifest index", ErrMismatch, len(rows)+1)
		case gaps:
		case len(rows) > 0 && w.batch != rows[len(rows)-1].batch && w.batch != rows[len(rows)-1].batch+1,
			len(rows) == 0 && w.batch != 0:
			return nil, fmt.Errorf("%w: manifest index skips a batch", ErrMismatch)
		}
		next, end = w.leaf+w.count, w.off+w.size
		rows = append(rows, w)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: manifest index is empty", ErrMismatch)
	}
	return rows, nil
}

// Header returns leaf 0.
func (r *Reader) Header() Header { return r.header }

// Trailer returns the last leaf; it is zero in a recovered bundle.
func (r *Reader) Trailer() Trailer { return r.trailer }

// Seal returns the seal, or the last checkpoint of a recovered bundle.
func (r *Reader) Seal() Seal { return r.seal }

// Sealed reports whether the run sealed the bundle. A recovered bundle ends
// with a checkpoint instead.
func (r *Reader) Sealed() bool { return r.sealed }

// Key returns the run's public key.
func (r *Reader) Key() ssh.PublicKey { return r.sshKey }

// rowOf returns the row that holds a leaf.
func (r *Reader) rowOf(leaf int64) (row, bool) {
	i := sort.Search(len(r.rows), func(i int) bool { return r.rows[i].leaf+r.rows[i].count > leaf })
	if leaf < 0 || i == len(r.rows) || leaf < r.rows[i].leaf {
		return row{}, false
	}
	return r.rows[i], true
}

// lines returns the manifest lines of one row, checked to be whole pairs. They
// are shared and must not be changed.
func (r *Reader) lines(w row) ([][]byte, error) {
	r.rowMu.Lock()
	defer r.rowMu.Unlock()
	if r.rowLines != nil && r.lastRow == w {
		return r.rowLines, nil
	}
	lines, err := r.readLines(w)
	if err == nil {
		r.lastRow, r.rowLines = w, lines
	}
	return lines, err
}

func (r *Reader) readLines(w row) ([][]byte, error) {
	b := make([]byte, w.size)
	if _, err := r.frames.ReadAt(b, w.off); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	lines := bytes.SplitAfter(b, []byte("\n"))
	if n := len(lines); int64(n) != 2*w.count+1 || len(lines[n-1]) != 0 {
		return nil, fmt.Errorf("%w: row of leaf %d does not hold %d records", ErrMismatch, w.leaf, w.count)
	}
	return lines[:2*w.count], nil
}

// linesOf returns the two lines of a leaf, which must not be changed.
func (r *Reader) linesOf(leaf int64) (content, meta []byte, err error) {
	w, ok := r.rowOf(leaf)
	if !ok {
		return nil, nil, fmt.Errorf("bundle has no record %d", leaf)
	}
	lines, err := r.lines(w)
	if err != nil {
		return nil, nil, err
	}
	i := 2 * (leaf - w.leaf)
	return lines[i], lines[i+1], nil
}

// record reads the record of a leaf.
func (r *Reader) record(leaf int64) (*record, error) {
	content, meta, err := r.linesOf(leaf)
	if err != nil {
		return nil, err
	}
	rec, err := r.parse(leaf, content, meta)
	if err != nil {
		return nil, fmt.Errorf("read record %d: %w", leaf, err)
	}
	if rec.item.Index != leaf {
		return nil, fmt.Errorf("%w: record %d found in place of %d", ErrMismatch, rec.item.Index, leaf)
	}
	return rec, nil
}
