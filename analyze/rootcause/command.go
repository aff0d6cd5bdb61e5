package rootcause

import "sort"

// findCommands collects commands of which a log or a history tells but no
// process record, and the other acts that stand alone.
func (x *index) findCommands() {
	x.cmdOf = make(map[int32]int32)
	x.sudos = make(map[sym][]int32)
	byCmd := make(map[sym][]int32)
	for i := range x.procs {
		if p := &x.procs[i]; p.cmd != 0 && p.started {
			c := x.keyOf(p.cmd)
			byCmd[c] = append(byCmd[c], int32(i))
		}
	}
	for i := range x.facts {
		f := &x.facts[i]
		switch f.act {
		case actSudo, actCommand:
			if f.act == actSudo && f.cmd != 0 {
				k := x.keyOf(f.cmd)
				x.sudos[k] = append(x.sudos[k], int32(i))
			}
			if f.cmd == 0 && f.act == actCommand {
				continue
			}
			if p, ok := x.commandProcess(f, byCmd); ok {
				x.cmdOf[int32(i)] = p
				if x.factOf[i] < 0 {
					x.factOf[i] = p
				}
				x.procs[p].facts = keep(x.procs[p].facts, int32(i))
				continue
			}
			x.commands = append(x.commands, int32(i))
		case actPackage:
			x.packages = append(x.packages, int32(i))
		case actAccount:
			x.accounts = append(x.accounts, int32(i))
		}
	}
	x.findWording()
}

// commandProcess finds the process that a sudo or history line is the twin of:
// the same command line, the same account where both state it, and a time that
// fits. A sudo line names the command with its full path.
func (x *index) commandProcess(f *fact, byCmd map[sym][]int32) (int32, bool) {
	if f.act == actSudo && f.pid > 0 {
		if p, ok := x.procAt(f.host, f.pid, f.ts); ok && baseOf(x.text[x.procs[p].exe]) == "sudo" {
			return p, true
		}
	}
	lo, hi := f.ts, f.end
	if f.act == actSudo {
		lo, hi = f.ts-10*second, f.ts+30*second
	} else if hi == lo {
		lo, hi = f.ts-5*second, f.ts+60*second
	}
	for _, t := range [...]sym{x.keyOf(f.cmd), x.sudoKeyOf(f.cmd)} {
		list := byCmd[t]
		from := sort.Search(len(list), func(k int) bool { return x.procs[list[k]].start >= lo })
		for _, p := range list[from:] {
			e := &x.procs[p]
			if e.start > hi {
				break
			}
			if e.host == f.host && e.start >= lo && e.start <= hi && (f.act == actSudo || f.user == 0 || e.user == 0 || e.user == f.user) {
				return p, true
			}
		}
	}
	return 0, false
}
