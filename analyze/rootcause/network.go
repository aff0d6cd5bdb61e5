package rootcause

import (
	"strings"
)

// flow is what is known of traffic between the host's side and one remote
// address and port: connects of processes, captured connections, sockets.
type flow struct {
	remote sym
	port   int32
	facts  []int32 // in time order, bounded
	all    int
	first  int64
	last   int64
}

// visit is the requests of one client for one path.
type visit struct {
	host, client, path sym
	facts              []int32
	all                int
	served             int // requests soon after which the server started a program
	method             sym
}

func (x *index) findNetwork() {
	x.flowOf = make(map[int32]int32)
	x.byRemote = make(map[sym][]int32)
	x.visitOf = make(map[int32]int32)
	type remote struct {
		ip   sym
		port int32
	}
	type visitor struct{ client, path sym }
	flows := make(map[remote]int32)
	visits := make(map[visitor]int32)
	for i := range x.facts {
		f := &x.facts[i]
		switch f.act {
		case actRequest:
			x.requests = append(x.requests, int32(i))
			k := visitor{f.sip, x.of(pathOfURL(x.text[f.url]))}
			v, ok := visits[k]
			if !ok {
				v = int32(len(x.visits))
				x.visits = append(x.visits, visit{host: f.host, client: k.client, path: k.path, method: f.method})
				visits[k] = v
			}
			x.visits[v].facts = keep(x.visits[v].facts, int32(i))
			x.visits[v].all++
			x.visitOf[int32(i)] = v
			fallthrough
		case actConnect, actFlow, actSocket:
			if f.dip == 0 || isLoopback(x.text[f.dip]) || x.text[f.dip] == "0.0.0.0" || x.text[f.dip] == "::" || f.dport <= 0 {
				continue
			}
			k := remote{f.dip, f.dport}
			n, ok := flows[k]
			if !ok {
				n = int32(len(x.flows))
				x.flows = append(x.flows, flow{remote: f.dip, port: f.dport, first: f.ts})
				flows[k] = n
				x.byRemote[f.dip] = append(x.byRemote[f.dip], n)
			}
			w := &x.flows[n]
			w.all++
			w.last = max(w.last, f.ts)
			// Records that name a process are the ones that join.
			if f.pid > 0 && len(w.facts) < maxFlowFacts || len(w.facts) < maxProof {
				w.facts = append(w.facts, int32(i))
			}
			x.flowOf[int32(i)] = n
		}
	}
	x.countServed()
}

// maxFlowFacts bounds the records with a process that one flow holds.
const maxFlowFacts = 4096

// countServed notes how many requests of each visitor were soon followed by a
// program that the web server started.
func (x *index) countServed() {
	var starts []int64
	for i := range x.procs {
		if x.startedByServer(int32(i)) {
			starts = append(starts, x.procs[i].start)
		}
	}
	at := 0
	for _, r := range x.requests {
		t := x.facts[r].ts
		for at < len(starts) && starts[at] < t-requestEarly {
			at++
		}
		if at < len(starts) && starts[at] <= t+requestLate {
			x.visits[x.visitOf[r]].served++
		}
	}
}

// A request is logged when it is answered, a captured one when it is sent: the
// program it started lies between shortly before the record and a while after.
const (
	requestEarly = 5 * second
	requestLate  = 10 * second
)

// startedByServer reports whether a web server, or something it started, made
// image i run another program.
func (x *index) startedByServer(i int32) bool {
	m, ok := x.maker(i)
	if !ok {
		return x.ofServiceAccount(i)
	}
	return roleOf(x.text[x.procs[m].exe]) == roleWeb && x.procs[m].exe != x.procs[i].exe
}

func pathOfURL(u string) string {
	if _, rest, ok := strings.Cut(u, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			u = rest[i:]
		} else {
			u = "/"
		}
	}
	u, _, _ = strings.Cut(u, "?")
	return u
}
