#!/bin/sh
# Ours beside the systems' own tools and plaso, in one run, on inputs that
# test/benchdata makes. Every figure is the median of ROUNDS rounds in which
# ours and the peer take turns: processor seconds of user and system, and peak
# resident memory of the largest process. Before that both run once and must
# agree on how many entries, events, records or packets there are; the script
# fails when they do not.
#
#   SCALE=100    size of the inputs in percent
#   PLASO_DIR    bin folder of a plaso; without it plaso is left out
#   ROUNDS, ONLY, TMPDIR   as in scripts/bench-lib.sh
set -eu
script=bench-peers
root=$(cd "$(dirname "$0")/.." && pwd)
scale=${SCALE:-100}
. "$root/scripts/bench-lib.sh"
"$exhibit" key new "$work/key" --id bench@local >/dev/null 2>&1

sized() { echo $(($1 * scale / 100)); }

# bundled NAME PATH=FILE... seals files in a bundle and makes a case for it.
bundled() {
	to=$1
	shift
	"$data" bundle "$work/$to.exhibit.tar.zst" "$@"
	"$exhibit" case init "$work/case-$to" >/dev/null 2>&1
}
build() {
	rm -rf "$work/case-$1/timeline"
	measured "ours-$1" "$exhibit" --json --case "$work/case-$1" timeline build --workers 1 "$work/$1.exhibit.tar.zst"
}

# events NAME PARSER prints how many events the last build got from a parser;
# matching NAME QUERY how many events of the timeline match.
events() { sed -n "s/.*\"$2\":{\"Items\":[0-9]*,\"Events\":\([0-9]*\),\"Problems\":0}.*/\1/p" "$work/build-$1"; }
matching() { "$exhibit" --case "$work/case-$1" timeline query --limit 1 "$2" 2>&1 >/dev/null | sed -n 's/^1 of \([0-9]*\) events.*/\1/p'; }

# compare NAME UNITS WHAT SIZE OURS COUNT COMMAND...
# OURS prints our number of UNITS, COUNT reads the peer's output and prints its.
compare() {
	name=$1 units=$2 what=$3 size=$4 ours=$5 count=$6
	shift 6
	have "$1" || return 0
	label=$(basename "$1")
	rm -f "$work"/used.*
	build "$name"
	cp "$work/out" "$work/build-$name"
	n=$(eval "$ours")
	"$@" </dev/null >"$work/peer" 2>/dev/null || fail "$* failed"
	m=$(eval "$count" <"$work/peer")
	[ -n "$n" ] && [ "$n" = "$m" ] || fail "$name: ours counts ${n:-nothing} $units, $label $m"
	rm -f "$work"/used.*
	for _ in $(seq "$rounds"); do
		build "$name"
		measured parse "$data" parse "$work/$name.exhibit.tar.zst"
		measured peer "$@"
	done
	o=$(cpu "ours-$name") p=$(cpu peer) r=$(cpu parse)
	printf '| %s | %s MB, %s %s | %s, %s MiB | %s, %s MiB | `%s` %s, %s MiB | %s | %s | %s k/s |\n' "$name" "$(over "$size" 1000000)" "$n" "$units" \
		"$o" "$(peak "ours-$name")" "$r" "$(peak parse)" "$what" "$p" "$(peak peer)" "$(over "$p" "$o")" "$(over "$p" "$r")" "$(over "$n" "$(over "$r" 0.001)")"
}

echo "| input | size | ours: parse, sort, store: CPU s | ours, reading only: CPU s | peer: CPU s | peer / ours | peer / reading only | ours, reading only |"
echo "|---|---|---|---|---|---|---|---|"

