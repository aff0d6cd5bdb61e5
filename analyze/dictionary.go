package analyze

import (
	"bufio"
	"fmt"
)

// maxDictionary bounds the window that an .xz file may ask for: xz -9 asks for
// 64 MiB, the format allows 4 GiB, and the decoder sets all of it aside.
const maxDictionary = 64 << 20

// checkDictionary reads the first block header of an .xz stream (The .xz File
// Format 1.2, sections 2.1.1, 3.1 and 5.3.1) without consuming it. Headers it
// cannot read are left to the decoder, which refuses them.
func checkDictionary(br *bufio.Reader) error {
	const streamHeader, lzma2 = 12, 0x21
	b, _ := br.Peek(streamHeader + 1024)
	if len(b) < streamHeader+2 || b[streamHeader] == 0 {
		return nil
	}
	b = b[streamHeader:min(len(b), streamHeader+4*(int(b[streamHeader])+1))]
	flags, at := b[1], 2
	for _, present := range [...]bool{flags&0x40 != 0, flags&0x80 != 0} { // sizes of the block
		for present && at < len(b) {
			at++
			present = b[at-1]&0x80 != 0
		}
	}
	for range flags&3 + 1 {
		if at+2 > len(b) || b[at+1] > 127 { // a longer number is none of ours
			return nil
		}
		id, size := b[at], int(b[at+1])
		if id == lzma2 && size == 1 && at+2 < len(b) {
			if n := dictionarySize(b[at+2]); n > maxDictionary {
				return fmt.Errorf("asks for a dictionary of %d MiB, at most %d MiB are granted", n>>20, maxDictionary>>20)
			}
		}
		at += 2 + size
	}
	return nil
}

// dictionarySize undoes the encoding of LZMA2's only property.
func dictionarySize(bits byte) int64 {
	if bits &= 0x3f; bits >= 40 {
		return 1<<32 - 1
	}
	return int64(2|bits&1) << (bits/2 + 11)
}
