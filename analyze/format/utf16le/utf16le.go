// Package utf16le reads the text of Windows: UTF-16, little endian, which may
// hold what is no Unicode.
package utf16le

import (
	"encoding/binary"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Append writes little endian UTF-16 as UTF-8. A surrogate without its
// partner becomes \uNNNN, an odd last byte \xNN; lone says so.
func Append(dst, b []byte) (_ []byte, lone bool) {
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		if x&0xff80ff80ff80ff80 != 0 {
			break
		}
		dst = append(dst, byte(x), byte(x>>16), byte(x>>32), byte(x>>48))
		b = b[8:]
	}
	for len(b) >= 2 {
		u := rune(binary.LittleEndian.Uint16(b))
		b = b[2:]
		switch {
		case u < utf8.RuneSelf:
			dst = append(dst, byte(u))
		case !utf16.IsSurrogate(u):
			dst = utf8.AppendRune(dst, u)
		default:
			if len(b) >= 2 {
				if r := utf16.DecodeRune(u, rune(binary.LittleEndian.Uint16(b))); r != utf8.RuneError {
					dst = utf8.AppendRune(dst, r)
					b = b[2:]
					continue
				}
			}
			dst = fmt.Appendf(dst, `\u%04X`, u)
			lone = true
		}
	}
	if len(b) == 1 {
		dst = fmt.Appendf(dst, `\x%02x`, b[0])
		lone = true
	}
	return dst, lone
}
