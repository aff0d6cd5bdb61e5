package pcapfilter

import (
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// attach has the kernel check a program.
func attach(t testing.TB, program Program) {
	t.Helper()
	// The rules are those of every socket; this one needs no privilege.
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	raw := make([]unix.SockFilter, len(program))
	for i, ins := range program {
		raw[i] = unix.SockFilter{Code: ins.Code, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(raw)), Filter: &raw[0]})
	if err != nil && err != unix.ENOMEM { // the sum of a socket's programs is bounded by its option memory
		t.Fatalf("the kernel refuses a program of %d instructions: %v\n%v", len(program), err, program)
	}
}

func TestKernelTakesEveryProgram(t *testing.T) {
	expressions := testExpressions()
	r := rand.New(rand.NewPCG(9, 10))
	for range 100 {
		expressions = append(expressions, randomExpression(r, 5))
	}
	// Long ones, whose jumps do not reach their goals.
	expressions = append(expressions, "port 1"+strings.Repeat(" or 2", 20), "not (tcp and (port 1"+strings.Repeat(" or 2", 9)+")) and vlan and udp")
	longest, refusedLong := 0, 0
	for _, e := range expressions {
		p, err := Compile(e)
		if err != nil {
			if strings.Contains(err.Error(), errLong.Error()) {
				refusedLong++
				continue
			}
			t.Errorf("%q: %v", e, err)
			continue
		}
		longest = max(longest, len(p))
		attach(t, p)
	}
	if longest < 1000 || refusedLong > len(expressions)/10 {
		t.Errorf("longest program: %d instructions; %d of %d expressions too long", longest, refusedLong, len(expressions))
	}
	t.Logf("%d expressions, longest program %d instructions, %d too long", len(expressions), longest, refusedLong)
}
