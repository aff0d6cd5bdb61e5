#!/bin/sh
# What a collection costs, ours beside UAC in one run, on inputs that
# test/benchdata makes, and whether each bar is met. Figures are medians of
# ROUNDS rounds in which ours and UAC take turns: processor seconds of user and
# system, peak resident memory of the largest process, and bytes written to
# disks. Ours streams into a pipe, as over ssh; UAC writes its archive. The
# script fails when UAC collected what ours did not.
#
#   UAC_DIR        folder of UAC (github.com/tclahr/uac); without it UAC is left out
#   UAC_ROUNDS     its rounds where they are fewer than ours: it takes minutes
#   PROCESSES=200  idle processes of the live sweep, which needs root
#   ONLY           of sweep, tree, walk, hashes, tests
#   ROUNDS, TMPDIR as in scripts/bench-lib.sh
set -eu
script=bench-collect
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/bench-lib.sh"
processes=${PROCESSES:-200}
uac=${UAC_DIR:-} uac_rounds=${UAC_ROUNDS:-$rounds}
if [ -z "$uac" ] || [ ! -x "$uac/uac" ]; then
	say "left out: UAC (set UAC_DIR to its folder; git clone https://github.com/tclahr/uac)"
	uac=
else
	# It hashes what it collects (-H), with SHA-256 alone as ours does.
	sed 's/^hash_algorithm:.*/hash_algorithm: [sha256]/' "$uac/config/uac.conf" >uac.conf
fi
case $(stat -f -c %T "$work") in
tmpfs | ramfs) say "bytes written are not counted in memory: set TMPDIR to a folder on a disk" ;;
esac

# streamed KEY BUNDLE FLAGS... measures our collector, which writes to a pipe.
streamed() {
	key=$1 bundle=$2
	shift 2
	# Not named pipes: writing to one moves its times, on the disk where its name is.
	echo 0 >code
	{
		{ "$data" measure "$work/used.$key" "$work/exhibit-collector" --quiet -o - "$@" </dev/null 2>&3 || echo $? >code; } | cat >"$bundle"
	} 3>&1 | cat >err
	code=$(cat code)
	case $code in
	0 | 3) ;;
	*) fail "exhibit-collector $* failed with $code: $(tail -n 3 err)" ;;
	esac
}
# uac_collects KEY ARGUMENTS... runs UAC on the tree; its archive is in out.d.
cat >uac.sh <<'END'
cd "$1" && shift && exec ./uac -u -H "$@"
END
uac_collects() {
	key=$1
	shift
	rm -rf out.d
	mkdir out.d
	measured "$key" sh uac.sh "$uac" -c "$work/uac.conf" -m "$work/tree" -s linux --temp-dir "$work/out.d" "$@" "$work/out.d"
}
# turns KEY OURS UAC takes turns of two functions.
turns() {
	rm -f "used.$1" "used.uac-$1"
	for turn in $(seq "$rounds"); do
		"$2"
		[ -z "$uac" ] || [ "$turn" -gt "$uac_rounds" ] || "$3"
	done
}
mib() { awk -v n="$1" 'BEGIN { printf "%.1f", n / 1048576 }'; }
cost() { printf '%s | %s | %s' "$(cpu "$1")" "$(peak "$1")" "$(mib "$(written "$1")")"; }
# told KEY WHAT prints a line of the table of costs.
told() {
	if [ -n "$uac" ]; then
		printf '| %s | %s | %s | %s |\n' "$2" "$(cost "$1")" "$(cost "uac-$1")" "$(over "$(cpu "uac-$1")" "$(cpu "$1")")"
	else
		printf '| %s | %s | - | - | - | - |\n' "$2" "$(cost "$1")"
	fi
}
# bar WHAT FIGURE MOST keeps a line of the table of bars.
: >bars
bar() { awk -v what="$1" -v is="$2" -v most="$3" 'BEGIN { printf "| %s | at most %s | %s | %s |\n", what, most, is, is + 0 <= most + 0 ? "met" : "**not met**" }' >>bars; }
# files BUNDLE lists the regular files whose content is in a bundle.
files() { "$exhibit" ls "$1" --json | sed -n 's/.*"kind":"file".*"path":"\([^"]*\)".*/\1/p' | sort; }

