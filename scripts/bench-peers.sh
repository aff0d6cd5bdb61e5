#!/bin/sh
# Ours beside the systems' own tools and UAC, in one run, on inputs that
# test/benchdata makes. Every figure is the median of ROUNDS rounds in which
# ours and the peer take turns: processor seconds of user and system, and peak
# resident memory of the largest process. Before that both run once and must
# agree on how many entries, events, records or packets there are; the script
# fails when they do not.
#
#   SCALE=100    size of the inputs in percent
#   ROUNDS=3     rounds, odd
#   UAC_DIR      folder of UAC (github.com/tclahr/uac); without it UAC is left out
#   PROCESSES=50 idle processes of the live sweep, which needs root
#   PLASO_DIR    bin folder of a plaso; without it plaso is left out
#   ONLY         names of comparisons to run, for example "journal audit"
#   TMPDIR       about 3 GB of space at SCALE=100
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
rounds=${ROUNDS:-3} scale=${SCALE:-100} processes=${PROCESSES:-50}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export XDG_CONFIG_HOME="$work/config" LC_ALL=C TZ=UTC

cd "$root"
for program in cmd/exhibit cmd/exhibit-collector test/benchdata; do
	CGO_ENABLED=0 sh scripts/go.sh build -trimpath -tags urfave_cli_no_docs -ldflags '-s -w' -o "$work/" "./$program"
done
cd "$work"
exhibit=$work/exhibit data=$work/benchdata
"$exhibit" key new "$work/key" --id bench@local >/dev/null 2>&1

say() { printf '%s\n' "$*" >&2; }
fail() {
	say "bench-peers: $*"
	exit 1
}
have() {
	command -v "$1" >/dev/null || {
		say "left out: $1 is not installed"
		return 1
	}
}
wanted() {
	case " ${ONLY:-$1} " in *" $1 "*) return 0 ;; esac
	return 1
}
sized() { echo $(($1 * scale / 100)); }

# measured KEY COMMAND... notes what a command uses under KEY. Exit codes 3 (not
# everything was readable) and 5 (no trusted signer) of ours are as good as 0.
measured() {
	key=$1
	shift
	code=0
	"$data" measure "$work/used.$key" "$@" </dev/null >"$work/out" 2>"$work/err" || code=$?
	case $code in
	0 | 3 | 5) ;;
	*) fail "$* failed: $(tail -n 3 "$work/err")" ;;
	esac
}
# Medians of the runs under KEY: processor seconds, MiB and seconds passed.
cpu() { awk '{ print $1 + $2 }' "$work/used.$1" | sort -n | awk '{ v[NR] = $1 } END { printf "%.2f", v[int((NR + 1) / 2)] }'; }
peak() { sort -k3n "$work/used.$1" | awk '{ v[NR] = $3 } END { printf "%.0f", v[int((NR + 1) / 2)] / 1024 }'; }
wall() { sort -k4n "$work/used.$1" | awk '{ v[NR] = $4 } END { printf "%.2f", v[int((NR + 1) / 2)] }'; }
over() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.1f", a / b; else printf "-" }'; }
bytes() { du -scb "$@" | awk 'END { print $1 }'; }

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
rm -rf case-* journal *.exhibit.tar.zst audit.log wtmp x.pcap walk.jsonl body syslog peer out

# The collectors. UAC hashes what it collects (-H), with SHA-256 alone as ours does.
uac=${UAC_DIR:-}
if [ -z "$uac" ] || [ ! -x "$uac/uac" ]; then
	say "left out: UAC (set UAC_DIR to its folder; git clone https://github.com/tclahr/uac)"
	uac=
else
	sed 's/^hash_algorithm:.*/hash_algorithm: [sha256]/' "$uac/config/uac.conf" >uac.conf
