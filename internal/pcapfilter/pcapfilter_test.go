package pcapfilter

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestWhatCannotBeCompiledIsSaidWithItsPlace(t *testing.T) {
	for _, tc := range []struct{ expression, want string }{
		{"host example.com", `at character 6 ("example.com"): names are not looked up`},
		{"net example", `at character 5 ("example"): names are not looked up`},
		{"tcp port 80 and host", `at its end (character 21): want a value of host`},
		{"10.0.0.1", `at character 1 ("10.0.0.1"): say what it is`},
		{"tcp or 80", `at character 8 ("80"): say what it is`},
		{"(port 80) or 443", `at character 14 ("443"): say what it is`},
		{"port 80 or (443 or tcp)", `at character 20 ("tcp"): want a value of port`},
		{"tcp port 70000", `at character 10 ("70000"): a port is at most 65535`},
		{"port nosuch", `at character 6 ("nosuch"): no port of this name`},
		{"ip broadcast", `at character 1 ("ip"): the network mask is not known`},
		{"ip6 broadcast", `IPv6 has no broadcast`},
		{"gateway gw", `a gateway's name has to be looked up`},
		{"tcp gateway", `want and, or, or the end`},
		{"stp", `frames of IEEE 802.2 are not understood; tcpdump -ddd`},
		{"ether proto 60", `at character 13 ("60"): 60 is the length of a frame`},
		{"ip proto 300", `a protocol is at most 255`},
		{"proto nosuch", `no protocol of this name`},
		{"tcp host 10.0.0.1", `at character 1 ("tcp"): tcp has no host`},
		{"ip port 80", `ip has no port`},
		{"src tcp port 80", `want a value of host, not a keyword`},
		{"ip host ::1", `ip has no IPv6 addresses`},
		{"ip6 host 10.0.0.1", `ip6 has no IPv4 addresses`},
		{"host 10.0.0.0/8", `a host has no network mask`},
		{"host 10.1", `an address has four numbers`},
		{"host 010.0.0.1", `no IPv4 address`},
		{"host 10.0.0.256", `no IPv4 address`},
		{"net 10.0.0.1/8", `the network is 10.0.0.0/8`},
		{"net 10.0.0.0/33", `at most 32`},
		{"net 10.0.0.0 mask 255.0.255.0", `has its ones in front`},
		{"net 2001:db8::1/32", `the network is 2001:db8::/32`},
		{"host fe80:::1", `no IPv6 address`},
		{"host 1:2:3:4:5:6", `wants ether before it`},
		{"ether host 10.0.0.1", `want an Ethernet address`},
		{"ether", `at its end (character 6): want host, src, dst, proto`},
		{"src proto 6", `a protocol has no direction`},
		{"src or src 10.0.0.1", `src and dst`},
		{"tcp and", `at its end (character 8): want a test`},
		{"tcp udp", `at character 5 ("udp"): want and, or`},
		{"(tcp", `want a closing parenthesis`},
		{"tcp)", `at character 4 (")"): want and, or`},
		{"tcp[0:3] = 1", `at character 7 ("3"): one loads 1, 2 or 4 bytes`},
		{"tcp[0", `want a closing bracket`},
		{"tcp[0] & 2", `want a comparison such as != 0`},
		{"tcp[x] = 1", `at character 5 ("x"): want a number`},
		{"len / 0 = 1", `division by zero`},
		{"len << 32 = 1", `shift by at most 31`},
		{"len % 2 + 1 = 1", `put parentheses`},
		{"len + 1 ^ 2 = 1", `put parentheses`},
		{"ip[4294963186] = 1", `an offset is below`},
		{"vlan 5000", `a VLAN is at most 4095`},
		{"less", `want a length, a number`},
		{"less 99999999999", `want a length, a number`},
		{strings.Repeat("(", 100) + "tcp", `nest deeper than 64`},
		{strings.Repeat("tcp[", 100), `nest deeper than 64`},
		{"len = " + strings.Repeat("(len+", 20) + "1" + strings.Repeat(")", 20), `nests too deeply`},
		{strings.Repeat(" ", maxText+1), `longer than 16384 bytes`},
		{"port 1" + strings.Repeat(" or 2", 2000), `too long`},
		{"tcp \x1b[31m", `at character 5 ("\x1b"): want and, or`},
		{"host é", `("\xc3")`},
	} {
		_, err := Compile(tc.expression)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%.60q: error %v, want %q", tc.expression, err, tc.want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%.60q: error has more than one line or a control character: %q", tc.expression, err)
		}
	}
}

