package authmsg

// parseAccount reads the messages of the shadow tools and of passwd.
func parseAccount(msg []byte, f *Fields) bool {
	if rest, ok := cutPrefix(msg, "new user: "); ok {
		f.accountFields(rest)
		return f.is("account-created", Success, IAM)
	}
	if rest, ok := cutPrefix(msg, "new group: "); ok {
		f.groupFields(rest)
		return f.is("group-created", Success, IAM)
	}
	if rest, ok := cutPrefix(msg, "group added to "); ok {
		_, rest, _ = cut(rest, ": ")
		f.groupFields(rest)
		return f.is("group-created", Success, IAM)
	}
	if rest, ok := cutPrefix(msg, "failed adding user "); ok {
		f.TargetUser, f.Reason, _ = quoted(rest)
		f.Reason, _ = cutPrefix(f.Reason, ", ")
		return f.is("account-created", Failure, IAM)
	}
	if rest, ok := cutPrefix(msg, "add "); ok {
		return f.membership(rest, " group ")
	}
	if rest, ok := cutPrefix(msg, "delete user "); ok {
		f.TargetUser, _ = name(rest)
		return f.is("account-deleted", Success, IAM)
	}
	if rest, ok := cutPrefix(msg, "delete "); ok {
		return f.membership(rest, " group ")
	}
	if rest, ok := cutPrefix(msg, "change user "); ok {
		return parseUserChange(rest, f)
	}
	return parsePassword(msg, f) || parseGroup(msg, f)
}

// accountFields reads "name=N, UID=U, GID=G, home=H, shell=S, from=TTY".
func (f *Fields) accountFields(b []byte) {
	for len(b) > 0 {
		var part []byte
		part, b, _ = cut(b, ", ")
		key, value, _ := cut(part, "=")
		switch string(key) {
		case "name":
			f.TargetUser = value
		case "UID":
			f.TargetUID = whole(value)
		case "home":
			f.File = value
		case "from":
			f.TTY = value
		}
	}
}

func (f *Fields) groupFields(b []byte) {
	for len(b) > 0 {
		var part []byte
		part, b, _ = cut(b, ", ")
		if value, ok := cutPrefix(part, "name="); ok {
			f.Group = value
		}
	}
}

// membership reads "'NAME' to|from [shadow ]group 'GROUP'".
func (f *Fields) membership(b []byte, before string) bool {
	user, rest, ok := quoted(b)
	if !ok {
		return false
	}
	_, group, ok := cut(rest, before)
	if !ok {
		return false
	}
	f.TargetUser = user
	f.Group, _ = name(group)
	return f.is("account-changed", Success, IAM)
}

// parseUserChange reads what follows usermod's "change user ".
func parseUserChange(b []byte, f *Fields) bool {
	if rest, ok := cutPrefix(b, "name "); ok {
		b = rest
	}
	user, rest := name(b)
	f.TargetUser = user
	f.Reason = trimSpace(rest)
	if string(f.Reason) == "password" {
		return f.is("password-changed", Success, IAM)
	}
	return f.is("account-changed", Success, IAM)
}

// parsePassword reads the messages of passwd, chpasswd, chage, chfn, chsh and
// usermod -L.
func parsePassword(msg []byte, f *Fields) bool {
	if rest, ok := cutPrefix(msg, "password for "); ok {
		user, tail := name(rest)
		by, found := cutPrefix(tail, "changed by ")
		if !found {
			return false
		}
		f.TargetUser = user
		f.User, _ = name(by)
		return f.is("password-changed", Success, IAM)
	}
	for _, form := range [...]struct{ lead, action string }{
		{"password changed for ", "password-changed"},
		{"changed password expiry for ", "account-changed"},
		{"changed user ", "account-changed"},
		{"lock user ", "account-changed"},
		{"unlock user ", "account-changed"},
		{"lock password for ", "account-changed"},
		{"unlock password for ", "account-changed"},
	} {
		if rest, ok := cutPrefix(msg, form.lead); ok {
			f.TargetUser, f.Reason = name(rest)
			return f.is(form.action, Success, IAM)
		}
	}
	return false
}

// parseGroup reads the messages of groupdel, groupmod, userdel and gpasswd
// about groups.
func parseGroup(msg []byte, f *Fields) bool {
	for _, lead := range [...]string{"removed group ", "removed shadow group "} {
		if rest, ok := cutPrefix(msg, lead); ok {
			f.Group, _ = name(rest)
			return f.is("group-deleted", Success, IAM)
		}
	}
	if rest, ok := cutPrefix(msg, "group changed in "); ok {
		_, group, _ := cut(rest, "(group ")
		f.Group, _, _ = cut(group, "/")
		return f.is("group-changed", Success, IAM)
	}
	if rest, ok := cutPrefix(msg, "group "); ok {
		group, tail := name(rest)
		if hasPrefix(tail, "removed") {
			f.Group = group
			return f.is("group-deleted", Success, IAM)
		}
	}
	if rest, ok := cutPrefix(msg, "user "); ok { // gpasswd: NAME added by BY to group G
		user, tail := word(rest)
		verb, tail := word(tail)
		by, found := cutPrefix(tail, "by ")
		if !found || string(verb) != "added" && string(verb) != "removed" {
			return false
		}
		f.TargetUser = user
		f.User, tail = word(by)
		_, f.Group, _ = cut(tail, "group ")
		return f.is("account-changed", Success, IAM)
	}
	return false
}