echo "| | ours: CPU s | MiB | MiB written | UAC: CPU s | MiB | MiB written | UAC / ours, CPU |"
echo "|---|---|---|---|---|---|---|---|"

if wanted sweep; then
	if unshare --pid --fork --mount-proc --net true 2>/dev/null; then
		rm -f used.*
		# In namespaces of their own both see the same processes, which end with
		# the first process of the namespace, and the kernel's default pid_max.
		cat >sweep.sh <<-'END'
			set -e
			work=$1 uac=$2 n=$3 rounds=$4 uac_rounds=$5
			cd "$work"
			for _ in $(seq "$n"); do sleep 100000 & done
			for turn in $(seq "$rounds"); do
				"$work/benchdata" measure used.sweep "$work/exhibit-collector" --quiet --profile network -o - 2>/dev/null | cat >sweep.exhibit.tar.zst
				[ -n "$uac" ] && [ "$turn" -le "$uac_rounds" ] || continue
				rm -rf out.s && mkdir out.s
				"$work/benchdata" measure used.uac-sweep sh uac.sh "$uac" -c "$work/uac.conf" --temp-dir "$work/out.s" \
					-a live_response/process/procfs_information.yaml,live_response/process/hash_running_processes.yaml,live_response/process/ps.yaml "$work/out.s"
			done
		END
		unshare --pid --fork --mount-proc --net sh sweep.sh "$work" "$uac" "$processes" "$rounds" "$uac_rounds" >out 2>err </dev/null || fail "sweep: $(tail -n 3 err)"
		"$exhibit" cat sweep.exhibit.tar.zst live/processes.jsonl | grep '"comm":"sleep"' >sleeping
		[ "$(grep -c '"exe_sha256":"[0-9a-f]' sleeping)" = "$processes" ] || fail "sweep: ours saw and hashed $(grep -c '"exe_sha256":"[0-9a-f]' sleeping) of $processes processes"
		if [ -n "$uac" ]; then
			theirs=$(tar xzOf out.s/*.tar.gz --wildcards '*/proc/*/comm.txt' | grep -c '^sleep')
			[ "$theirs" = "$processes" ] || fail "sweep: UAC saw $theirs of $processes processes"
		fi
		told sweep "sweep of $processes idle processes, executables hashed (ours with sockets and hidden processes)"
		bar "sweep, CPU s" "$(cpu sweep)" 2.0
		bar "sweep, MiB of memory" "$(peak sweep)" 64
		bar "sweep, bytes written" "$(written sweep)" 0
		rm -rf out.s
	else
		say "left out: the live sweep, which needs root and namespaces"
	fi
fi

if wanted tree || wanted walk || wanted hashes; then
	"$data" tree "$work/tree"
	names=$(find tree | wc -l)
fi
if wanted tree; then
	ours() { streamed tree tree.exhibit.tar.zst --root "$work/tree" -c linux_logs,linux_persistence; }
	theirs() { uac_collects uac-tree -a files/logs/var_log.yaml,files/system/etc.yaml; }
	turns tree ours theirs
	files tree.exhibit.tar.zst >ours.list
	(cd tree && find etc var -type f) | sed 's|^|/|' | sort >tree.list
	cmp -s ours.list tree.list || fail "tree: ours collected $(wc -l <ours.list) files of $(wc -l <tree.list)"
	if [ -n "$uac" ]; then
		tar tzf out.d/*.tar.gz | sed -n 's|^\[root\]||p' | grep -v '/$' | sort >uac.list
		[ -z "$(comm -13 ours.list uac.list)" ] || fail "tree: UAC collected what ours did not: $(comm -13 ours.list uac.list | head -n 1)"
		say "UAC left out of the tree: $(comm -23 ours.list uac.list | tr '\n' ' ')"
	fi
	told tree "$(wc -l <tree.list) files, $(over "$(bytes tree/etc tree/var/log/app*)" 1000000) MB and a lastlog of 42 GB with two blocks, hashed and packed (ours sealed)"
	bar "tree, CPU s" "$(cpu tree)" 8.0
	bar "tree, MiB of memory" "$(peak tree)" 64
	bar "tree, bytes written" "$(written tree)" 0
	"$exhibit" extract tree.exhibit.tar.zst /var/log/lastlog -d restored >extracted 2>&1 || [ $? -eq 5 ] || fail "extract: $(tail -n 3 extracted)"
	same="differs"
	"$data" same tree/var/log/lastlog "$(find restored -name '*lastlog*' -type f)" && same="the same bytes"
	echo "| lastlog of 42 GB, restored | the same bytes | $same | $([ "$same" = differs ] && echo '**not met**' || echo met) |" >>bars
	verified() { GOMAXPROCS=$1 measured "$2" "$exhibit" verify "$work/tree.exhibit.tar.zst"; }
	for _ in $(seq "$rounds"); do
		verified 1 one
		verified 2 two
	done
fi
if wanted walk; then
	ours() { streamed walk walk.exhibit.tar.zst --root "$work/tree" -c filesystem_walk --no-walk-hashes; }
	theirs() { uac_collects uac-walk -a bodyfile/bodyfile.yaml; }
	turns walk ours theirs
	lines=$("$exhibit" cat walk.exhibit.tar.zst filesystem/walk.jsonl | wc -l)
	[ "$lines" = "$names" ] || fail "walk: ours has $lines of $names names"
	if [ -n "$uac" ]; then
		lines=$(tar xzOf out.d/*.tar.gz --wildcards '*bodyfile.txt' | wc -l)
		[ "$lines" -le "$names" ] || fail "walk: UAC has $lines names, ours $names"
		say "UAC's bodyfile has $lines of $names names"
	fi
	told walk "walk of $names names, metadata alone"
	bar "walk, CPU s" "$(cpu walk)" 1.0
	bar "walk, bytes written" "$(written walk)" 0
fi
if wanted hashes; then
	ours() { streamed hashes walk.exhibit.tar.zst --root "$work/tree" -c filesystem_walk; }
	theirs() { uac_collects uac-hashes -a bodyfile/bodyfile.yaml,hash_executables/hash_executables.yaml; }
	turns hashes ours theirs
	"$exhibit" cat walk.exhibit.tar.zst filesystem/walk.jsonl | sed -n 's/.*"sha256":"\([0-9a-f]*\)".*/\1/p' | sort >ours.list
	if [ -n "$uac" ]; then
		tar xzOf out.d/*.tar.gz --wildcards '*hash_executables.sha256' | cut -d ' ' -f 1 | sort >uac.list
		[ -z "$(comm -13 ours.list uac.list)" ] || fail "hashes: UAC has one that ours has not: $(comm -13 ours.list uac.list | head -n 1)"
		say "hashes: ours $(wc -l <ours.list), UAC $(wc -l <uac.list)"
	fi
	told hashes "the same with the hashes of programs (ours also of what changed lately: all)"
fi

if wanted tests; then
	# The bars that are no figures: docs/benchmarks.md names the tests that prove each.
	sed -n 's/^| \(.*\) | `\(\.[a-z0-9/-]*\) \(Test[A-Za-z0-9]*\)` |$/\2 \3 \1/p' "$root/docs/benchmarks.md" >tests
	[ -s tests ] || fail "docs/benchmarks.md names no tests"
	while read -r folder test what; do
		how='**not met**'
		if (cd "$root" && sh scripts/go.sh test -count=1 -v -run "^$test\$" "$folder") >test.out 2>&1; then
			how=met
			grep -q '^--- PASS' test.out || how='not shown here: skipped'
		fi
		echo "| $what | \`$folder $test\` | | $how |" >>bars
	done <tests
fi

echo
echo "| bar | asked | measured | |"
echo "|---|---|---|---|"
cat bars
if wanted tree; then
	gb=$(over "$(bytes tree/etc tree/var/log/app*)" 1000000)
	echo
	echo "| \`exhibit verify\` of the tree's bundle, $gb MB | CPU s | wall s | MB per CPU s | peak MiB |"
	echo "|---|---|---|---|---|"
	for k in one two; do
		printf '| %s processor(s) | %s | %s | %s | %s |\n' "$k" "$(cpu "$k")" "$(wall "$k")" "$(over "$gb" "$(cpu "$k")")" "$(peak "$k")"
	done
fi
! grep -q 'not met' bars
