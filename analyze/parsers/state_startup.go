package parsers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// linuxStartup reads small files through which something is started or let in
// on Linux. One event per statement, of kind state, at the file's last write:
//
//	/etc/ld.so.preload     file: a library that every program loads
//	authorized_keys        user: who lets the key in; key_type and
//	                       key_fingerprint as sshd logs them; options, comment;
//	                       cmdline: the command that the key is bound to
//	sudoers, sudoers.d     message: the rule; user: whom it is for
//	rc.local, profile.d    cmdline: a line of the script
//	udev rules             cmdline: a program that a rule runs; other rules
//	                       are left out
//
// Format: ld.so(8), sshd(8) "AUTHORIZED_KEYS FILE FORMAT", sudoers(5),
// udev(7).
var linuxStartup = register(analyze.Parser{
	Name:    "linux_startup",
	Doc:     "ld.so.preload, authorized_keys, sudoers, rc.local, profile.d, udev rules",
	Version: 2,
	Family:  "state",
	Types:   []string{"linux:preload:state", "linux:authorized_key:state", "linux:sudoers:state", "linux:startup:state", "linux:udev:state"},
	Match: func(it *evidence.Item, head []byte) bool {
		return startupKind(it.Path) != nil && len(head) > 0 && bytes.IndexByte(head[:min(len(head), 512)], 0) < 0
	},
	Parse: func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		kind := startupKind(src.Item.Path)
		if kind == nil {
			kind = &startupScript
		}
		f := newStateFile(src, out, kind.dataType, kind.source, authmsg.Configuration)
		return eachStatement(src, out, kind.continued, kind.comment, func(s stateLine) { kind.statement(f, s) })
	},
})

// startup is one kind of these files.
type startup struct {
	dataType, source string
	continued        bool // lines go on behind a backslash
	comment          func([]byte) bool
	statement        func(*stateFile, stateLine)
}

var (
	startupPreload = startup{"linux:preload:state", "ld.so.preload", false, hashComment, preloadState}
	startupKeys    = startup{"linux:authorized_key:state", "authorized keys", false, hashComment, keyState}
	startupSudoers = startup{"linux:sudoers:state", "sudoers", true, sudoComment, sudoState}
	startupScript  = startup{"linux:startup:state", "start script", true, hashComment, scriptState}
	startupUdev    = startup{"linux:udev:state", "udev rule", true, hashComment, udevState}
)

// startupKind says by its place what a file is: what these files hold has no
// mark of its own. nil for all others.
func startupKind(path string) *startup {
	path = "/" + strings.TrimPrefix(path, "/")
	name := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case strings.HasSuffix(path, "/etc/ld.so.preload"):
		return &startupPreload
	case name == "authorized_keys", name == "authorized_keys2", strings.Contains(path, "/etc/ssh/authorized_keys/"):
		return &startupKeys
	case strings.HasSuffix(path, "/etc/sudoers"), strings.Contains(path, "/etc/sudoers.d/"):
		return &startupSudoers
	case strings.HasSuffix(path, "/etc/rc.local"), strings.HasSuffix(path, "/etc/rc.d/rc.local"), strings.Contains(path, "/etc/profile.d/") && strings.HasSuffix(name, ".sh"):
		return &startupScript
	case strings.Contains(path, "/udev/rules.d/") && strings.HasSuffix(name, ".rules"):
		return &startupUdev
	}
	return nil
}

// preloadState reads libraries with blanks or colons between.
func preloadState(f *stateFile, s stateLine) {
	text, _, _ := bytes.Cut(s.text, []byte("#"))
	for _, library := range bytes.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' || r == ':' }) {
		ev := f.event(s.offset, s.length, s.number, "library-preload-state")
		ev.File = f.out.Text(cutText(library))
		ev.Message = f.out.Join("every program loads ", ev.File)
	}
}

// keyState reads [OPTIONS] TYPE BASE64 [COMMENT].
func keyState(f *stateFile, s stateLine) {
	options, rest := []byte(nil), s.text
	kind, tail := cutWord(rest)
	if !keyType(kind) {
		options, rest = cutOptions(s.text)
		kind, tail = cutWord(rest)
	}
	blob, comment := cutWord(tail)
	key, err := base64.StdEncoding.DecodeString(string(blob))
	if !keyType(kind) || err != nil || len(key) == 0 {
		badState(f.out, s, "no key")
		return
	}
	ev := f.event(s.offset, s.length, s.number, "authorized-key-state")
	ev.User = f.out.Str(f.owner)
	ev.Category = authmsg.IAM
	sum := sha256.Sum256(key)
	fingerprint := "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
	ev.Cmdline = f.out.Text(cutText(keyCommand(options)))
	ev.Message = f.out.Join(f.out.Intern(kind), " key ", fingerprint, " ", f.out.Text(cutText(comment)))
	if f.owner != "" {
		ev.Message = f.out.Join(ev.Message, " lets in ", f.owner)
	}
	textAttr(f.out, "key_type", kind)
	f.out.AttrStr("key_fingerprint", fingerprint)
	if len(options) > 0 {
		f.out.Attr("options", cutText(options))
	}
	if len(comment) > 0 {
		f.out.Attr("comment", cutText(comment))
	}
}

