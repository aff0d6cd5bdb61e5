package agentless

import (
	"bufio"
	"io"
	"regexp"
	"strings"
)

// Connection is what ssh says of a connection in its own log (ssh -v).
type Connection struct {
	Peer    string `json:"peer,omitempty"`     // address and port
	HostKey string `json:"host_key,omitempty"` // kind and fingerprint of the server's key
	Method  string `json:"method,omitempty"`   // how the user was authenticated
	failure string
}

var (
	hostKeyLine = regexp.MustCompile(`^debug1: Server host key: ([a-z0-9@.-]+ SHA256:[A-Za-z0-9+/=]+)`)
	loginLine   = regexp.MustCompile(`^Authenticated to \S+ \((?:via proxy|\[([0-9A-Fa-f.:%a-z]+)\]:(\d+))\) using "([a-z-]+)"`)
)

// maxLog bounds what is read of ssh's log.
const maxLog = 1 << 20

// readLog finds in ssh's log who answered. Lines that are none of its remarks
// for debugging say why it failed, the last one best.
func readLog(r io.Reader) Connection {
	var c Connection
	lines := bufio.NewScanner(io.LimitReader(r, maxLog))
	lines.Buffer(make([]byte, 4096), 64<<10)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		if m := hostKeyLine.FindStringSubmatch(line); m != nil {
			c.HostKey = m[1]
			continue
		}
		if m := loginLine.FindStringSubmatch(line); m != nil {
			if c.Method = m[3]; m[1] != "" {
				c.Peer = m[1] + " port " + m[2]
			}
			continue
		}
		if !strings.HasPrefix(line, "debug") && !strings.HasPrefix(line, "OpenSSH_") && telling(line) {
			c.failure = line
		}
	}
	return c
}

// telling tells lines that explain from ruled ones, remarks and farewells.
func telling(line string) bool {
	if strings.Trim(line, "@ \t*") == "" {
		return false
	}
	for _, prefix := range []string{"Transferred: ", "Bytes per second: ", "Warning: Permanently added", "Authenticated to ", "Killed by signal", "** "} {
		if strings.HasPrefix(line, prefix) {
			return false
		}
	}
	return true
}
