package authmsg

// parseDropbear reads the dropbear server's messages. It writes a peer as
// ADDRESS:PORT.
func parseDropbear(msg []byte, f *Fields) bool {
	for _, form := range [...]struct{ lead, method, outcome string }{
		{"Password auth succeeded for ", "password", Success},
		{"Bad password attempt for ", "password", Failure},
		{"Pubkey auth succeeded for ", "publickey", Success},
		{"Pubkey auth attempt with unknown algo for ", "publickey", Failure},
		{"PAM password auth succeeded for ", "password", Success},
		{"Bad PAM password attempt for user ", "password", Failure},
	} {
		rest, ok := cutPrefix(msg, form.lead)
		if !ok {
			continue
		}
		user, tail, ok := cutLast(rest, " from ")
		if !ok || !f.colonPeer(tail) {
			return false
		}
		if form.method == "publickey" {
			if u, key, with := cut(user, " with "); with {
				user = u
				key, _ = cutPrefix(key, "key ")
				if _, print, two := cutLast(key, " "); two {
					key = print
				}
				f.Fingerprint = key
			}
		}
		f.User, _ = name(user)
		f.Method = method(msg, form.method)
		return f.is("user-login", form.outcome, Authentication)
	}
	if rest, ok := cutPrefix(msg, "Login attempt for nonexistent user"); ok {
		user, tail, found := cutLast(rest, "from ")
		if !found || !f.colonPeer(tail) {
			return false
		}
		f.User, _ = name(trimSpace(user))
		return f.is("invalid-user", Failure, Authentication)
	}
	if rest, ok := cutPrefix(msg, "Child connection from "); ok && f.colonPeer(rest) {
		return f.is("connection-opened", "", Network)
	}
	return false
}

// method finds the method's name in the message, so that Fields.Method is a
// part of it; dropbear capitalises, so a name that is not there stays unset.
func method(msg []byte, want string) []byte {
	if i := index(msg, want); i >= 0 {
		return msg[i : i+len(want)]
	}
	if want == "password" && hasPrefix(msg, "Password") {
		return passwordMethod
	}
	return publickeyMethod
}

// The names of the methods where the message has no lower-case word for them;
// never written to.
var passwordMethod, publickeyMethod = []byte("password"), []byte("publickey")

// colonPeer reads ADDRESS:PORT.
func (f *Fields) colonPeer(b []byte) bool {
	b, _ = word(b)
	addr, port, ok := cutLast(b, ":")
	if !ok {
		return false
	}
	if a, found := cutPrefix(addr, "["); found {
		addr, _ = cutSuffix(a, "]")
	}
	if !f.setPeer(addr) {
		return false
	}
	if n := whole(port); n >= 0 && n <= 65535 {
		f.SrcPort = n
	}
	return true
}
