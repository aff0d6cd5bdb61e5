package gathering

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/collect/definition"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// DefinitionsFile is the set of definitions in the folder of an order.
const DefinitionsFile = "definitions.tar"

// artifactsIn stands between collectors and artifacts where a selection is
// written in one line: "triage; artifacts A,B".
const artifactsIn = "; artifacts "

// processesIn stands between collectors and the processes whose memory is
// taken: "all; processes 412,sshd,finding", or "frozen processes" where they
// are stopped meanwhile.
const (
	processesIn = "; processes "
	frozenIn    = "; frozen processes "
)

// secretsIn says that secrets are taken: "all; with secrets".
const secretsIn = "; with secrets"

// SelectionFlags are the flags that say what is collected, of a collection and
// of an order for one.
func SelectionFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "collectors", Aliases: []string{"c"}, Usage: "only these `NAMES`, comma separated; !NAME leaves one out"},
		&cli.StringFlag{Name: "profile", Usage: "only the collectors of `PROFILE`: " + profileNames(), DefaultText: "full"},
		&cli.StringSliceFlag{Name: "process-memory", Usage: "also take the memory of the process `PID|NAME|finding`: a number, the exact name of it or of its executable, or those with findings (repeatable)"},
		&cli.BoolFlag{Name: "take-secrets", Usage: "also take private keys, password hashes and stored credentials; they are recorded and left out otherwise"},
		&cli.BoolFlag{Name: "freeze", Usage: "stop each of these processes while its memory is read"},
		&cli.StringSliceFlag{Name: "definitions", Usage: "also what the definitions in `PATH` ask for: a folder, tar or file of ForensicArtifacts, KAPE or UAC (repeatable)"},
		&cli.StringSliceFlag{Name: "artifact", Usage: "of the definitions only this `NAME`, and what it names (repeatable, or comma separated)"},
	}
}

