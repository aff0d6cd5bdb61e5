package bundle

// tailLeaf is what a record adds to the tail of a bundle: its leaf in
// leaves.txt, of which 32 bytes do not compress, and its line of the index.
const tailLeaf = 48

// Length returns about how long the bundle would be if it were sealed now, in
// bytes that reach the sink: what was written, what still waits to be
// compressed as if it did not compress at all, and the tail.
func (w *Writer) Length() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	written, waiting, frames := w.frames.progress()
	return written + waiting + int64(len(w.buf)+len(w.batch)) + tailLeaf*w.tree.size + 8*int64(frames)
}

// Remembered returns how many bytes the Writer keeps for the records so far:
// what has to be written at the end of a bundle, and grows until then.
func (w *Writer) Remembered() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _, frames := w.frames.progress()
	return int64(len(w.leaves))*leafChunk*32 + 8*int64(len(w.names.slots)+frames) + 40*int64(len(w.rows))
}

// Room returns how many more records the bundle takes.
func (w *Writer) Room() int64 { return max(leafLimit-leafReserve-w.Len(), 0) }

// progress returns the bytes that reached the sink, those not compressed yet,
// and the number of frames.
func (f *frameWriter) progress() (written, waiting int64, frames int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.packed, f.waiting, len(f.spans)
}
