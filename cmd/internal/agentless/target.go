// Package agentless runs the collector on another host over SSH: the program
// goes there in memory, the bundle comes back over the same connection, and
// nothing stays. The connection is made by the ssh program of this machine,
// with all that its configuration knows: agents, hardware keys, jump hosts.
package agentless

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Scheme begins the name of a host that is collected over SSH.
const Scheme = "ssh://"

// Target is a host to collect.
type Target struct {
	User string // "": what ssh's configuration says
	Host string // name or address, or an alias of ssh's configuration
	Port int    // 0: what ssh's configuration says
}

// ParseTarget reads ssh://[USER@]HOST[:PORT]; the scheme may be left out.
func ParseTarget(text string) (Target, error) {
	if !strings.Contains(text, "://") {
		text = Scheme + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme+"://" != Scheme {
		return Target{}, fmt.Errorf("%q is no host: ssh://[USER@]HOST[:PORT]", text)
	}
	t := Target{User: u.User.Username(), Host: u.Hostname()}
	if _, secret := u.User.Password(); secret {
		return Target{}, fmt.Errorf("%q holds a password: everybody on this machine could read it. Use a key or an agent", Scheme+u.Host)
	}
	if p := u.Port(); p != "" {
		if t.Port, err = strconv.Atoi(p); err != nil || t.Port < 1 || t.Port > 65535 {
			return Target{}, fmt.Errorf("%q has no valid port", text)
		}
	}
	// What begins with a dash would be an option of ssh.
	if !plainName(t.Host) || t.User != "" && !plainName(t.User) || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return Target{}, fmt.Errorf("%q is no host: ssh://[USER@]HOST[:PORT]", text)
	}
	return t, nil
}

func plainName(s string) bool {
	if s == "" || s[0] == '-' || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("'\"`$\\;|&<>()*?[]{}!#~=", c) >= 0 {
			return false
		}
	}
	return true
}

// String is the target as ssh://…
func (t Target) String() string {
	host := t.Host
	switch {
	case t.Port != 0:
		host = net.JoinHostPort(host, strconv.Itoa(t.Port))
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	if t.User != "" {
		host = t.User + "@" + host
	}
	return Scheme + host
}

// maxHosts bounds a list of hosts, and its text.
const (
	maxHosts = 10_000
	maxList  = 1 << 20
)

// ParseHosts reads a list of targets, one a line; what follows # is a remark.
// A host that stands there twice is an error: it would be collected twice.
func ParseHosts(r io.Reader) ([]Target, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxList+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxList {
		return nil, fmt.Errorf("the list is over %d bytes", maxList)
	}
	var list []Target
	seen := map[Target]int{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		t, err := ParseTarget(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if first := seen[t]; first != 0 {
			return nil, fmt.Errorf("line %d: %s stands in line %d already", n, t, first)
		}
		if seen[t] = n; len(list) == maxHosts {
			return nil, fmt.Errorf("more than %d hosts", maxHosts)
		}
		list = append(list, t)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the list names no host")
	}
	return list, nil
}