func keyType(word []byte) bool {
	for _, prefix := range [...]string{"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"} {
		if bytes.HasPrefix(word, []byte(prefix)) {
			return true
		}
	}
	return false
}

// cutOptions splits off options, which end at a blank outside of quotes.
func cutOptions(b []byte) (options, rest []byte) {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			if quoted {
				i++
			}
		case '"':
			quoted = !quoted
		case ' ', '\t':
			if !quoted {
				return b[:i], bytes.TrimLeft(b[i:], " \t")
			}
		}
	}
	return nil, b
}

// keyCommand is the value of the option command="…".
func keyCommand(options []byte) []byte {
	i := bytes.Index(bytes.ToLower(options), []byte(`command="`))
	if i < 0 {
		return nil
	}
	b := options[i+len(`command="`):]
	var out []byte
	for k := 0; k < len(b) && b[k] != '"'; k++ {
		if b[k] == '\\' && k+1 < len(b) && b[k+1] == '"' {
			k++
		}
		out = append(out, b[k])
	}
	return out
}

// sudoComment knows that "#1000" is an account and "#include" an order.
func sudoComment(line []byte) bool {
	return hashComment(line) && !bytes.HasPrefix(line, []byte("#include")) && (len(line) == 1 || line[1] < '0' || line[1] > '9')
}

// sudoState reads WHO HOSTS = (AS) COMMANDS, Defaults, aliases and includes.
func sudoState(f *stateFile, s stateLine) {
	ev := f.event(s.offset, s.length, s.number, "sudo-rule-state")
	ev.Category = authmsg.IAM
	ev.Message = f.out.Text(cutText(s.text))
	who, rest := cutWord(s.text)
	_, commands, rule := bytes.Cut(rest, []byte("="))
	switch {
	case bytes.HasPrefix(who, []byte("Defaults")), bytes.HasSuffix(who, []byte("_Alias")), bytes.HasPrefix(who[1:], []byte("include")), !rule:
		ev.Action = "sudo-setting-state"
		return
	case who[0] != '%' && who[0] != '#':
		ev.User = f.out.Intern(who)
	}
	f.out.Attr("who", who)
	if bytes.Contains(commands, []byte("NOPASSWD")) {
		f.out.AttrStr("nopasswd", "true")
	}
}

func scriptState(f *stateFile, s stateLine) {
	ev := f.event(s.offset, s.length, s.number, "start-script-state")
	ev.Cmdline = f.out.Text(cutText(s.text))
	ev.Message = ev.Cmdline
}

// udevValue passes over what stands between a key and its value: an attribute
// in braces and an operator.
func udevValue(b []byte) (value []byte, ok bool) {
	if len(b) > 0 && b[0] == '{' {
		end := bytes.IndexByte(b[:min(len(b), 64)], '}')
		if end < 0 {
			return nil, false
		}
		b = b[end+1:]
	}
	operator, value, ok := bytes.Cut(b[:min(len(b), 16)], []byte{'"'})
	if operator = trimBlanks(operator); !ok || len(operator) == 0 || len(bytes.Trim(operator, "=!+-:")) > 0 || operator[len(operator)-1] != '=' {
		return nil, false
	}
	return b[min(len(b), 16)-len(value):], true
}

// udevState gives the programs of a rule: RUN, PROGRAM and IMPORT{program}.
func udevState(f *stateFile, s stateLine) {
	for _, key := range [...]string{"RUN", "PROGRAM", "IMPORT{program}"} {
		for rest := s.text; ; {
			i := bytes.Index(rest, []byte(key))
			if i < 0 {
				break
			}
			begins := i == 0 || bytes.IndexByte([]byte(" \t,"), rest[i-1]) >= 0
			rest = rest[i+len(key):]
			if !begins || bytes.HasPrefix(rest, []byte("{builtin}")) {
				continue
			}
			value, ok := udevValue(rest)
			end := bytes.IndexByte(value, '"')
			if !ok || end < 0 {
				continue
			}
			ev := f.event(s.offset, s.length, s.number, "device-rule-state")
			ev.Cmdline = f.out.Text(cutText(value[:end]))
			ev.Message = f.out.Text(cutText(s.text))
			f.out.AttrStr("key", key)
			rest = value[end:]
		}
	}
}
