package agentless

import "strings"

// What the remote shell says, a line each on its standard error, begins with
// this word; everything else there is the host's or the collector's.
const marker = "exhibit-remote: "

// passwordPrompt is what sudo is told to ask with: it ends without a newline.
const passwordPrompt = "exhibit-remote-password:"

// script runs on the host in a POSIX shell, with the programs stat, head, cat,
// chmod, rm, id and uname. It finds a file system in memory from which programs
// may be run, receives the collector there, takes away its name before it runs
// it, and becomes it: when the collector ends, or the connection does, nothing
// is left. With DISK it takes a disk where there is no other place, and says so.
//
// read takes no byte after the end of a line from a pipe (POSIX, read). head
// may: whoever sends waits for the next line before going on.
const script = `set -u
umask 077
LC_ALL=C; export LC_ALL
say() { printf 'exhibit-remote: %s\n' "$*" >&2; }
say system "$(uname -s)" "$(uname -m)" "$(id -u)"
IFS= read -r size
file=
trap '[ -z "$file" ] || rm -f "$file"' EXIT
trap 'exit 96' HUP INT TERM
for dir in /dev/shm "/run/user/$(id -u)" /run /tmp /var/tmp "${HOME:-/nonexistent}"; do
  [ -d "$dir" ] && [ -w "$dir" ] || continue
  case $(stat -f -c %T "$dir" 2>/dev/null) in
    tmpfs|ramfs) kind=memory ;;
    *) [ "$DISK" = yes ] || continue; kind=disk ;;
  esac
  try=$dir/.exhibit-$$
  (set -C; printf '#!/bin/sh\nexit 0\n' > "$try") 2>/dev/null || continue
  file=$try
  if chmod 700 "$file" && "$file" 2>/dev/null; then break; fi
  rm -f "$file"
  file=
done
[ -n "$file" ] || { say nowhere; exit 97; }
say send "$kind" "$dir"
head -c "$size" > "$file" || { say full "$dir"; exit 98; }
[ "$(($(cat "$file" | wc -c)))" = "$size" ] || { say full "$dir"; exit 98; }
exec 9< "$file"
rm -f "$file"
file=
say start
exec /proc/self/fd/9 "$@"
`

// remoteScript is the script with what it is to run, whose words come as the
// shell's own positions.
func remoteScript(args []string, disk bool) string {
	var b strings.Builder
	b.WriteString("set --")
	for _, a := range args {
		b.WriteString(" " + quote(a))
	}
	b.WriteString("\nDISK=no\n")
	if disk {
		b.WriteString("DISK=yes\n")
	}
	b.WriteString(script)
	return b.String()
}

// quote makes one word for a POSIX shell of any text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// command is what the login shell of the host is given. It is plain enough for
// every shell, csh and fish included; the size of the script and the script
// follow once it says ready.
func command(sudo bool) string {
	const sh = `sh -c 'echo exhibit-remote: ready >&2; IFS= read -r n; eval "$(head -c "$n")"'`
	if sudo {
		return "exec sudo -S -p " + passwordPrompt + " " + sh
	}
	return "exec " + sh
}
