// Package floorplan holds the tests that keep the house in order: who may
// import whom, and what the collector and the verifier may be made of.
package floorplan

import (
	"debug/buildinfo"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

const module = "github.com/exhibit-dfir/exhibit/"

// plan says which of our packages a package may import. A trailing "/..."
// covers the packages below. Every package may import internal/* but those
// listed here; tests may import what they like.
var plan = map[string][]string{
	"evidence":                {},
	"evidence/record":         {},
	"internal/...":            {"evidence"},
	"chainofcustody":          {"evidence"},
	"chainofcustody/...":      {"evidence", "chainofcustody", "chainofcustody/..."},
	"chainofcustody/interop":  {"evidence", "chainofcustody"},
	"bundle":                  {"evidence", "chainofcustody"},
	"bundle/...":              {"evidence", "chainofcustody", "bundle"},
	"bundle/envelope":         {},
	"bundle/envelope/agekeys": {"bundle/envelope"},
	"collect":                 {"evidence", "evidence/record", "bundle", "chainofcustody"},
	"collect/sink":            {"evidence", "chainofcustody", "collect"},
	"collect/sink/receiver":   {"evidence"},
	"collect/sink/sinktest":   {},
	"collect/definition":      {"evidence"},
	"collect/collectors":      {"evidence", "evidence/record", "collect", "collect/definition"},
	"collect/collecttest":     {"evidence", "evidence/record", "collect", "bundle", "chainofcustody"},
	"timeline":                {"evidence"},
	"timeline/store/...":      {"evidence", "timeline", "timeline/store/..."},
	"timeline/export":         {"evidence", "timeline", "timeline/store/local"},
	"timeline/push":           {"timeline", "timeline/export"},
	"timeline/storetest":      {"evidence", "timeline", "timeline/store/..."},
	"analyze":                 {"evidence", "evidence/record", "timeline"},
	"analyze/format/...":      {"analyze/format/..."},
	"analyze/parsers":         {"evidence", "evidence/record", "timeline", "analyze", "analyze/format/..."},
	"analyze/parsertest":      {"evidence", "evidence/record", "timeline", "analyze"},
	"analyze/rootcause":       {"evidence", "timeline", "analyze"},
	"intake":                  {"evidence", "evidence/record", "bundle", "analyze", "intake/archive"},
	"intake/archive":          {},
	"cmd/internal/agentless":  {"cmd/internal/gathering"},
	"cmd/internal/argv":       {},
	"cmd/internal/command":    {"evidence"},
	"cmd/internal/disk":       {},
	"cmd/internal/frame":      {"cmd/internal/argv", "cmd/internal/command"},
	"cmd/internal/kit":        {"evidence", "chainofcustody"},
	"cmd/internal/verifying":  {"evidence", "bundle", "chainofcustody", "chainofcustody/timestamp", "cmd/internal/command"},
	"cmd/internal/clitest":    {},
	"cmd/exhibit":             {"..."},
	"cmd/exhibit/...":         {"..."},
	"cmd/exhibit-collector":   {"evidence", "evidence/record", "bundle", "bundle/envelope", "chainofcustody", "collect", "collect/collectors", "collect/definition", "collect/sink", "cmd/internal/..."},
	"cmd/exhibit-verify":      {"evidence", "bundle", "chainofcustody", "chainofcustody/timestamp", "cmd/internal/command", "cmd/internal/verifying"},
	"cmd/internal/gathering":  {"evidence", "bundle", "bundle/envelope", "chainofcustody", "collect", "collect/collectors", "collect/definition", "collect/sink", "cmd/internal/..."},
}

func matches(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(pkg, prefix+"/")
	}
	return pattern == pkg
}

// allowed returns the rule for a package, the longest pattern first.
func allowed(pkg string) ([]string, bool) {
	best := ""
	for pattern := range plan {
		if matches(pattern, pkg) && len(pattern) > len(best) {
			best = pattern
		}
	}
	return plan[best], best != ""
}

