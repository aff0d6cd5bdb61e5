package disk

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// table writes a partition table with sfdisk, which then says what it wrote.
func table(t *testing.T, size int64, script string) (path string, want []Volume) {
	t.Helper()
	sfdisk := testenv.Tool(t, "sfdisk")
	path = filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	f.Close()
	cmd := exec.Command(sfdisk, "-q", path)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
	out, err := exec.Command(sfdisk, "-J", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var dump struct {
		PartitionTable struct {
			ID         string
			Partitions []struct {
				Node        string
				Start, Size int64
				UUID, Type  string
			}
		}
	}
	if err := json.Unmarshal(out, &dump); err != nil {
		t.Fatal(err)
	}
	for _, p := range dump.PartitionTable.Partitions {
		if p.Type == "5" || p.Type == "f" {
			continue // the frame of the logical ones
		}
		v := Volume{Offset: p.Start * 512, Size: p.Size * 512, PartUUID: strings.ToLower(p.UUID)}
		if v.Number = int(p.Node[len(p.Node)-1] - '0'); v.PartUUID == "" {
			v.PartUUID = strings.TrimPrefix(dump.PartitionTable.ID, "0x") + "-0" + p.Node[len(p.Node)-1:]
		}
		want = append(want, v)
	}
	return path, want
}

var tables = map[string]string{
	"guid":    "label: gpt\nstart=2048,size=8192\nstart=20480,size=2048\nstart=12288,size=4096\n",
	"old":     "label: dos\nstart=2048,size=8192,type=83\nstart=10240,size=2048,type=82\n",
	"logical": "label: dos\nstart=2048,size=2048,type=83\nstart=4096,size=20480,type=5\nstart=6144,size=2048\nstart=10240,size=4096\nstart=16384,size=2048\n",
}

func TestPartitionsAreThoseOfSfdisk(t *testing.T) {
	for name, script := range tables {
		path, want := table(t, 32<<20, script)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Volumes(f, 32<<20)
		f.Close()
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %+v, %v, want %+v", name, got, err, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: %+v, want %+v", name, got[i], want[i])
			}
		}
	}
}

func TestTheTableAtTheEndStandsInForADamagedOne(t *testing.T) {
	path, want := table(t, 32<<20, tables["guid"])
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[512+60] ^= 1 // in the first header
	got, err := Volumes(bytes.NewReader(b), int64(len(b)))
	if err != nil || len(got) != len(want) {
		t.Fatalf("%+v, %v", got, err)
	}
	b[len(b)-512+60] ^= 1 // and in the last
	if got, err := Volumes(bytes.NewReader(b), int64(len(b))); err == nil {
		t.Errorf("two damaged tables give %+v", got)
	}
}

func TestAChainOfLogicalPartitionsDoesNotGoInCircles(t *testing.T) {
	path, _ := table(t, 32<<20, tables["logical"])
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := 4096 * 512 // the first link: its way on leads to itself
	copy(b[at+446+16+8:], []byte{0, 0, 0, 0})
	b[at+446+16+4] = 5
	got, err := Volumes(bytes.NewReader(b), int64(len(b)))
	if err != nil || len(got) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFormsAreTold(t *testing.T) {
	vdi := make([]byte, 0x50)
	copy(vdi[0x40:], "\x7f\x10\xda\xbe")
	for text, want := range map[string]Form{
		"": Raw, "QFI\xfb\x00": QCOW2, "KDMV": VMDK, "# Disk DescriptorFile\n": VMDK, "vhdxfile": VHDX, string(vdi): VDI,
		"EVF\x09\x0d\x0a\xff\x00": EWF, "EVF": Raw, strings.Repeat("x", 600): Raw,
	} {
		if got := FormOf(strings.NewReader(text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func FuzzVolumes(f *testing.F) {
	for name := range tables {
		b, err := os.ReadFile(filepath.Join("testdata", name+".head"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := Volumes(bytes.NewReader(b), int64(len(b)))
		if err == nil && len(list) == 0 || len(list) > maxVolumes {
			t.Fatalf("%d volumes, %v", len(list), err)
		}
		for _, v := range list {
			if v.Offset < 0 || v.Size < 1 || v.Offset > int64(len(b))-v.Size {
				t.Fatalf("%+v of %d bytes", v, len(b))
			}
		}
	})
}
