package collectors

import (
	"path"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// pamLine is one rule of PAM's configuration.
type pamLine struct {
	module string
	use    record.AuthUse
}

// parsePAM reads a file of pam.d(5), or pam.conf where each line begins with
// the service:
//
//	[-]type control module [arguments]     # a line may go on after a backslash
//
// control is one word, or several in brackets. Lines with include, substack
// or @include name other files and no module. bad counts lines that are none
// of these.
func parsePAM(name string, text []byte, withService bool) (rules []pamLine, bad int) {
	number := 0
	for rest := string(text); rest != ""; {
		var joined strings.Builder
		first := number + 1
		for goesOn := true; goesOn && rest != ""; {
			var part string
			part, rest, _ = strings.Cut(rest, "\n")
			number++
			part, _, _ = strings.Cut(part, "#")
			part = strings.TrimRight(part, " \t\r")
			part, goesOn = strings.CutSuffix(part, "\\")
			joined.WriteString(part + " ")
		}
		words := pamWords(joined.String())
		if len(words) == 0 || words[0] == "@include" {
			continue
		}
		use := record.AuthUse{File: record.Bytes(name), Line: first}
		if withService {
			use.Service, words = record.Bytes(words[0]), words[1:]
		}
		if len(words) < 3 {
			bad++
			continue
		}
		kind, silent := strings.CutPrefix(words[0], "-")
		use.Silent, use.Type, use.Control = silent, record.Bytes(strings.ToLower(kind)), record.Bytes(words[1])
		switch strings.ToLower(kind) {
		case "auth", "account", "password", "session":
		default:
			bad++
			continue
		}
		if c := strings.ToLower(words[1]); c == "include" || c == "substack" {
			continue
		}
		for _, arg := range words[3:] {
			use.Args = append(use.Args, record.Bytes(arg))
		}
		rules = append(rules, pamLine{words[2], use})
	}
	return rules, bad
}

// pamWords splits a line at blanks; what is in brackets is one word, brackets
// of a control with it.
func pamWords(line string) (words []string) {
	for line = strings.TrimLeft(line, " \t"); line != ""; line = strings.TrimLeft(line, " \t") {
		end := strings.IndexAny(line, " \t")
		if line[0] == '[' {
			if end = strings.IndexByte(line, ']'); end >= 0 {
				end++
			}
		}
		if end < 0 {
			end = len(line)
		}
		words, line = append(words, line[:end]), line[end:]
	}
	return words
}

// pamFile is the path that a rule means: relative names lie where the library
// looks; "" then. $ISA stands for the folder of the machine's word size in
// rules of old systems.
func pamFile(module string) (absolute string, base string) {
	module = strings.ReplaceAll(module, "$ISA", ".")
	if strings.HasPrefix(module, "/") {
		return path.Clean(module), path.Base(module)
	}
	return "", strings.TrimPrefix(path.Clean("/"+module), "/")
}

// nssUse is one service of one database of nsswitch.conf.
type nssUse struct {
	service string
	use     record.AuthUse
}

// parseNSS reads nsswitch.conf(5): "database: service [STATUS=action] …". bad
// counts lines that are none.
func parseNSS(name string, text []byte) (uses []nssUse, bad int) {
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		if line == "" {
			continue
		}
		database, services, ok := strings.Cut(line, ":")
		if !ok {
			bad++
			continue
		}
		services = strings.ReplaceAll(services, "[", " [") // a blank before it is not needed
		for _, word := range pamWords(services) {
			if strings.HasPrefix(word, "[") {
				if len(uses) > 0 && uses[len(uses)-1].use.Line == number {
					uses[len(uses)-1].use.Control = record.Bytes(word)
				}
				continue
			}
			if strings.ContainsAny(word, "/\x00") {
				bad++
				continue
			}
			uses = append(uses, nssUse{word, record.AuthUse{File: record.Bytes(name), Line: number, Service: record.Bytes(strings.TrimSpace(database))}})
		}
	}
	return uses, bad
}

// nssService is the service whose module a file is: libnss_NAME.so.2.
func nssService(base string) (string, bool) {
	rest, ok := strings.CutPrefix(base, "libnss_")
	if !ok {
		return "", false
	}
	name, _, ok := strings.Cut(rest, ".so")
	return name, ok && name != ""
}

// loaderDirs reads ld.so.conf(5): folders, one a line; include lines name
// other files.
func loaderDirs(text []byte) (dirs []string) {
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		for dir := range strings.FieldsFuncSeq(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n:,", r) }) {
			if strings.HasPrefix(dir, "/") && strings.IndexByte(dir, 0) < 0 {
				dirs = append(dirs, path.Clean(dir))
			}
		}
	}
	return dirs
}