fi
# uac_collects KEY DIR ARGUMENTS... runs UAC in its own folder, output to DIR.
cat >uac.sh <<'END'
cd "$1" && shift && exec ./uac -u -H "$@"
END
collected() { # collected NAME WHAT OURS-KEY PEER-KEY PEER-NAME
	if [ -n "$uac" ]; then
		printf '| %s | %s | %s, %s MiB | `%s` %s, %s MiB | %s |\n' "$1" "$2" "$(cpu "$3")" "$(peak "$3")" "$5" "$(cpu "$4")" "$(peak "$4")" "$(over "$(cpu "$4")" "$(cpu "$3")")"
	else
		printf '| %s | %s | %s, %s MiB | - | - |\n' "$1" "$2" "$(cpu "$3")" "$(peak "$3")"
	fi
}
echo
echo "| collection | what | ours: CPU s | peer: CPU s | peer / ours |"
echo "|---|---|---|---|---|"
if wanted tree; then
	"$data" tree "$work/tree"
	rm -f "$work"/used.*
	for _ in $(seq "$rounds"); do
		rm -f tree.exhibit.tar.zst
		measured collect "$work/exhibit-collector" --root "$work/tree" --collectors linux_logs,linux_persistence -o "$work/tree.exhibit.tar.zst"
	done
	"$exhibit" ls tree.exhibit.tar.zst --json | sed -n 's/.*"kind":"file".*"path":"\([^"]*\)".*/\1/p' | sort >ours.list
	(cd tree && find etc var -type f) | sed 's|^|/|' | sort >tree.list
	cmp -s ours.list tree.list || fail "tree: ours collected $(wc -l <ours.list) files of $(wc -l <tree.list)"
	what="$(wc -l <tree.list) files, $(over "$(bytes tree/etc tree/var/log/app*)" 1000000) MB and a sparse lastlog"
	if [ -n "$uac" ]; then
		mkdir out.d
		measured uac sh "$work/uac.sh" "$uac" -c "$work/uac.conf" -m "$work/tree" -s linux --temp-dir "$work/out.d" \
			-a files/logs/var_log.yaml,files/system/etc.yaml "$work/out.d"
		tar tzf out.d/*.tar.gz | sed -n 's|^\[root\]||p' | grep -v '/$' | sort >uac.list
		[ -z "$(comm -13 ours.list uac.list)" ] || fail "tree: UAC collected what ours did not: $(comm -13 ours.list uac.list | head -n 1)"
		lost=$(comm -23 ours.list uac.list)
		[ -z "$lost" ] || what="$what; UAC left out $(echo "$lost" | wc -l): $(echo "$lost" | head -n 1)"
	fi
	collected "logs and configuration" "$what" collect uac 'uac -H'
fi
if wanted sweep; then
	if unshare --pid --fork --mount-proc --net true 2>/dev/null; then
		rm -f "$work"/used.*
		# In namespaces of their own both see the same processes, which end with
		# the first process of the namespace.
		cat >sweep.sh <<-'END'
			work=$1 uac=$2 n=$3
			for _ in $(seq "$n"); do sleep 100000 & done
			for _ in 1 2 3; do
				rm -f "$work/sweep.exhibit.tar.zst"
				"$work/benchdata" measure "$work/used.sweep" "$work/exhibit-collector" --collectors linux_processes -o "$work/sweep.exhibit.tar.zst"
			done
			[ -z "$uac" ] || "$work/benchdata" measure "$work/used.uac" sh "$work/uac.sh" "$uac" -c "$work/uac.conf" --temp-dir "$work/out.s" \
				-a live_response/process/procfs_information.yaml,live_response/process/hash_running_processes.yaml,live_response/process/ps.yaml "$work/out.s"
		END
		mkdir out.s
		unshare --pid --fork --mount-proc --net sh "$work/sweep.sh" "$work" "$uac" "$processes" >out 2>err </dev/null || fail "sweep: $(tail -n 3 err)"
		ours=$("$exhibit" cat sweep.exhibit.tar.zst live/processes.jsonl | grep -c '"comm":"sleep"')
		[ "$ours" = "$processes" ] || fail "sweep: ours saw $ours of $processes processes"
		if [ -n "$uac" ]; then
			theirs=$(tar xzOf out.s/*.tar.gz --wildcards '*/proc/*/comm.txt' | grep -c '^sleep')
			[ "$theirs" = "$processes" ] || fail "sweep: UAC saw $theirs of $processes processes"
		fi
		collected "live process sweep" "$processes idle processes and their executables' hashes" sweep uac 'uac -H'
	else
		say "left out: the live sweep, which needs root and namespaces"
	fi
fi

if wanted tree; then
	rm -f "$work"/used.*
	for _ in $(seq "$rounds"); do
		GOMAXPROCS=1 measured one "$exhibit" verify "$work/tree.exhibit.tar.zst"
		GOMAXPROCS=2 measured two "$exhibit" verify "$work/tree.exhibit.tar.zst"
	done
	mb=$(bytes tree/etc tree/var/log/app*)
	gb=$(over "$mb" 1000000)
	echo
	echo "| \`exhibit verify\` of that bundle, $gb MB | CPU s | wall s | MB per CPU s | peak MiB |"
	echo "|---|---|---|---|---|"
	for k in one two; do
		printf '| %s processor(s) | %s | %s | %s | %s |\n' "$k" "$(cpu "$k")" "$(wall "$k")" "$(over "$gb" "$(cpu "$k")")" "$(peak "$k")"
	done
fi
