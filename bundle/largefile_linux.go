package bundle

import "golang.org/x/sys/unix"

// largeFile lets 32-bit programs write beyond 2 GiB (open(2)): os.Root does not
// ask for it.
const largeFile = unix.O_LARGEFILE
