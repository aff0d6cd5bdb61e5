#!/bin/sh
# What each profile costs on this machine, as the table that docs/collecting.md
# has: one run of each as root, into a pipe. Needs root, mount namespaces and jq.
#
#   HIDE       folders that the runs see empty; the temporary ones by default,
#              because they are collected whole and say more of who works here
#              than of the profile
#   FLAGS      more flags of the collector, for example --polite=false
#   ONLY       names of profiles
#   TMPDIR     about 2 GB
set -eu
script=bench-profiles
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/bench-lib.sh"
hide=${HIDE-/tmp /var/tmp}
export FLAGS="${FLAGS:-}"
have jq || exit 1
[ "$(id -u)" = 0 ] || fail "run it as root"

# In a mount namespace of its own, where $work may be hidden: the program comes
# in and the bundle goes out by descriptors.
cat >run.sh <<'END'
set -eu
hide=$1 profile=$2
for folder in $hide; do
	mount -t tmpfs -o mode=1777 tmpfs "$folder"
done
mkdir /run/bench-profiles
mount -t tmpfs tmpfs /run/bench-profiles
cat <&9 >/run/bench-profiles/exhibit-collector
chmod 755 /run/bench-profiles/exhibit-collector
cd /
exec 9<&-
exec /run/bench-profiles/exhibit-collector --progress none --json --profile "$profile" $FLAGS -o -
END
trap 'rmdir /run/bench-profiles 2>/dev/null; rm -rf "$work"' EXIT

what() {
	case $1 in
	network) echo "clocks, network state, processes and what only they hold" ;;
	volatile) echo "the same, and kernel, mounts and sessions: all that a restart loses" ;;
	logs) echo "clocks, mounts, logs and temporary files" ;;
	triage) echo "\`volatile\`, logs, persistence, packages and traces of users" ;;
	full) echo "\`triage\`, and metadata and hashes of the whole file system; the same as no profile" ;;
	esac
}
echo "| profile | what | content | bundle | CPU s | seconds | memory | files opened | of the kernel | access times moved, of a sample | links read without protection | bytes written |"
echo "|---|---|---|---|---|---|---|---|---|---|---|---|"
for profile in network volatile logs triage full; do
	wanted "$profile" || continue
	# Not a named pipe: writing to one moves its times, on the disk where its name is.
	echo 0 >code
	{ unshare --mount --propagation private sh run.sh "$hide" "$profile" 9<exhibit-collector 2>err || echo $? >code; } | cat >bundle
	code=$(cat code)
	[ "$code" = 0 ] || [ "$code" = 3 ] || fail "$profile failed with $code: $(tail -n 3 err)"
	rmdir /run/bench-profiles 2>/dev/null || true
	tail -n 1 err >result
	"$exhibit" cat bundle collection/footprint.jsonl >footprint
	jq -rn --arg profile "$profile" --arg what "$(what "$profile")" --slurpfile r result --slurpfile f footprint '
		def mb: . / 1e6 | if . < 10 then . * 10 | round / 10 else round end | "\(.) MB";
		$r[0] as $r | $f[0] as $f |
		"| `\($profile)` | \($what) | \($r.content_bytes | mb) | \($r.bundle_bytes | mb) | \($r.cpu_seconds * 10 | round / 10) | \($r.seconds | round) | \($r.peak_rss_bytes | mb) | \($f.files_opened) | \($f.proc_files_opened) | \($f.atime_sample.moved) of \($f.atime_sample.files | length) | \($f.links_read) | \($f.blocks_written * 512) |"'
	case $profile in
	network) echo "processes: $("$exhibit" cat bundle live/processes.jsonl | wc -l)" >host ;;
	full) echo "names: $("$exhibit" cat bundle filesystem/walk.jsonl | wc -l)" >>host ;;
	esac
done
touch host
say "this machine: $(nproc) processors, $(tr '\n' ' ' <host)hidden: $hide"
