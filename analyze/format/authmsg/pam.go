package authmsg

import "bytes"

// parseModule reads a message of a PAM module, "pam_unix(SERVICE:TYPE): TEXT"
// or the older "(pam_unix) TEXT". Any program that uses PAM writes them.
func parseModule(msg []byte, f *Fields) bool {
	if rest, ok := cutPrefix(msg, "(pam_unix) "); ok {
		return parsePAM(rest, f)
	}
	if rest, ok := cutPrefix(msg, "PAM "); ok {
		if _, after, isNumber := number(rest); isNumber && hasPrefix(after, " more authentication failure") {
			return parsePAM(after[len(" more "):], f)
		}
	}
	if !hasPrefix(msg, "pam_") {
		return false
	}
	head, text, ok := cut(msg, ": ")
	if !ok || bytes.IndexByte(head, ' ') >= 0 {
		return false
	}
	if _, where, has := cut(head, "("); has {
		where, _ = cutSuffix(where, ")")
		f.Service, _, _ = cut(where, ":")
	}
	return parsePAM(text, f)
}

// parsePAM reads the text that pam_unix and the modules modelled on it write.
func parsePAM(text []byte, f *Fields) bool {
	if rest, ok := cutPrefix(text, "session opened for user "); ok {
		return parseSessionOpened(rest, f)
	}
	if rest, ok := cutPrefix(text, "session closed for user "); ok {
		user, _ := word(rest)
		if f.switchesUser() {
			f.TargetUser = user
		} else {
			f.User = user
		}
		return f.is("session-closed", "", Session)
	}
	for _, lead := range [...]string{"authentication failure;", "authentication failures;", "authentication failure, "} {
		if rest, ok := cutPrefix(text, lead); ok {
			return parseAuthenticationFailure(rest, f)
		}
	}
	if rest, ok := cutPrefix(text, "authentication success;"); ok {
		parseAuthenticationFailure(rest, f)
		return f.is("authentication", Success, Authentication)
	}
	if rest, ok := cutPrefix(text, "password changed for "); ok {
		f.TargetUser = rest
		return f.is("password-changed", Success, IAM)
	}
	if hasPrefix(text, "check pass; user unknown") {
		return f.is("authentication", Failure, Authentication)
	}
	for _, lead := range [...]string{"auth could not identify password for [", "bad username ["} {
		if rest, ok := cutPrefix(text, lead); ok {
			f.User, _ = cutSuffix(rest, "]")
			return f.is("authentication", Failure, Authentication)
		}
	}
	if rest, ok := cutPrefix(text, "user "); ok { // chpasswd: user "NAME" does not exist in FILE
		if user, tail, isQuoted := quoted(rest); isQuoted && hasPrefix(tail, " does not exist") {
			f.TargetUser, f.Reason = user, tail[1:]
			return f.is("password-changed", Failure, IAM)
		}
	}
	if rest, ok := cutPrefix(text, "account "); ok {
		if user, reason, found := cut(rest, " has "); found {
			f.User, f.Reason = user, reason
			return f.is("authentication", Failure, Authentication)
		}
	}
	return false
}

// switchesUser reports whether the service runs something as another user, so
// that a session's user is the target and who opened it the one who acts.
func (f *Fields) switchesUser() bool {
	switch f.DataType {
	case Sudo, Su:
		return true
	}
	switch string(f.Service) {
	case "sudo", "sudo-i", "su", "su-l", "pkexec", "doas", "runuser", "runuser-l", "polkit-1":
		return true
	}
	return false
}

// parseSessionOpened reads "NAME[(uid=N)] by [NAME](uid=N)".
func parseSessionOpened(b []byte, f *Fields) bool {
	whom, by, _ := cutLast(b, " by ")
	user, uid := nameUID(whom)
	if user, _ = word(user); len(user) == 0 {
		return false
	}
	if !f.switchesUser() {
		f.User, f.UID = user, uid
		return f.is("session-opened", Success, Session)
	}
	f.TargetUser, f.TargetUID = user, uid
	f.User, f.UID = nameUID(by)
	return f.is("session-opened", Success, Session)
}

// nameUID reads "NAME(uid=N)"; either part may be missing.
func nameUID(b []byte) (user []byte, uid int64) {
	user, tail, ok := cut(b, "(uid=")
	if !ok {
		return b, None
	}
	n, _, ok := number(tail)
	if !ok {
		n = None
	}
	return user, n
}

// parseAuthenticationFailure reads "logname=A uid=0 euid=0 tty=T ruser=R
// rhost=H  user=U". Values are single words; the server's own user= comes
// last, so a remote name that imitates it loses.
func parseAuthenticationFailure(b []byte, f *Fields) bool {
	var logname, ruser []byte
	f.UID = None
	seen := 0
	for len(b) > 0 {
		var w []byte
		w, b = word(b)
		key, value, ok := cut(w, "=")
		if !ok {
			continue
		}
		switch string(key) {
		case "tty":
			f.TTY = value
		case "rhost":
			f.setPeer(value)
		case "user":
			f.User = value
			seen++
		case "ruser":
			ruser = value
		case "logname":
			logname = value
		}
	}
	f.Ambiguous = seen > 1
	if f.switchesUser() {
		// user= is the account whose password was asked: with su the target,
		// with sudo the invoker himself.
		if f.DataType == Su || string(f.Service) == "su" || string(f.Service) == "su-l" {
			f.TargetUser, f.User = f.User, nil
		}
		if len(f.User) == 0 {
			f.User = ruser
		}
		if len(f.User) == 0 {
			f.User = logname
		}
	}
	return f.is("authentication", Failure, Authentication)
}
