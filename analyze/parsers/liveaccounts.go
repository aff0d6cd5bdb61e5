package parsers

import (
	"math"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// stateAccounts reads the accounts that the collector decoded from passwd and
// shadow. One event per account at the time of the look, action account-state:
// user and uid are the account, attr password is set, empty, none or unknown,
// attr locked that it cannot log in by password. Where shadow says when the
// password was changed, another event, action password-changed, has that day,
// which is one of UTC: ts_lo and ts_hi are its bounds.
var stateAccounts = register(analyze.Parser{
	Name: "state_accounts", Doc: "accounts as they were during collection, and when their passwords were changed", Version: 1, Family: "state",
	Types: []string{"linux:account:state"}, Match: ofSet(record.Accounts), Parse: diskSet("linux:account:state", accountRow),
})

func accountRow(s *stateSet, a *record.Account) error {
	if len(a.Name) == 0 {
		return errNoSubject
	}
	who := func(ev *timeline.Event) {
		ev.User = s.bytes(a.Name)
		if a.UID != nil && *a.UID >= 0 {
			ev.UID = *a.UID
		}
	}
	ev := s.at(0, "account-state", "iam")
	who(ev)
	ev.Message = s.out.Join("account ", ev.User, ", password ", s.out.Str(a.Password))
	if a.Locked {
		ev.Message = s.out.Join(ev.Message, ", locked")
	}
	if len(a.Shell) > 0 {
		ev.Message = s.out.Join(ev.Message, ", shell ", s.bytes(a.Shell))
	}
	s.str("password", a.Password)
	s.str("in", a.In)
	s.yes("locked", a.Locked)
	s.str("algorithm", a.Algorithm)
	s.str("fingerprint", a.Fingerprint)
	if a.GID != nil {
		s.out.AttrInt("gid", *a.GID)
	}
	s.text("gecos", a.Gecos)
	s.text("home", a.Home)
	s.text("shell", a.Shell)
	s.num("line", int64(a.Line))
	s.num("shadow_line", int64(a.ShadowLine))
	s.yes("must_change", a.MustChange)
	for _, f := range []struct {
		key  string
		days *int64
	}{{"min_days", a.MinDays}, {"max_days", a.MaxDays}, {"warn_days", a.WarnDays}, {"inactive_days", a.Inactive}} {
		if f.days != nil {
			s.out.AttrInt(f.key, *f.days)
		}
	}
	s.day("expires", a.Expires)
	if a.Changed <= 0 || a.Changed > math.MaxInt64-dayNS {
		return nil
	}
	ev = s.dated(a.Changed, "password-changed", "iam", "Password Changed")
	ev.TSPrec, ev.TSLo, ev.TSHi = timeline.Day, a.Changed, a.Changed+dayNS-1
	who(ev)
	ev.Message = s.out.Join("the password of ", ev.User, " was changed last, says shadow")
	return nil
}

// stateGroups reads the groups that the collector decoded. One event per group
// at the time of the look: attr member is one of its members, attr admin one of
// its administrators. Whose first group it is stands with the account.
var stateGroups = register(analyze.Parser{
	Name: "state_groups", Doc: "groups and their members as they were during collection", Version: 1, Family: "state",
	Types: []string{"linux:group:state"}, Match: ofSet(record.Groups), Parse: diskSet("linux:group:state", groupRow),
})

func groupRow(s *stateSet, g *record.Group) error {
	if len(g.Name) == 0 {
		return errNoSubject
	}
	ev := s.at(0, "group-state", "iam")
	ev.Unit = s.bytes(g.Name)
	ev.Message = s.out.Join("group ", ev.Unit, ": ", s.joinedBytes(g.Members))
	s.out.AttrInt("gid", g.GID)
	s.list("member", g.Members)
	s.list("admin", g.Admins)
	s.str("password", g.Password)
	s.num("line", int64(g.Line))
	return nil
}

// stateAuthorizedKeys reads the keys that may log in without a password. One
// event per key at the time of the look: user is whose file it is (none: it
// counts for everybody), file the file, attr fingerprint the key's as ssh-keygen
// and sshd show it. A line that is no key has attr error. file's own times are
// attributes, because a key has none.
var stateAuthorizedKeys = register(analyze.Parser{
	Name: "state_authorized_keys", Doc: "keys that could log in during collection", Version: 1, Family: "state",
	Types: []string{"linux:authorized_key:state"}, Match: ofSet(record.AuthorizedKeys), Parse: diskSet("linux:authorized_key:state", authorizedKeyRow),
})

func authorizedKeyRow(s *stateSet, k *record.AuthorizedKey) error {
	if len(k.File) == 0 {
		return errNoSubject
	}
	ev := s.at(0, "authorized-key-state", "iam")
	ev.User, ev.File = s.bytes(k.User), s.bytes(k.File)
	whom := ev.User
	if whom == "" {
		whom = "everybody"
	}
	if k.Error != "" {
		ev.Message = s.out.Join("line ", s.out.Int(int64(k.Line)), " of ", ev.File, ": ", s.out.Str(k.Error))
	} else {
		ev.Message = s.out.Join("key ", s.out.Str(k.Fingerprint), " ", s.bytes(k.Comment), " may log in as ", whom)
	}
	s.str("fingerprint", k.Fingerprint)
	s.str("type", k.Type)
	s.text("comment", k.Comment)
	s.list("option", k.Options)
	s.num("line", int64(k.Line))
	s.yes("configured", k.Configured)
	s.str("error", k.Error)
	s.mode(k.Mode)
	s.out.AttrInt("file_uid", int64(k.UID))
	s.time("file_mtime", k.Mtime)
	s.time("file_ctime", k.Ctime)
	return nil
}

// stateSudoRules reads the entries of sudoers. One event per entry at the time
// of the look: file is where it stands, attr who, host, runas, tag and command
// are its parts; attr kind is rule, defaults, alias or unread.
var stateSudoRules = register(analyze.Parser{
	Name: "state_sudo_rules", Doc: "rules of sudo as they were during collection", Version: 1, Family: "state",
	Types: []string{"linux:sudo_rule:state"}, Match: ofSet(record.SudoRules), Parse: diskSet("linux:sudo_rule:state", sudoRow),
})

func sudoRow(s *stateSet, r *record.SudoRule) error {
	if len(r.File) == 0 || r.Kind == "" {
		return errNoSubject
	}
	ev := s.at(0, "sudo-rule-state", "iam")
	ev.File = s.bytes(r.File)
	switch r.Kind {
	case "rule":
		ev.Message = s.out.Join(s.joinedBytes(r.Who), " may run ", s.joinedBytes(r.Commands), " by sudo")
		if len(r.Tags) > 0 {
			ev.Message = s.out.Join(ev.Message, ", ", s.out.Str(strings.Join(r.Tags, ",")))
		}
	default:
		ev.Message = s.out.Join("sudoers ", s.out.Str(r.Kind), " ", s.joinedBytes(r.Who), " ", s.bytes(r.Text), s.out.Str(r.Detail))
	}
	s.str("kind", r.Kind)
	s.list("who", r.Who)
	s.list("host", r.Hosts)
	s.text("runas", r.RunAs)
	for _, t := range r.Tags[:min(len(r.Tags), listMax)] {
		s.str("tag", t)
	}
	s.list("command", r.Commands)
	s.text("text", r.Text)
	s.str("detail", r.Detail)
	s.num("line", int64(r.Line))
	return nil
}
