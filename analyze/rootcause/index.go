package rootcause

import (
	"slices"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// index holds the entities of a case and the facts they are made of. All
// slices are in time order; entities are named by their position.
type index struct {
	*symbols
	opt   Options
	facts []fact

	boots map[sym][]int64 // host → starts of boots

	procs   []proc
	byPID   map[hostPID][]int32
	factOf  []int32 // fact → process, -1 for none
	bySess  map[sym][]int32
	byExe   map[sym]int    // executions
	byPair  map[[2]sym]int // parent program, program
	kids    []int32        // process → number of children
	named   map[string][]int32
	commons map[string]int

	sessions  []session
	recent    map[stay][]int32    // while logins are joined
	logins    map[account][]begun // while sessions are numbered
	byAccount map[account]*stays
	byTTY     map[accountTTY]*stays
	byStay    map[stay]*stays
	byHost    map[sym]*stays
	guessed   map[int32]guessed
	sessByID  map[hostSession][]int32
	sessByPID map[hostPID][]int32

	attempts map[hostIP]*attempts

	files    []file
	fileByID map[hostPath]int32
	byBase   map[string][]int32 // last element of a path → files

	units               []unit
	unitByID            map[hostPath]int32
	jobs                []job
	jobByID             map[jobKey]int32
	jobsByCmd           map[hostPath][]int32 // host and command key → jobs
	runsByPID           map[hostPID][]jobRunOf
	unitStarts          []int32       // facts
	cronFiles, keyFiles []int32       // files
	firstOn             map[sym]int32 // host → its first session
	cmdKeys, sudoKeys   map[sym]sym   // command → commandKey of it
	wording             wording
	cronLoad            []int32 // facts
	bindings            []int32 // facts: sockets, live

	commands []int32 // facts: sudo lines and history lines without a process
	cmdOf    map[int32]int32
	sudos    map[sym][]int32 // command → sudo's records of it
	flows    []flow
	flowOf   map[int32]int32
	byRemote map[sym][]int32 // address → flows
	requests []int32         // facts
	visits   []visit
	visitOf  map[int32]int32
	packages []int32            // facts
	accounts []int32            // facts
	clients  map[string][]int32 // remote login clients by program

	defs definitions
}

type hostPID struct {
	host sym
	pid  int32
}

type hostSession struct{ host, id sym }

type hostIP struct{ host, ip sym }

type hostPath struct{ host, path sym }

// build makes the entities. Order matters: each step uses those before it.
func build(r *reader, opt Options, defs definitions) *index {
	x := &index{symbols: r.symbols, opt: opt, facts: r.facts, defs: defs, cmdKeys: make(map[sym]sym), sudoKeys: make(map[sym]sym)}
	x.findBoots()
	x.findSessions()
	x.findProcesses()
	x.joinSessions()
	x.findNames()
	x.findFiles()
	x.findServices()
	x.findNetwork()
	x.findCommands()
	x.findClients()
	return x
}

// findBoots collects when each host was started. The first time of each boot
// identity and each boot record count; starts within three minutes of each
// other are one.
func (x *index) findBoots() {
	type hostBoot struct{ host, boot sym }
	x.boots = make(map[sym][]int64)
	seen := make(map[hostBoot]bool)
	for i := range x.facts {
		f := &x.facts[i]
		if f.ts == timeline.None || f.from == fromFiles {
			continue
		}
		k := hostBoot{f.host, f.boot}
		if f.act == actBoot || f.boot != 0 && !seen[k] {
			seen[k] = true
			b := x.boots[f.host]
			if len(b) == 0 || f.ts-b[len(b)-1] > 180*second {
				x.boots[f.host] = append(b, f.ts)
			}
		}
	}
}

// bootSlack is how long before the first record of a boot something may have
// been started in it.
const bootSlack = 60 * second

// sameBoot reports whether the host was not started between two times.
func (x *index) sameBoot(host sym, a, b int64) bool {
	if a > b {
		a, b = b, a
	}
	list := x.boots[host]
	i, _ := slices.BinarySearch(list, a+bootSlack+1)
	return i == len(list) || list[i]-bootSlack > b
}

// bootStart returns the start of the boot that t lies in, None if unknown.
func (x *index) bootStart(host sym, t int64) int64 {
	list := x.boots[host]
	i, _ := slices.BinarySearch(list, t+bootSlack+1)
	if i == 0 {
		return timeline.None
	}
	return list[i-1]
}

// latest returns the last element whose time is not after t.
func latest(list []int32, t int64, at func(int32) int64) (int32, bool) {
	i, _ := slices.BinarySearchFunc(list, t, func(e int32, t int64) int {
		if at(e) <= t {
			return -1
		}
		return 1
	})
	if i == 0 {
		return 0, false
	}
	return list[i-1], true
}

// keep adds an event to a bounded list of those that prove an entity: the
// first ones, because the first record of a fact is the strongest.
func keep(list []int32, f int32) []int32 {
	if len(list) >= maxProof {
		return list
	}
	return append(list, f)
}

// maxProof bounds how many events an entity holds as its proof.
const maxProof = 16

// findClients lists the remote login clients among the processes.
func (x *index) findClients() {
	x.clients = make(map[string][]int32)
	for i := range x.procs {
		switch b := baseOf(x.text[x.procs[i].exe]); b {
		case "ssh", "scp", "sftp", "sshpass":
			x.clients[b] = append(x.clients[b], int32(i))
		}
	}
}