if wanted journal && have journalctl; then
	remote=$(command -v systemd-journal-remote || echo /usr/lib/systemd/systemd-journal-remote)
	if [ -x "$remote" ]; then
		mkdir journal
		"$data" journal "$(sized 150000)" | "$remote" -o "$work/journal/system.journal" --split-mode=none - >/dev/null 2>&1
		set --
		for f in journal/*.journal; do
			set -- "$@" "/var/log/journal/8d0f2c3a4b5c6d7e8f90a1b2c3d4e5f6/${f##*/}=$work/$f"
		done
		bundled journal "$@"
		compare journal entries 'journalctl -o json' "$(bytes journal/*)" 'events journal linux_journal' 'wc -l' \
			journalctl --directory "$work/journal" -o json --no-pager
	else
		say "left out: journalctl, because systemd-journal-remote, which makes the input, is not installed"
	fi
fi
if wanted audit && have ausearch; then
	"$data" audit "$(sized 80000)" >audit.log
	bundled audit "/var/log/audit/audit.log=$work/audit.log"
	compare audit events 'ausearch -i' "$(bytes audit.log)" 'events audit linux_audit' "grep -c '^----'" \
		ausearch -i -if "$work/audit.log"
fi
if wanted wtmp && { have last || have utmpdump; }; then
	"$data" wtmp "$(sized 400000)" >wtmp
	bundled wtmp "/var/log/wtmp=$work/wtmp"
	compare wtmp records utmpdump "$(bytes wtmp)" 'events wtmp linux_utmp' 'wc -l' utmpdump "$work/wtmp"
	compare wtmp sessions 'last -F' "$(bytes wtmp)" "matching wtmp 'parser:linux_utmp AND action:user-login'" "grep -c '^[a-z].*pts/'" last -F -f "$work/wtmp"
fi
if wanted walk && have mactime; then
	"$data" walk "$(sized 200000)" "$work"
	bundled walk "filesystem/walk.jsonl=$work/walk.jsonl"
	# mactime prints a line per file and moment, as we make events; one more for the header.
	compare walk rows 'mactime -d -y' "$(bytes body)" 'events walk fs_records' 'tail -n +2 | wc -l' mactime -b "$work/body" -d -y -z UTC
fi
if wanted pcap && have tshark; then
	"$data" pcap "$(sized 500000)" >x.pcap
	bundled pcap "/srv/x.pcap=$work/x.pcap"
	packets() { "$exhibit" --json --case "$work/case-pcap" timeline query --limit 0 parser:net_pcap 2>/dev/null | sed 's/.*"packets_out":\([0-9]*\),"packets_in":\([0-9]*\).*/\1 \2/' | awk '{ n += $1 + $2 } END { print n }'; }
	compare pcap packets 'tshark -z conv,tcp' "$(bytes x.pcap)" packets "awk '\$2 == \"<->\" { n += \$4 + \$7 } END { print n }'" \
		tshark -n -q -z conv,tcp -r "$work/x.pcap"
fi
if wanted syslog; then
	if [ -x "${PLASO_DIR:-}/log2timeline" ]; then
		"$data" syslog "$(sized 2000000)" >syslog
		bundled syslog "/var/log/syslog=$work/syslog"
		cat >plaso.sh <<-END
			set -e
			rm -f "$work/plaso" "$work/plaso.csv"
			quiet='--status-view none --unattended --logfile /dev/null'
			"$PLASO_DIR/log2timeline" \$quiet --single-process --parsers text/syslog_traditional -z UTC --storage-file "$work/plaso" "$work/syslog"
			"$PLASO_DIR/psort" \$quiet -o dynamic -w "$work/plaso.csv" "$work/plaso"
		END
		all=$rounds rounds=1 # it takes long, and the difference is no matter of noise
		compare syslog lines 'plaso: log2timeline + psort' "$(bytes syslog)" 'events syslog linux_syslog' 'tail -n +2 "$work/plaso.csv" | wc -l' sh "$work/plaso.sh"
		rounds=$all
	else
		say "left out: plaso (set PLASO_DIR to the folder of log2timeline)"
	fi
fi
