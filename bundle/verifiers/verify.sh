#!/bin/sh
# In the folder of an unpacked bundle:  sh exhibit/verify.sh files/...   checks that item against its record, its record against
# the leaves and all leaves against the sealed root.  Anywhere:  sh verify.sh CONTENT-LINE META-LINE PROOF  checks one .tlog-proof.
export LC_ALL=C; d=exhibit; seal=$d/seal.txt; [ -e $seal ] || seal=$(ls $d/checkpoint/*.note 2>/dev/null | tail -n 1)
die() { echo "$1" >&2; exit 4; }
sum() { sha256sum | cut -c 1-64; }
hex() { base64 -d | od -An -v -tx1 | tr -d ' \n'; }
raw() { printf "$(printf '%s\n' "$1" | awk '{ for (i = 1; i < length($0); i += 2) printf "\\%03o", 16 * index(x, substr($0, i, 1)) + index(x, substr($0, i + 1, 1)) - 17 }' x=0123456789abcdef)"; }
node() { { printf '\001'; raw "$1$2"; } | sum; }
leaf() { printf '\000%s\n%s\n' "$1" "$2" | sum; }
root() { set --; i=0; while read -r h; do n=$i; while [ $((n % 2)) = 1 ]; do h=$(node "$1" "$h"); shift; n=$((n / 2)); done
  set -- "$h" "$@"; i=$((i + 1)); done; h=$1; shift; for l; do h=$(node "$l" "$h"); done; echo "$h"; }
if [ $# = 3 ]; then
  h=$(leaf "$(sum < "$1")" "$(sum < "$2")"); fn=$(sed -n '2s/index //p' "$3"); sn=$(($(sed '1,/^$/d' "$3" | sed -n 2p) - 1))
  for p in $(sed '1,2d; /^$/,$d' "$3"); do p=$(echo "$p" | hex); if [ $((fn % 2)) = 1 ] || [ "$fn" = "$sn" ]; then h=$(node "$p" "$h")
    while [ $((fn % 2)) = 0 ] && [ "$fn" != 0 ]; do fn=$((fn / 2)); sn=$((sn / 2)); done; else h=$(node "$h" "$p"); fi; fn=$((fn / 2)); sn=$((sn / 2)); done
  [ "$sn" = 0 ] && [ "$h" = "$(sed '1,/^$/d' "$3" | sed -n 3p | hex)" ] || die "PROOF DOES NOT HOLD: $3"
  echo "the record belongs to $(sed '1,/^$/d' "$3" | sed -n 1p)"; exit 0
fi
find_() { awk 'index($0, m) { print before; print; exit } { before = $0 }' m="\"member\":\"$1\"" $d/manifest/*.jsonl; }
content=$(find_ "$1" | sed -n 1p); meta=$(find_ "$1" | sed -n 2p); [ -n "$meta" ] || die "NO RECORD: $1"
data() { case $content in *'"sums":"stored"'*) at=0; for h in $(printf '%s\n' "$content" | sed 's/.*"holes":\[\(\[[][0-9,]*\]\)\].*/\1/; s/\],\[/ /g; s/[][]//g') 4611686018427387903,0
  do tail -c +$((at + 1)) "$1" | head -c $((${h%,*} - at)); at=$((${h%,*} + ${h#*,})); done ;; *) cat "$@" ;; esac; }
[ -e "$1" ] && set -- "$1" "$1" || set -- "$1" "$1".seg*; name=$1; shift
got=$(data "$@" | sum); want=$(printf '%s\n' "$content" | sed 's/.*"sha256":"\([0-9a-f]*\)".*/\1/'); [ "$got" = "$want" ] || die "CHANGED: $name"
n=$(printf '%s\n' "$content" | sed 's/{"i":\([0-9]*\),.*/\1/'); l=$(leaf "$(printf '%s\n' "$content" | sum)" "$(printf '%s\n' "$meta" | sum)")
[ "$(sed -n "$((n + 1))p" $d/leaves.txt)" = "$l" ] || die "RECORD CHANGED: $name"
[ "$(sed -n 2p $seal)" = "$(($(wc -l < $d/leaves.txt)))" ] && [ "$(root < $d/leaves.txt)" = "$(sed -n 3p $seal | hex)" ] || die "ROOT DIFFERS: $seal"
echo "$name is record $n of $(sed -n 1p $seal): content, record and root agree"
