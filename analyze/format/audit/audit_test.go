package audit_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/format/audit"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestRecordsAreTakenApart(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"type=CWD msg=audit(1795413890.880:340): cwd=\"/home/a\"", "|CWD|1795413890.880:340|cwd=/home/a"},
		{"node=n1 type=CWD msg=audit(1795413890.8:340): cwd=2F61", "n1|CWD|1795413890.800:340|cwd=/a"},
		{"type=USER_LOGIN msg=audit(1.002:3): pid=4 msg='op=login acct=\"x\" res=failed'\x1dUID=\"root\"", "|USER_LOGIN|1.002:3|pid=4 op=login acct=x res=failed +UID=root"},
		{"type=AVC msg=audit(1.002:3): avc:  denied  { read } for  pid=5 comm=\"a b\" dev=hda7", "|AVC|1.002:3|pid=5 comm=a b dev=hda7"},
		{"type=USER_ACCT msg=audit(1.002:3): user pid=5 msg='PAM: accounting acct=root : exe=\"/x\" res=success'", "|USER_ACCT|1.002:3|pid=5 acct=root exe=/x res=success"},
		{"type=SOCKADDR msg=audit(1.002:3): saddr=10\x1dSADDR={ saddr_fam=netlink nlnk-pid=0 }", "|SOCKADDR|1.002:3|saddr=10 +SADDR={ saddr_fam=netlink nlnk-pid=0 }"},
		{"type=WRONGDATE msg=audit(1337845201): x=1", ""},
		{"type=EMPTYDATE msg=audit(): x=1", ""},
		{"type= msg=audit(1337845333.174:94984): x=1", ""},
		{"", ""},
	} {
		var h audit.Header
		got := ""
		if audit.ParseHeader([]byte(c.line), &h) {
			var parts []string
			for i, body := range [][]byte{h.Body, h.Enriched} {
				fields := audit.NewFields(body)
				var f audit.Field
				for fields.Next(&f) {
					value := f.Value
					if audit.Encoded(f.Key) {
						value = audit.Decode(nil, f.Value, f.Quoted)
					}
					parts = append(parts, strings.Repeat("+", i)+string(f.Key)+"="+string(value))
				}
			}
			got = fmt.Sprintf("%s|%s|%d.%03d:%d|%s", h.Node, h.Type, h.Sec, h.Millis, h.Serial, strings.Join(parts, " "))
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

func TestArgumentsAreJoinedFromTheirPieces(t *testing.T) {
	var a audit.Arguments
	a.Reset()
	a.Add([]byte(`argc=5 a0="sh" a1="-c" a2=6120622763 a3_len=8 a3[0]=61626364`))
	a.Add([]byte(`a3[1]="efgh" a4=""`))
	if got := string(a.Shell(nil, 1000)); got != `sh -c 'a b'\''c' abcdefgh ''` || a.Len() != 5 || a.Want() != 5 {
		t.Errorf("got %s, %d of %d", got, a.Len(), a.Want())
	}
	a.SetTitle([]byte("ls\x00-l\x00a b"))
	if got := string(a.Shell(nil, 1000)); got != "ls -l 'a b'" {
		t.Errorf("title: %s", got)
	}
	if got := string(a.Shell(nil, 4)); got != "ls -" {
		t.Errorf("limited: %s", got)
	}
}

func TestSocketAddressesAreDecoded(t *testing.T) {
	for _, c := range []struct{ hex, want string }{
		{"020000500A42000B0000000000000000", "2 10.66.0.11:80"},
		{"0A00005000000000" + "20010DB8000000000000000000000007" + "00000000", "10 [2001:db8::7]:80"},
		{"0A00005000000000" + "00000000000000000000FFFF0A42000B" + "00000000", "10 10.66.0.11:80"},
		{"01002F72756E2F7800000000", "1 /run/x"},
		{"0100006162630000", "1 @abc"},
		{"100000000700000000000000", "16 id 7"},
		{"0002005001020304", "2 1.2.3.4:80"},
		{"0200", "refused"},
		{"02000", "refused"},
		{"zz00", "refused"},
	} {
		s, ok := audit.ParseSockaddr([]byte(c.hex), make([]byte, 0, 64))
		got := "refused"
		if ok {
			switch {
			case s.Addr.IsValid() && s.Addr.Is4():
				got = fmt.Sprintf("%d %s:%d", s.Family, s.Addr, s.Port)
			case s.Addr.IsValid():
				got = fmt.Sprintf("%d [%s]:%d", s.Family, s.Addr, s.Port)
			case s.Path != nil:
				got = fmt.Sprintf("%d %s", s.Family, s.Path)
			default:
				got = fmt.Sprintf("%d id %d", s.Family, s.ID)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.hex, got, c.want)
		}
	}
}

func assemble(text string) []string {
	var got []string
	a := audit.NewAssembler(func(ev *audit.Event) {
		s := fmt.Sprintf("%d:", ev.Serial)
		for i := range ev.Records {
			s += fmt.Sprintf(" %s@%d", ev.Records[i].Type, ev.Records[i].Line)
		}
		got = append(got, s)
	})
	for i, line := range strings.Split(text, "\n") {
		var h audit.Header
		if audit.ParseHeader([]byte(line), &h) {
			a.Add(&h, int64(i), 1, int64(i+1))
		}
	}
	a.Flush()
	return got
}

func TestInterleavedRecordsAreSorted(t *testing.T) {
	got := assemble(`type=SYSCALL msg=audit(10.001:1): a=1
type=SYSCALL msg=audit(10.001:2): a=1
type=CWD msg=audit(10.001:1): a=1
type=USER_AUTH msg=audit(10.002:3): a=1
type=CWD msg=audit(10.001:2): a=1
type=PROCTITLE msg=audit(10.001:2): a=1
type=PROCTITLE msg=audit(10.001:1): a=1
type=SYSCALL msg=audit(20.001:1): another boot has the same serial`)
	want := []string{"1: SYSCALL@1 CWD@3 PROCTITLE@7", "2: SYSCALL@2 CWD@5 PROCTITLE@6", "3: USER_AUTH@4", "1: SYSCALL@8"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnEventThatNeverEndsDoesNotHoldTheOthersBack(t *testing.T) {
	var b strings.Builder
	b.WriteString("type=SYSCALL msg=audit(10.001:1): a=1\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "type=AVC msg=audit(10.002:%d): a=1\n", i+2)
	}
	if got := assemble(b.String()); len(got) != 5001 {
		t.Errorf("%d events, want 5001", len(got))
	}
}

func TestSyscallNamesAgreeWithAusyscall(t *testing.T) {
	tool := testenv.Tool(t, "ausyscall")
	// The audit library and the kernel's headers spell these differently.
	known := map[string]string{
		"pread64": "pread", "pwrite64": "pwrite", "getdents64": "getdents", "fstatat": "newfstatat", "fstat": "newfstat",
		"sync_file_range2": "sync_file_range", "kexec_load": "sys_kexec_load", "sched_rr_get_interval_time64": "sched_rr_get_interval64",
	}
	s := audit.NewSyscalls()
	for arch, value := range map[string]string{"x86_64": "c000003e", "i386": "40000003", "aarch64": "c00000b7"} {
		out, err := exec.Command(tool, arch, "--dump").Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(out), "\n")[1:] {
			number, name, ok := strings.Cut(line, "\t")
			n, err := strconv.ParseInt(number, 10, 64)
			if !ok || err != nil {
				continue
			}
			if got := s.Name([]byte(value), n); got != name && known[got] != name {
				t.Errorf("%s %d: %q, ausyscall says %q", arch, n, got, name)
			}
		}
	}
	if s.Name([]byte("c000003e"), 99999) != "" || s.Name([]byte("x"), 1) != "" || s.Name([]byte("c000003e"), -1) != "" {
		t.Error("a call that does not exist has a name")
	}
}

func FuzzAssemble(f *testing.F) {
	f.Add([]byte("type=SYSCALL msg=audit(10.001:1): arch=c000003e a0=1\ntype=EXECVE msg=audit(10.001:1): argc=1 a0_len=4 a0[0]=6162 a0[1]=63\ntype=SOCKADDR msg=audit(10.001:1): saddr=0200005001020304\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		records := 0
		var args audit.Arguments
		a := audit.NewAssembler(func(ev *audit.Event) {
			records -= len(ev.Records)
			args.Reset()
			for i := range ev.Records {
				if ev.Records[i].ID != ev.ID {
					t.Error("a record of another event")
				}
				args.Add(ev.Records[i].Body)
				fields := audit.NewFields(ev.Records[i].Body)
				var f audit.Field
				for fields.Next(&f) {
					audit.ParseSockaddr(f.Value, nil)
				}
			}
			args.Shell(nil, 100)
		})
		for i, line := range bytes.Split(in, []byte("\n")) {
			var h audit.Header
			if audit.ParseHeader(line, &h) {
				records++
				a.Add(&h, int64(i), 1, int64(i))
			}
		}
		a.Flush()
		if records != 0 {
			t.Errorf("%d records lost", records)
		}
	})
}
