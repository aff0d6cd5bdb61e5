package collect

import "github.com/exhibit-dfir/exhibit/evidence"

// Host is the machine being collected: the running one, or one whose file
// systems are mounted below Root. All paths its methods take are absolute
// paths of the host as raw bytes; they are resolved inside Root, links too.
type Host struct {
	Root string // "/" for the running host
	Live bool   // processes, network and kernel state can be asked
}

// DirEntry is one name in a folder. Type holds the file type bits of st_mode
// (unix.S_IFREG and so on), 0 when the file system does not say.
type DirEntry struct {
	Name string
	Type uint32
}

var _ = evidence.Stat{}
