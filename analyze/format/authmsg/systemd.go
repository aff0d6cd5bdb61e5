package authmsg

import "bytes"

// parseSystemd reads the messages of the service manager and of logind.
func parseSystemd(program, msg []byte, f *Fields) bool {
	if string(program) == "systemd-logind" {
		return parseLogind(msg, f)
	}
	if string(program) == "systemd-shutdown" {
		return false
	}
	for _, form := range [...]struct{ lead, action, outcome string }{
		{"Started ", "service-started", Success},
		{"Finished ", "service-started", Success},
		{"Stopped ", "service-stopped", Success},
		{"Reloaded ", "reloaded", Success},
		{"Failed to start ", "service-failed", Failure},
		{"Starting ", "", ""},
		{"Stopping ", "", ""},
		{"Created slice ", "", ""},
		{"Removed slice ", "", ""},
		{"Reached target ", "", ""},
		{"Listening on ", "", ""},
		{"Closed ", "", ""},
		{"Mounted ", "", ""},
		{"Unmounted ", "", ""},
	} {
		if rest, ok := cutPrefix(msg, form.lead); ok {
			f.Unit = unitOf(rest)
			if hasPrefix(rest, "target ") {
				return true // a synchronisation point, nothing runs
			}
			if form.action == "" {
				return true
			}
			return f.is(form.action, form.outcome, Process)
		}
	}
	if hasPrefix(msg, "Reloading requested") || string(msg) == "Reloading." { // systemctl daemon-reload
		return f.is("reloaded", "", Configuration)
	}
	if rest, ok := cutPrefix(msg, "Reloading "); ok {
		f.Unit = unitOf(rest)
		return true
	}
	unit, state, ok := cut(msg, ": ")
	if !ok || !isUnit(unit) {
		return false
	}
	f.Unit = unit
	switch {
	case hasPrefix(state, "Deactivated successfully"), hasPrefix(state, "Succeeded"):
		return f.is("service-stopped", Success, Process)
	case hasPrefix(state, "Failed with result"), hasPrefix(state, "Failed at step"),
		hasPrefix(state, "Main process exited") && index(state, "FAILURE") > 0:
		f.Reason = state
		return f.is("service-failed", Failure, Process)
	}
	return true
}

// unitOf finds the unit in "UNIT - Description." or "UNIT."; older versions
// write the description alone, which names no unit.
func unitOf(b []byte) []byte {
	b, _ = cutPrefix(b, "target ")
	unit, _ := word(b)
	for len(unit) > 0 && unit[len(unit)-1] == '.' {
		unit = unit[:len(unit)-1]
	}
	if isUnit(unit) {
		return unit
	}
	return nil
}

// isUnit reports whether b has the suffix of a unit type, systemd.unit(5).
func isUnit(b []byte) bool {
	i := bytes.LastIndexByte(b, '.')
	if i <= 0 || bytes.IndexByte(b, ' ') >= 0 {
		return false
	}
	switch string(b[i+1:]) {
	case "service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope":
		return true
	}
	return false
}

// parseLogind reads systemd-logind's session messages. Names are bare, or in
// quotes since version 256.
func parseLogind(msg []byte, f *Fields) bool {
	if rest, ok := cutPrefix(msg, "New session "); ok {
		id, tail := name(rest)
		who, found := cutPrefix(tail, "of user ")
		if !found {
			return false
		}
		f.Session = id
		user, more := name(who)
		f.User, _ = cutSuffix(user, ".")
		if class, has := cutPrefix(more, "with class "); has {
			f.SessionName, _ = name(class)
		}
		return f.is("session-opened", Success, Session)
	}
	if rest, ok := cutPrefix(msg, "Removed session "); ok {
		rest, _ = cutSuffix(rest, ".")
		f.Session, _ = name(rest)
		return f.is("session-closed", "", Session)
	}
	if rest, ok := cutPrefix(msg, "Session "); ok {
		id, tail := name(rest)
		if hasPrefix(tail, "logged out") {
			f.Session = id
			return f.is("session-closed", "", Session)
		}
	}
	for _, lead := range [...]string{"System is powering down", "System is rebooting", "System is halting", "The system will "} {
		if hasPrefix(msg, lead) {
			return f.is("shutdown", "", Host)
		}
	}
	return false
}
