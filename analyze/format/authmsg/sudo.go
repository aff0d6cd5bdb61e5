package authmsg

// parseSudo reads sudo's log line (sudo logging.c):
//
//	NAME : [REASON ; ]TTY=T ; PWD=DIR ; USER=TARGET[ ; GROUP=G][ ; ENV=..] ; COMMAND=COMMAND
func parseSudo(msg []byte, f *Fields) bool {
	user, rest, ok := cut(msg, " : ")
	if !ok || len(user) == 0 {
		return false
	}
	user = trimSpace(user)
	if index(user, " ") >= 0 {
		return false
	}
	outcome := Success
	known := false
	for first := true; ; first = false {
		if command, isCommand := cutPrefix(rest, "COMMAND="); isCommand {
			f.Cmdline = command
			f.Ambiguous = index(command, " ; COMMAND=") >= 0 || index(command, " ; USER=") >= 0
			known = true
			break
		}
		part, after, more := cut(rest, " ; ")
		if key, value, isField := cut(part, "="); isField && f.sudoField(key, value) {
			known = true
		} else if first {
			f.Reason, outcome = part, Failure
			known = known || sudoReason(part)
		}
		if !more {
			break
		}
		rest = after
	}
	if !known {
		f.Reason = nil
		return false
	}
	f.User = user
	return f.is("privilege-used", outcome, Process)
}

func (f *Fields) sudoField(key, value []byte) bool {
	switch string(key) {
	case "TTY":
		f.TTY = value
	case "PWD":
		f.CWD = value
	case "USER":
		f.TargetUser = value
	case "GROUP":
		f.Group = value
	case "HOST", "CHROOT", "TSID", "ENV", "CWD":
	default:
		return false
	}
	return true
}

// sudoReason knows the refusals that may stand without fields.
func sudoReason(b []byte) bool {
	return hasSuffix(b, "incorrect password attempts") || hasSuffix(b, "incorrect password attempt") ||
		hasSuffix(b, "NOT in sudoers") || hasPrefix(b, "command not allowed") || hasPrefix(b, "a password is required")
}

// parseSu reads the messages of the su of util-linux, shadow and the BSDs.
func parseSu(msg []byte, f *Fields) bool {
	outcome := Success
	if rest, ok := cutPrefix(msg, "FAILED SU "); ok {
		msg, outcome = rest, Failure
	}
	if rest, ok := cutPrefix(msg, "(to "); ok { // util-linux: (to TARGET) NAME on TTY
		target, who, found := cut(rest, ") ")
		if !found {
			return false
		}
		f.TargetUser = target
		f.User = who
		if user, tty, on := cutLast(who, " on "); on {
			f.User, f.TTY = user, tty
		}
		return f.is("privilege-used", outcome, Authentication)
	}
	for _, form := range [...]struct{ lead, outcome string }{ // shadow
		{"Successful su for ", Success}, {"FAILED su for ", Failure},
	} {
		if rest, ok := cutPrefix(msg, form.lead); ok {
			f.TargetUser, f.User, _ = cut(rest, " by ")
			return f.is("privilege-used", form.outcome, Authentication)
		}
	}
	if rest, ok := cutPrefix(msg, "'su "); ok { // Solaris: 'su TARGET' failed for NAME on TTY
		target, tail, found := cut(rest, "' ")
		verb, who, two := cut(tail, " for ")
		if !found || !two {
			return false
		}
		if string(verb) != "succeeded" {
			outcome = Failure
		}
		f.TargetUser = target
		f.User, f.TTY, _ = cut(who, " on ")
		return f.is("privilege-used", outcome, Authentication)
	}
	if len(msg) > 2 && (msg[0] == '+' || msg[0] == '-') && msg[1] == ' ' { // shadow: + TTY NAME:TARGET
		if msg[0] == '-' {
			outcome = Failure
		}
		tty, who := word(msg[2:])
		user, target, found := cut(who, ":")
		if !found {
			return false
		}
		f.TTY, f.User, f.TargetUser = tty, user, target
		return f.is("privilege-used", outcome, Authentication)
	}
	return false
}
