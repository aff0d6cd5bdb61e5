package collectors

import (
	"fmt"

	definitions "github.com/exhibit-dfir/exhibit/collect/definition"
)

// BuiltInDefinition is a definition of our own, for those who want to know
// what is collected.
type BuiltInDefinition struct {
	Name      string
	Collector string
	Patterns  []string
}

// BuiltIn returns the definitions of our own, in the order of their tables.
func BuiltIn() []BuiltInDefinition {
	var out []BuiltInDefinition
	for _, table := range []struct {
		collector string
		defs      []definition
	}{
		{linuxLogsName, logDefinitions()},
		{linuxPersistenceName, persistenceDefinitions()},
		{linuxUsersName, userDefinitions()},
		{linuxContainersName, containerDefinitions(defaultEngines())},
		{windowsFilesName, windowsDefinitions()},
		{darwinFilesName, darwinDefinitions()},
		{freebsdFilesName, freebsdDefinitions()},
	} {
		for _, d := range table.defs {
			out = append(out, BuiltInDefinition{d.rule, table.collector, d.patterns})
		}
	}
	return out
}

// CheckSource says which pattern of a source no walk can match.
func CheckSource(s *definitions.Source) error {
	if _, err := newNarrowing(s.Filter); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	patterns, _ := s.Expand(&anyHost) // a variable without a value is no mistake of the definition
	for _, p := range patterns {
		if _, err := compile([]definition{{rule: "source", patterns: []string{p}, foldCase: s.FoldCase}}); err != nil {
			return err
		}
	}
	return nil
}

// anyHost stands for whatever host a definition will meet.
var anyHost = definitions.Knowledge{OS: "windows", Users: []definitions.User{{Name: "user", ID: "1000", SID: "S-1-5-21", Home: "/home/user", Login: true}}}
