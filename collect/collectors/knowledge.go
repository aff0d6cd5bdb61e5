package collectors

import (
	"path"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	definitions "github.com/exhibit-dfir/exhibit/collect/definition"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// knowledgeOf says what definitions have to know of a host: its system, its
// accounts, and the home directories that no account owns any more.
func knowledgeOf(h *collect.Host, out collect.Taker) *definitions.Knowledge {
	k := &definitions.Knowledge{OS: h.System()}
	if k.OS == "windows" {
		for _, dir := range []string{"/Users", "/Documents and Settings"} {
			entries, _ := h.ReadDir(dir) // each version of Windows has one of these
			for _, e := range entries {
				if e.Type == modeDir || e.Type == 0 {
					k.Users = append(k.Users, definitions.User{Name: e.Name, Home: dir + "/" + e.Name, Login: true})
				}
			}
		}
		return k
	}
	text, _ := h.ReadFile("/etc/passwd", maxPasswd) // homesOf reports why it cannot be read
	homes := homesOf(h, out)
	owned := map[string]bool{}
	for _, u := range passwdUsers(string(text)) {
		if slices.Contains(homes, u.Home) {
			owned[u.Home] = true
			k.Users = append(k.Users, u)
		}
	}
	for _, home := range homes {
		if !owned[home] {
			k.Users = append(k.Users, definitions.User{Home: home})
		}
	}
	return k
}

// passwdUsers reads the lines of passwd(5) that name an absolute home.
func passwdUsers(text string) []definitions.User {
	var users []definitions.User
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) < 7 || !strings.HasPrefix(f[5], "/") || strings.IndexByte(f[5], 0) >= 0 {
			continue
		}
		shell := f[6]
		users = append(users, definitions.User{Name: f[0], ID: f[2], Home: path.Clean(f[5]), Shell: shell, Login: canLogIn(shell)})
	}
	return users
}

// canLogIn reports whether a shell lets its user do anything. An empty field
// stands for /bin/sh.
func canLogIn(shell string) bool {
	switch path.Base(shell) {
	case "nologin", "false", "true", "sync", "halt", "shutdown":
		return false
	}
	return true
}

// knowledgeLines are the lines of record.Knowledge.
func knowledgeLines(k *definitions.Knowledge) []record.KnownUser {
	lines := []record.KnownUser{{System: k.OS}}
	for _, u := range k.Users {
		lines = append(lines, record.KnownUser{
			Name: record.Bytes(u.Name), ID: u.ID, SID: u.SID, Home: record.Bytes(u.Home), Shell: record.Bytes(u.Shell), Login: u.Login,
		})
	}
	return lines
}
