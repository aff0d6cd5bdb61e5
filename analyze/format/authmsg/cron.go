package authmsg

// parseCron reads Vixie cron's and cronie's "(NAME) WHAT (TEXT)", and the
// messages of atd and anacron.
func parseCron(msg []byte, f *Fields) bool {
	if rest, ok := cutPrefix(msg, "("); ok {
		return parseCronEntry(rest, f)
	}
	if rest, ok := cutPrefix(msg, "Job `"); ok { // anacron
		job, what, found := cut(rest, "' ")
		if !found {
			return false
		}
		f.Unit = job
		if hasPrefix(what, "started") {
			return f.is("scheduled-command-run", "", Process)
		}
		return true
	}
	if rest, ok := cutPrefix(msg, "Starting job "); ok { // atd: N (FILE) for user 'NAME' (UID)
		job, rest := word(rest)
		_, who, found := cut(rest, " for user ")
		if !found {
			return false
		}
		user, tail := name(who)
		f.Unit, f.User = job, user
		tail, _ = cutPrefix(tail, "(")
		tail, _ = cutSuffix(tail, ")")
		f.UID = whole(tail)
		return f.is("scheduled-command-run", "", Process)
	}
	return false
}

func parseCronEntry(b []byte, f *Fields) bool {
	user, rest, ok := cut(b, ") ")
	if !ok {
		return false
	}
	if job, found := cutPrefix(rest, "starting "); found { // run-parts
		f.Unit, f.File = job, user
		return f.is("scheduled-command-run", "", Process)
	}
	what, text, ok := cut(rest, " (")
	if !ok {
		if hasPrefix(rest, "FAILED to authorize user with PAM") {
			f.User, f.Reason = user, rest
			return f.is("scheduled-command-run", Failure, Process)
		}
		return false
	}
	text, _ = cutSuffix(text, ")")
	switch string(what) {
	case "CMD":
		f.User, f.Cmdline = user, text
		return f.is("scheduled-command-run", "", Process)
	case "REPLACE", "DELETE", "END EDIT":
		f.User, f.TargetUser = user, text
		return f.is("scheduled-task-changed", Success, Configuration)
	case "RELOAD":
		f.File = text
		return f.is("reloaded", "", Configuration)
	case "LIST", "BEGIN EDIT", "CMDEND", "CMDOUT":
		f.User = user
		return true
	}
	return false
}
