#!/bin/bash
# Ours beside the systems' own tools on the same files, in one run: CPU seconds
# (user and system), medians of ROUNDS (3). BENCH_DIR holds the files, laid out
# as on a host (var/log/...); default: the laboratory's host, unpacked.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
rounds=${ROUNDS:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CONFIG_HOME=$work/config
files=${BENCH_DIR:-$work/files}
if [ -z "${BENCH_DIR:-}" ]; then
	lab=${EXHIBIT_LAB:-$root/../shared/lab/A/data}
	[ -e "$lab/trees.tar.zst" ] || { echo "no $lab: set BENCH_DIR to a folder with var/log of a host" >&2; exit 2; }
	mkdir -p "$files/var/log"
	zstd -dqc "$lab/trees.tar.zst" | tar x -C "$files" --no-same-owner
	zstd -dqc "$lab/veth.pcap.zst" >"$files/var/log/veth.pcap"
fi
(cd "$root" && CGO_ENABLED=0 sh scripts/go.sh build -o "$work/exhibit" ./cmd/exhibit)
exhibit=$work/exhibit
"$exhibit" key new "$work/key" --id bench@local >/dev/null 2>&1

cpu() { # CPU seconds of a command, median of all rounds
	local all=()
	for _ in $(seq "$rounds"); do
		TIMEFORMAT='%U %S'
		local t
		t=$({ time "$@" >/dev/null 2>&1 || true; } 2>&1 | tail -n 1)
		all+=("$(awk '{ printf "%.2f", $1 + $2 }' <<<"$t")")
	done
	printf '%s\n' "${all[@]}" | sort -n | sed -n "$(((rounds + 1) / 2))p"
}
fresh() { # build the timeline from nothing
	rm -rf "$1/timeline"
	"$exhibit" --case "$1" timeline build --workers 1
}
compare() { # compare NAME FILES... -- PEER...
	local name=$1 case=$work/case-$1 tree=$work/tree-$1 f
	shift
	mkdir -p "$tree"
	while [ "$1" != -- ]; do
		f=${1#"$files"/}
		mkdir -p "$tree/$(dirname "$f")"
		cp -r "$1" "$tree/$f"
		shift
	done
	shift
	if ! command -v "$1" >/dev/null; then
		echo "| $name | - | - | $1 is not installed |"
		return
	fi
	"$exhibit" case init "$case" >/dev/null
	"$exhibit" --case "$case" collect --root "$tree" --collectors linux_logs >/dev/null 2>&1 || [ $? -eq 3 ]
	local ours peer
	ours=$(cpu fresh "$case")
	peer=$(cpu "$@")
	echo "| $name | $ours | $peer | $(awk -v a="$peer" -v b="$ours" 'BEGIN { if (b > 0) printf "%.1f", a / b; else print "-" }') | \`$*\` |" | sed "s|$files|.|g; s|$work|.|g"
}

echo "| source | ours, CPU s | peer, CPU s | peer / ours | peer's command |"
echo "|---|---|---|---|---|"
log=$files/var/log
compare journal "$log/journal" -- journalctl --directory "$log/journal" -o json --no-pager
compare audit "$log/audit" -- ausearch -i -if "$log/audit/audit.log"
compare wtmp "$log/wtmp" -- last -F -f "$log/wtmp"
compare pcap "$log/veth.pcap" -- tshark -n -q -z conv,tcp -r "$log/veth.pcap"
if [ -d "${UAC_DIR:-}" ]; then
	mkdir -p "$work/uac-out"
	again() { rm -f "$work/logs.exhibit.tar.zst"; "$exhibit" collect --root "$files" --collectors linux_logs -o "$work/logs.exhibit.tar.zst"; }
	ours=$(cpu again)
	peer=$(cd "$UAC_DIR" && cpu ./uac -u -a 'files/logs/*' --mount-point "$files" "$work/uac-out")
	echo "| collecting the logs | $ours | $peer | $(awk -v a="$peer" -v b="$ours" 'BEGIN { if (b > 0) printf "%.1f", a / b }') | UAC, files/logs |"
else
	echo "UAC was left out: set UAC_DIR to its folder" >&2
fi
