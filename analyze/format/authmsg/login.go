package authmsg

// parseLogin reads login(1)'s messages of util-linux and shadow.
func parseLogin(msg []byte, f *Fields) bool {
	if rest, ok := cutPrefix(msg, "FAILED LOGIN "); ok {
		return parseFailedLogin(rest, f)
	}
	for _, lead := range [...]string{"ROOT LOGIN ON ", "ROOT LOGIN  on ", "ROOT LOGIN on ", "LOGIN ON "} {
		if rest, ok := cutPrefix(msg, lead); ok {
			tty, tail := name(rest)
			f.TTY = tty
			if by, found := cutPrefix(tail, "BY "); found {
				f.User, tail = word(by)
			} else if lead[0] == 'R' {
				f.UID = 0
			}
			if from, found := cutPrefix(tail, "FROM "); found {
				host, _ := word(from)
				f.setPeer(host)
			}
			return f.is("user-login", Success, Authentication)
		}
	}
	return false
}

// parseFailedLogin reads "N FROM HOST FOR NAME, REASON" and "(N) on 'TTY' FOR
// 'NAME', REASON".
func parseFailedLogin(b []byte, f *Fields) bool {
	where, who, ok := cut(b, " FOR ")
	if !ok {
		return false
	}
	if user, rest, isQuoted := quoted(who); isQuoted {
		f.User = user
		f.Reason, _ = cutPrefix(rest, ", ")
	} else if user, reason, found := cutLast(who, ", "); found {
		f.User, f.Reason = user, reason
	} else {
		f.User = who
	}
	if _, tty, on := cut(where, " on "); on {
		f.TTY, _ = name(tty)
	}
	if _, host, from := cut(where, "FROM "); from {
		// On a console the place is the terminal.
		host, _ = word(host)
		if hasPrefix(host, "tty") || hasPrefix(host, "/dev/") {
			f.TTY = host
		} else {
			f.setPeer(host)
		}
	}
	return f.is("user-login", Failure, Authentication)
}
