# Helpers of scripts/bench-*.sh, which source this file after setting script and
# root. It builds the programs into a folder $work that goes away at the end.
#
#   ROUNDS=3  rounds, odd
#   ONLY      names of comparisons to run, for example "journal audit"
#   TMPDIR    where $work is: about 3 GB on a file system of a disk, not in memory
rounds=${ROUNDS:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export XDG_CONFIG_HOME="$work/config" LC_ALL=C TZ=UTC

cd "$root"
CGO_ENABLED=0 sh scripts/go.sh build -trimpath -tags urfave_cli_no_docs -ldflags '-s -w' -o "$work/" ./cmd/exhibit ./test/benchdata
CGO_ENABLED=0 sh scripts/go.sh build -trimpath -tags urfave_cli_no_docs,exhibit_no_web -ldflags '-s -w' -o "$work/" ./cmd/exhibit-collector
cd "$work"
exhibit=$work/exhibit data=$work/benchdata

say() { printf '%s\n' "$*" >&2; }
fail() {
	say "$script: $*"
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
# Medians of the runs under KEY: processor seconds, MiB, seconds passed and
# bytes written to disks.
cpu() { awk '{ print $1 + $2 }' "$work/used.$1" | sort -n | awk '{ v[NR] = $1 } END { printf "%.2f", v[int((NR + 1) / 2)] }'; }
peak() { sort -k3n "$work/used.$1" | awk '{ v[NR] = $3 } END { printf "%.0f", v[int((NR + 1) / 2)] / 1024 }'; }
wall() { sort -k4n "$work/used.$1" | awk '{ v[NR] = $4 } END { printf "%.2f", v[int((NR + 1) / 2)] }'; }
over() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.1f", a / b; else printf "-" }'; }
written() { sort -k5n "$work/used.$1" | awk '{ v[NR] = $5 } END { printf "%.0f", v[int((NR + 1) / 2)] }'; }
bytes() { du -scb "$@" | awk 'END { print $1 }'; }
