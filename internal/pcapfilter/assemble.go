package pcapfilter

import (
	"errors"
	"fmt"
)

// cells is how many memory words a program has (BPF_MEMWORDS).
const cells = 16

// condition is a Boolean expression over a packet: a constant, a test, or
// others joined.
type condition struct {
	join  byte // 0: a test; '1', '0': constants; '&', '|', '!'
	of    []*condition
	loads []Instruction // a test: what brings the value into A
	code  uint16        // the jump: equal, greater, atLeast or anyBit, with useX or not
	k     uint32
}

var matchAll, matchNone = &condition{join: '1'}, &condition{join: '0'}

func test(loads []Instruction, code uint16, k uint32) *condition {
	return &condition{loads: loads, code: code, k: k}
}

func isEqual(loads []Instruction, k uint32) *condition { return test(loads, equal, k) }

func loadWord(at uint32) []Instruction {
	return []Instruction{{Code: load | word | absolute, K: at}}
}

// all and either leave out the constants that change nothing, and what is
// behind one that decides.
func all(of ...*condition) *condition    { return join('&', matchAll, matchNone, of) }
func either(of ...*condition) *condition { return join('|', matchNone, matchAll, of) }

func not(c *condition) *condition {
	switch c.join {
	case '1':
		return matchNone
	case '0':
		return matchAll
	case '!':
		return c.of[0]
	}
	return &condition{join: '!', of: []*condition{c}}
}

func join(how byte, neutral, decides *condition, of []*condition) *condition {
	j := &condition{join: how}
	for _, c := range of {
		if c == neutral {
			continue
		}
		j.of = append(j.of, c)
		if c == decides {
			break
		}
	}
	switch {
	case len(j.of) == 0:
		return neutral
	case len(j.of) == 1:
		return j.of[0]
	}
	return j
}

// step is an instruction whose jumps lead to labels.
type step struct {
	Instruction
	yes, no int
	label   int // 0: none; else this is the place of that label and no instruction
}

// labels of the two ends of every program.
const (
	accept = 1
	reject = 2
)

type assembler struct {
	steps  []step
	labels int
}

// assemble turns a condition into a program that ends in one of two returns.
func assemble(c *condition) (Program, error) {
	a := &assembler{labels: reject}
	a.condition(c, accept, reject)
	a.mark(accept)
	a.steps = append(a.steps, step{Instruction: Instruction{Code: ret, K: whole}})
	a.mark(reject)
	a.steps = append(a.steps, step{Instruction: Instruction{Code: ret}})
	return a.link()
}

func (a *assembler) mark(label int) { a.steps = append(a.steps, step{label: label}) }

func (a *assembler) condition(c *condition, yes, no int) {
	switch c.join {
	case '1':
		a.steps = append(a.steps, step{Instruction: Instruction{Code: jump | always}, yes: yes})
	case '0':
		a.steps = append(a.steps, step{Instruction: Instruction{Code: jump | always}, yes: no})
	case '!':
		a.condition(c.of[0], no, yes)
	case '&', '|':
		for i, part := range c.of {
			y, n := yes, no
			if i == len(c.of)-1 {
				a.condition(part, y, n)
				return
			}
			a.labels++
			next := a.labels
			if c.join == '&' {
				y = next
			} else {
				n = next
			}
			a.condition(part, y, n)
			a.mark(next)
		}
	default:
		for _, ins := range c.loads {
			a.steps = append(a.steps, step{Instruction: ins})
		}
		a.steps = append(a.steps, step{Instruction: Instruction{Code: jump | c.code, K: c.k}, yes: yes, no: no})
	}
}

var errLong = errors.New("its program is too long; leave a part out")

// link resolves labels. A conditional jump reaches 255 instructions: where its
// goal is further away, an unconditional one behind it goes on.
func (a *assembler) link() (Program, error) {
	far := make([][2]bool, len(a.steps))
	for {
		places, at := make(map[int]int), 0
		starts := make([]int, len(a.steps))
		for i, s := range a.steps {
			starts[i] = at
			if s.label != 0 {
				places[s.label] = at
				continue
			}
			at++
			for _, long := range far[i] {
				if long {
					at++
				}
			}
		}
		if at > MaxInstructions {
			return nil, errLong
		}
		program := make(Program, 0, at)
		grown := false
		for i, s := range a.steps {
			if s.label != 0 {
				continue
			}
			if s.yes == 0 {
				program = append(program, s.Instruction)
				continue
			}
			if s.Code == jump|always {
				s.K = uint32(places[s.yes] - starts[i] - 1)
				program = append(program, s.Instruction)
				continue
			}
			extra := 0 // unconditional jumps behind this one so far
			offset := func(goal, side int) (uint8, Instruction) {
				if far[i][side] {
					ja := Instruction{Code: jump | always, K: uint32(places[goal] - (starts[i] + 2 + extra))}
					extra++
					return uint8(extra - 1), ja
				}
				return 0, Instruction{}
			}
			jt, jaYes := offset(s.yes, 0)
			jf, jaNo := offset(s.no, 1)
			ins := s.Instruction
			for side, goal := range []int{s.yes, s.no} {
				d := places[goal] - starts[i] - 1
				switch {
				case far[i][side]:
				case d < 0:
					return nil, fmt.Errorf("its program jumps backwards")
				case d > 255:
					far[i][side], grown = true, true
				case side == 0:
					jt = uint8(d)
				default:
					jf = uint8(d)
				}
			}
			ins.Jt, ins.Jf = jt, jf
			program = append(program, ins)
			if far[i][0] {
				program = append(program, jaYes)
			}
			if far[i][1] {
				program = append(program, jaNo)
			}
		}
		if !grown {
			return program, nil
		}
	}
}