func TestNamesOfPortsAndProtocolsStandForTheirNumbers(t *testing.T) {
	for _, tc := range [][2]string{
		{"port https", "port 443"},
		{"portrange ssh-http", "portrange 22-80"},
		{"ip proto udp", "ip proto 17"},
		{`proto \ospf`, "proto 89"},
		{"ether proto ip6", "ether proto 0x86dd"},
		{"net 010", "net 10"}, // refused
		{"-ip[8] = 1", "0 - ip[8] = 1"},
		{"tcp\n\tand udp", "tcp and udp"},
	} {
		a, errA := Compile(tc[0])
		b, errB := Compile(tc[1])
		if tc[0] == "net 010" {
			if errA == nil {
				t.Error("net 010 may be octal or decimal: it is not refused")
			}
			continue
		}
		if errA != nil || errB != nil || !slices.Equal(a, b) {
			t.Errorf("%q and %q differ: %v, %v", tc[0], tc[1], errA, errB)
		}
	}
}

func TestEmptyExpressionMatchesEverything(t *testing.T) {
	for _, e := range []string{"", " \n"} {
		p, err := Compile(e)
		if err != nil || !slices.Equal(p, Program{{Code: ret, K: whole}}) && len(p) > 2+1 {
			t.Errorf("%v %v", p, err)
		}
	}
}

func TestProgramsReadBackAsPrinted(t *testing.T) {
	for _, e := range writtenExpressions {
		p, err := Compile(e)
		if err != nil {
			t.Fatalf("%q: %v", e, err)
		}
		back, err := Parse(p.String())
		if err != nil || !slices.Equal(back, p) {
			t.Errorf("%q: %v", e, err)
		}
	}
}

func TestProgramsThatTheKernelWouldRefuseAreNotRead(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", "line 1 is not a number"},
		{"0\n", "line 1 is not a number"},
		{"5000\n", "line 1 is not a number"},
		{"2\n6 0 0 1\n", "2 instructions announced, 1 lines follow"},
		{"1\n6 0 0\n", "line 2 is not code"},
		{"1\n6 0 0 4294967296\n", "line 2 is not code"},
		{"1\n6 0 0 x\n", "line 2 is not code"},
		{"1\n40 0 0 12\n", "no return"},
		{"2\n21 1 0 5\n6 0 0 0\n", "jumps out"},
		{"2\n5 0 0 1\n6 0 0 0\n", "jumps out"},
		{"2\n5 0 0 4294967295\n6 0 0 0\n", "jumps out"},
		{"2\n2 0 0 16\n6 0 0 0\n", "memory cell 16 of 16"},
		{"2\n96 0 0 3\n6 0 0 0\n", "which nothing stored"},
		{"4\n21 0 1 5\n2 0 0 3\n96 0 0 3\n6 0 0 0\n", "which nothing stored"},
		{"2\n52 0 0 0\n6 0 0 0\n", "divides by zero"},
		{"2\n100 0 0 32\n6 0 0 0\n", "shifts by 32"},
		{"2\n255 0 0 0\n6 0 0 0\n", "unknown code"},
		{"2\n32 0 0 4294963204\n6 0 0 0\n", ""}, // the direction: known
		{"2\n32 0 0 4294963206\n6 0 0 0\n", "something unknown"},
		{"2\n32 0 0 4294967295\n6 0 0 0\n", "something unknown"},
		{"1\n22 0 0 0\n", "unknown code"}, // a return of A
	} {
		if _, err := Parse(tc.text); (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want %q", tc.text, err, tc.want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, e := range writtenExpressions {
		f.Add(e)
	}
	r := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		f.Add(randomExpression(r, 4))
	}
	frames := framesFor(r, 50)
	f.Fuzz(func(t *testing.T, expression string) {
		program, err := Compile(expression)
		if err != nil {
			if strings.ContainsRune(err.Error(), '\n') {
				t.Fatalf("error of two lines: %q", err)
			}
			return
		}
		if len(program) > MaxInstructions {
			t.Fatalf("%d instructions", len(program))
		}
		if err := program.check(); err != nil {
			t.Fatalf("%v in\n%v", err, program)
		}
		if back, err := Parse(program.String()); err != nil || !slices.Equal(back, program) {
			t.Fatalf("reads back differently: %v", err)
		}
		attach(t, program)
		if alone, err := compileFor(expression, layout{link: ethernetLink, network: 14}); err == nil && !asksKernel(alone) {
			run(t, alone, frames)
		}
	})
}

// asksKernel reports whether a program loads what only the kernel knows.
func asksKernel(p Program) bool {
	return slices.ContainsFunc(p, func(i Instruction) bool {
		return i.Code == load|word|absolute && i.K >= ancillary
	})
}

func FuzzParse(f *testing.F) {
	for _, e := range writtenExpressions {
		p, err := Compile(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p.String())
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := Parse(text); err == nil {
			attach(t, p)
		}
	})
}
