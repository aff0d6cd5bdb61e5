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

// Room returns how many more records the bundle takes.
func (w *Writer) Room() int64 { return max(leafLimit-leafReserve-w.Len(), 0) }

// progress returns the bytes that reached the sink, those not compressed yet,
// and the number of frames.
func (f *frameWriter) progress() (written, waiting int64, frames int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.packed, f.waiting, len(f.spans)
}