func profileNames() string {
	var names []string
	for _, p := range Profiles {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// Selection is what a collection collects.
type Selection struct {
	Text       string // as the header of a bundle and an order have it
	Collectors []collect.Collector
	Set        *definition.Set // nil: none
	Chosen     []*definition.Definition
}

// Digest pins a selection: which collectors a profile stands for, and every
// byte of the definitions.
func (s *Selection) Digest() evidence.Digest {
	text := "exhibit selection v1\n" + s.Text + "\n"
	for _, c := range s.Collectors {
		text += "collector " + c.Name + "\n"
	}
	if s.Set != nil {
		text += "definitions " + s.Set.Digest.String() + "\n"
	}
	return evidence.Sum([]byte(text))
}

// Select reads what the flags ask for.
func Select(c *cli.Context) (*Selection, error) {
	s := &Selection{Text: selectionText(c)}
	var err error
	if s.Collectors, err = chosenCollectors(c); err != nil {
		return nil, err
	}
	paths, names := c.StringSlice("definitions"), artifacts(c)
	if len(paths) == 0 {
		if len(names) > 0 {
			return nil, command.Failf(command.Usage, "name them with --definitions PATH; exhibit artifact import makes one file of them", "--artifact %s is a name in definitions, and there are none", names[0])
		}
		return s, nil
	}
	if s.Set, err = ReadDefinitions(paths); err != nil {
		return nil, err
	}
	if s.Chosen, err = s.Set.Select(names); err != nil {
		return nil, command.Fail(command.Usage, "exhibit artifact list --definitions PATH shows the names", err)
	}
	s.Collectors = append(s.Collectors, collectors.Definitions(s.Set, s.Chosen, collectors.Secrets(c.Bool("take-secrets"))))
	return s, nil
}

// SelectionOf is Select with what an order settles; nil: there is none.
func SelectionOf(c *cli.Context, o *Order) (*Selection, error) {
	if o != nil {
		if err := o.takeSelection(c); err != nil {
			return nil, err
		}
	}
	return Select(c)
}

// ReadDefinitions reads sets of definitions as one.
func ReadDefinitions(paths []string) (*definition.Set, error) {
	set, err := definition.Open(paths...)
	switch {
	case errors.Is(err, definition.ErrSet):
		return nil, command.Fail(command.Failure, "name a folder, tar file, .yaml or .tkape with definitions of ForensicArtifacts, KAPE or UAC", err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, command.Fail(command.Usage, "--definitions names a folder or file that is there", err)
	}
	return set, err
}

// artifacts are the names of --artifact.
func artifacts(c *cli.Context) []string {
	var names []string
	for _, text := range c.StringSlice("artifact") {
		for name := range strings.SplitSeq(text, ",") {
			if name = strings.TrimSpace(name); name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// chosenCollectors are those that the flags ask for, main memory among them.
func chosenCollectors(c *cli.Context) ([]collect.Collector, error) {
	chosen, err := chosenOfShelf(c)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(chosen, func(k collect.Collector) bool { return k.Name == collectors.WalkName }); i >= 0 {
		chosen[i] = collectors.Walk(collectors.WalkOptions{NoHashes: c.Bool("no-walk-hashes")})
	}
	if c.Bool("take-secrets") {
		chosen = collectors.WithSecrets(chosen)
	}
	if chosen, err = withMemory(c, chosen); err != nil {
		return nil, err
	}
	return withProcesses(c, chosen)
}

func chosenOfShelf(c *cli.Context) ([]collect.Collector, error) {
	all, list, name := collectors.All(), c.String("collectors"), c.String("profile")
	switch {
	case list != "" && name != "":
		return nil, command.Failf(command.Usage, "a profile is a list of collectors: give one of them", "--profile and --collectors exclude each other")
	case name != "":
		p, ok := profileNamed(name)
		if !ok {
			return nil, command.Failf(command.Usage, "there are "+profileNames(), "no profile named %q", name)
		}
		return p.Of(all), nil
	case list != "":
		rest, definitions := withoutDefinitions(list)
		if definitions && len(c.StringSlice("definitions")) == 0 {
			return nil, command.Failf(command.Usage, "name them with --definitions PATH", "the collector %s needs definitions", collectors.DefinitionsName)
		}
		if definitions && rest == "" {
			return nil, nil
		}
		return choose(all, rest)
	}
	return all, nil
}

// withoutDefinitions takes the collector of definitions out of a list: it runs
// whenever there are definitions, and naming it alone leaves out all others.
func withoutDefinitions(list string) (rest string, found bool) {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == collectors.DefinitionsName {
			found = true
		} else if name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ","), found
}

// selectionText says in one line what the flags ask for.
func selectionText(c *cli.Context) string {
	text := "all"
	if list := c.String("collectors"); list != "" {
		text = list
	} else if name := c.String("profile"); name != "" {
		text = name
	}
	// Main memory is part of it, so that no run takes it whose order did not name it.
	if (c.Bool("memory") || c.String("memory-from") != "") && !memoryNamed(c) {
		text += "," + collectors.MemoryName
	}
	if c.Bool("take-secrets") {
		text += secretsIn
	}
	text += processText(c)
	if names := artifacts(c); len(names) > 0 {
		text += artifactsIn + strings.Join(names, ",")
	}
	return text
}

// pinned reports whether the flags ask for something that names alone do not
// say: then an order states the digest of the selection.
func pinned(c *cli.Context) bool {
	return c.String("profile") != "" || len(c.StringSlice("definitions")) > 0
}

// OrderText returns what an order says of the selection of its flags, the
// digest zero where the names say everything.
func OrderText(c *cli.Context, s *Selection) (text string, digest evidence.Digest) {
	if pinned(c) {
		digest = s.Digest()
	}
	if text = s.Text; text == "all" {
		text = ""
	}
	return text, digest
}

// takeSelection sets the flags that an order settles, where they are not given.
func (o *Order) takeSelection(c *cli.Context) error {
	text, names, some := strings.Cut(o.Profile, artifactsIn)
	text, err := takeProcesses(c, text)
	if err != nil {
		return err
	}
	text, secrets := strings.CutSuffix(text, secretsIn)
	if secrets && !c.IsSet("take-secrets") {
		if err := c.Set("take-secrets", "true"); err != nil {
			return err
		}
	}
	set := func(flag, value string) error {
		if value == "" || c.IsSet(flag) {
			return nil
		}
		return c.Set(flag, value)
	}
	if !c.IsSet("collectors") && !c.IsSet("profile") && text != "" && text != "all" {
		flag := "collectors"
		if _, ok := profileNamed(text); ok {
			flag = "profile"
		}
		if err := set(flag, text); err != nil {
			return err
		}
	}
	if some {
		if err := set("artifact", names); err != nil {
			return err
		}
	}
	if o.Definitions == "" || o.ProfileSHA256.IsZero() {
		return nil
	}
	return set("definitions", o.Definitions)
}

// definitionsBeside returns the definitions in the folder of an order, "" where
// there are none.
func definitionsBeside(dir string) (string, error) {
	path := filepath.Join(dir, DefinitionsFile)
	st, err := statRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", DefinitionsFile, err)
	}
	if !st {
		return "", fmt.Errorf("%s is no file", DefinitionsFile)
	}
	return path, nil
}
