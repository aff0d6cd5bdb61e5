// Package definition reads what other projects and our own have written down
// about where evidence lies, and turns it into patterns for one walk:
//
//   - ForensicArtifacts: multi-document YAML, the format of
//     https://artifacts.readthedocs.io/en/latest/sources/Format-specification.html
//   - KAPE targets: one .tkape file of YAML a target,
//     https://ericzimmerman.github.io/KapeDocs/#!Pages\2.1-Targets.md
//   - UAC artifacts: looks like YAML and is none (bare %user_home%, !name),
//     read line by line, https://tclahr.github.io/uac-docs/artifacts/
//
// A definition names things. Nothing here looks at a host: a caller says what
// it knows of one (Knowledge) and gets patterns, and for each source that
// cannot be run a reason in words.
package definition

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Kind is what a source of a definition asks for.
type Kind string

// The kinds. Only files, paths and hashes can be run; registry keys are in
// hives, which are files, and commands are never run.
const (
	KindFile          Kind = "file"           // content
	KindPath          Kind = "path"           // metadata
	KindHash          Kind = "hash"           // metadata and SHA-256
	KindGroup         Kind = "group"          // other definitions
	KindRegistryKey   Kind = "registry key"   //
	KindRegistryValue Kind = "registry value" //
	KindWMI           Kind = "WMI query"      //
	KindCommand       Kind = "command"        //
	KindFileList      Kind = "file list"      // files that the output of a command names
)

// Definition is one entry of a set.
type Definition struct {
	ID      string   // NAME, kape:NAME or uac:folder/name; unique in its set
	Doc     string   //
	File    string   // of the set, where it was read
	Aliases []string // other names it goes by
	OS      []string // linux, windows, darwin, esxi …; none: any
	Labels  []string
	URLs    []string
	Sources []Source
}

// Source is one thing that a definition asks for.
type Source struct {
	Kind     Kind
	OS       []string // as in Definition, whose list it narrows; none: that one's
	Patterns []string // of paths, in the grammar of the package collectors, with %%variables%%
	FoldCase bool     // upper and lower case are one
	Members  []string // of a group: IDs or names
	Text     []string // what cannot be run: keys, queries, command lines
	Filter   Filter
	Login    bool   // %%users.homedir%% of accounts that can log in only
	Why      string // it cannot be run; "" where Kind tells or where it can
}

// Filter narrows what the patterns match. The zero value narrows nothing.
type Filter struct {
	Names       []string // globs of the last component, one of which must match
	NotNames    []string // globs of it, none of which may
	Paths       []string // globs of the whole path, `*` runs over '/'
	NotPaths    []string // of the path itself or of a folder it lies in
	NameRegexp  *regexp.Regexp
	Types       string // of f d l p s b c; "" any
	MinSize     int64  // bytes; 0: none
	MaxSize     int64  // bytes; 0: none
	Permissions []Permission
	NoUser      bool     // only what belongs to no account
	NoGroup     bool     // only what belongs to no group
	NotMounts   []string // types of file systems that are not entered
}

// Permission is one condition of find(1)'s -perm; a Filter with several wants
// one of them.
type Permission struct {
	Bits uint32
	Any  bool // one of Bits is enough; else all are wanted
	Same bool // the mode is Bits exactly
}

// Holds reports whether a mode has the permission.
func (p Permission) Holds(mode uint32) bool {
	switch mode &= 0o7777; {
	case p.Same:
		return mode == p.Bits
	case p.Any:
		return p.Bits == 0 || mode&p.Bits != 0
	}
	return mode&p.Bits == p.Bits
}

// Issue is something wrong with a set, one line of lint.
type Issue struct {
	File  string `json:"file"`
	Line  int    `json:"line,omitempty"`
	ID    string `json:"id,omitempty"`
	Error bool   `json:"error"` // the definition or source is left out; else it runs and is only doubtful
	Text  string `json:"text"`
}

func (i Issue) String() string {
	at := i.File
	if i.Line > 0 {
		at = fmt.Sprintf("%s:%d", i.File, i.Line)
	}
	if i.ID != "" {
		at += ": " + i.ID
	}
	return at + ": " + i.Text
}

// operatingSystems maps the spellings of the dialects to one.
var operatingSystems = map[string]string{
	"linux": "linux", "windows": "windows", "darwin": "darwin", "macos": "darwin", "esxi": "esxi", "android": "android", "ios": "ios",
	"aix": "aix", "freebsd": "freebsd", "netbsd": "netbsd", "openbsd": "openbsd", "solaris": "solaris", "netscaler": "netscaler",
}

// osNames translates a list. all stands for any; unknown is the first name
// that is none.
func osNames(names []string) (list []string, unknown string) {
	for _, name := range names {
		if strings.EqualFold(name, "all") {
			return nil, ""
		}
		one, known := operatingSystems[strings.ToLower(name)]
		if !known {
			return nil, name
		}
		if !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	slices.Sort(list)
	return list, ""
}

// For reports whether the definition is for a system.
func (d *Definition) For(os string) bool { return len(d.OS) == 0 || slices.Contains(d.OS, os) }

// For reports whether the source is for a system its definition is for.
func (s *Source) For(os string) bool { return len(s.OS) == 0 || slices.Contains(s.OS, os) }

// reasons says of each kind that is not looked for as files why not.
var reasons = map[Kind]string{
	KindRegistryKey:   "registry keys are inside of hives: collect the hive files, and read the keys from them afterwards",
	KindRegistryValue: "registry values are inside of hives: collect the hive files, and read the values from them afterwards",
	KindWMI:           "WMI answers on a running Windows only; its repository is collected as files",
	KindCommand:       "commands are never run on a host: what they print is what an intruder lets them print",
	KindFileList:      "its list of files is the output of a command, and commands are never run",
}

// NotRun says why a source is not looked for on a host, "" where it is.
func (s *Source) NotRun() string {
	if s.Why != "" {
		return s.Why
	}
	return reasons[s.Kind]
}