// imports returns for every package its files and what they import, tests
// left out, whatever their operating system.
func imports(t *testing.T) map[string]map[string][]string {
	t.Helper()
	root := testenv.Root(t)
	found := map[string]map[string][]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "test" || name == "dist") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		pkg := path.Dir(rel)
		if found[pkg] == nil {
			found[pkg] = map[string][]string{}
		}
		for _, spec := range f.Imports {
			found[pkg][rel] = append(found[pkg][rel], strings.Trim(spec.Path.Value, `"`))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestPackagesImportOnlyWhatTheFloorPlanAllows(t *testing.T) {
	for pkg, files := range imports(t) {
		rule, known := allowed(pkg)
		if !known {
			t.Errorf("package %s is not in the floor plan: give it a place in it", pkg)
			continue
		}
		for file, list := range files {
			for _, imp := range list {
				ours, ok := strings.CutPrefix(imp, module)
				if !ok || ours == pkg {
					continue
				}
				if strings.HasPrefix(ours, "internal/") && ours != "internal/testenv" {
					continue
				}
				if ours == "internal/testenv" && (strings.HasSuffix(pkg, "test") || strings.HasPrefix(pkg, "internal/")) {
					continue
				}
				if !slices.ContainsFunc(rule, func(p string) bool { return matches(p, ours) }) {
					t.Errorf("%s imports %s: the floor plan does not allow it", file, ours)
				}
			}
		}
	}
}

// collectorModules are the modules the collector may be linked from.
var collectorModules = []string{
	"filippo.io/age", "filippo.io/edwards25519", "filippo.io/hpke", "github.com/Velocidex/ordereddict", "github.com/Velocidex/json", "github.com/Velocidex/yaml/v2",
	"github.com/cpuguy83/go-md2man/v2", "github.com/hiddeco/sshsig",
	"github.com/klauspost/compress", "github.com/klauspost/cpuid/v2", "github.com/kr/fs", "github.com/minio/sha256-simd", "github.com/pkg/sftp",
	"github.com/russross/blackfriday/v2", "github.com/urfave/cli/v2", "github.com/xrash/smetrics",
	"go.yaml.in/yaml/v3", "golang.org/x/crypto", "golang.org/x/mod", "golang.org/x/net", "golang.org/x/sys",
}

// collectorForbidden are packages that do not belong on a suspect host.
var collectorForbidden = []string{"net/http", "os/exec", "html/template", "plugin", "C", "database/sql"}

const (
	collectorMax    = 15 << 20
	collectorWebMax = 18 << 20
)

// webOnly begins the files that the small collector is built without.
const webOnly = "//go:build !exhibit_no_web\n"

// graph returns the packages of ours that a program is made of, and complains
// of each that imports something forbidden.
func graph(t *testing.T, program string, forbidden []string) map[string]bool {
	t.Helper()
	all := imports(t)
	seen := map[string]bool{}
	queue := []string{program}
	for len(queue) > 0 {
		pkg := queue[0]
		queue = queue[1:]
		if seen[pkg] {
			continue
		}
		seen[pkg] = true
		for file, list := range all[pkg] {
			text, err := os.ReadFile(filepath.Join(testenv.Root(t), file))
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(string(text), webOnly) {
				continue
			}
			for _, imp := range list {
				if slices.Contains(forbidden, imp) {
					t.Errorf("%s imports %s, which %s must not contain", file, imp, program)
				}
				if ours, ok := strings.CutPrefix(imp, module); ok {
					queue = append(queue, ours)
				}
			}
		}
	}
	return seen
}

func TestCollectorGraphIsFreeOfTheAnalyst(t *testing.T) {
	seen := graph(t, "cmd/exhibit-collector", collectorForbidden)
	for pkg := range seen {
		for _, banned := range []string{"timeline", "analyze", "web"} {
			if pkg == banned || strings.HasPrefix(pkg, banned+"/") {
				t.Errorf("the collector's graph contains %s", pkg)
			}
		}
	}
	if !seen["bundle"] || !seen["collect"] {
		t.Errorf("the collector's graph is %v: it lacks bundle or collect", slices.Sorted(maps.Keys(seen)))
	}
}

func TestCollectorIsStaticPureGoAndSmall(t *testing.T) {
	mustBeSmall(t, "exhibit-collector", "urfave_cli_no_docs,exhibit_no_web", collectorModules, collectorMax)
}

// TestCollectorWithWebSinksIsSmall is the flavour that also sends to https and
// s3: no module more, but net/http.
func TestCollectorWithWebSinksIsSmall(t *testing.T) {
	mustBeSmall(t, "exhibit-collector", "urfave_cli_no_docs", collectorModules, collectorWebMax)
}

// verifierModules are the modules the verifier may be linked from: no command
// line library, which alone is 2 MB.
var verifierModules = []string{
	"github.com/digitorus/pkcs7", "github.com/digitorus/timestamp", "github.com/hiddeco/sshsig", "github.com/klauspost/compress",
	"github.com/klauspost/cpuid/v2", "github.com/minio/sha256-simd", "golang.org/x/crypto", "golang.org/x/sys",
}

const verifierMax = 6_000_000

func TestVerifierGraphIsFreeOfTheAnalystAndTheCollector(t *testing.T) {
	seen := graph(t, "cmd/exhibit-verify", []string{"net/http", "os/exec", "html/template", "text/template", "plugin", "C", "database/sql"})
	for pkg := range seen {
		for _, banned := range []string{"timeline", "analyze", "web", "collect", "bundle/envelope", "cmd/internal/gathering", "cmd/internal/frame"} {
			if pkg == banned || strings.HasPrefix(pkg, banned+"/") {
				t.Errorf("the verifier's graph contains %s", pkg)
			}
		}
	}
	if !seen["bundle"] || !seen["chainofcustody/timestamp"] {
		t.Errorf("the verifier's graph is %v: it lacks bundle or time stamps", slices.Sorted(maps.Keys(seen)))
	}
}

func TestVerifierIsStaticPureGoAndSmall(t *testing.T) {
	mustBeSmall(t, "exhibit-verify", "", verifierModules, verifierMax)
}

// mustBeSmall builds a program without cgo, stripped, and looks at what it is
// linked from and how large it is.
func mustBeSmall(t *testing.T, program, tags string, modules []string, limit int64) {
	t.Helper()
	gotool := testenv.Tool(t, "go")
	bin := filepath.Join(t.TempDir(), program)
	cmd := exec.Command(gotool, "build", "-trimpath", "-tags", tags, "-ldflags", "-s -w", "-o", bin, "./cmd/"+program)
	cmd.Dir = testenv.Root(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build without cgo: %v\n%s", err, out)
	}
	info, err := buildinfo.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range info.Deps {
		if !slices.Contains(modules, dep.Path) {
			t.Errorf("%s is linked from %s, which is not on its list", program, dep.Path)
		}
	}
	st, err := os.Stat(bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %.1f MB stripped", program, float64(st.Size())/1e6)
	if st.Size() > limit {
		t.Errorf("%s is %d bytes, more than %d", program, st.Size(), limit)
	}
}
