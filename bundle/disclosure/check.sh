#!/bin/sh
# In the folder of an unpacked disclosure:  sh disclosure/check.sh   Checks every record against the seal, and the seal's signature.
export LC_ALL=C; block=4194304
die() { echo "DOES NOT HOLD: $1" >&2; exit 4; }
sum() { sha256sum | cut -c 1-64; }
node() { { printf '\001'; printf %s "$1$2" | xxd -r -p; } | sum; }
line() { if [ -e "$1.jsonl" ]; then sum < "$1.jsonl"; else cat "$1.sha256"; fi; }
root() { set --; i=0; while read -r h; do h=$({ printf '\000'; printf %s "$h" | xxd -r -p; } | sum); n=$i; while [ $((n % 2)) = 1 ]; do
  h=$(node "$1" "$h"); shift; n=$((n / 2)); done; set -- "$h" "$@"; i=$((i + 1)); done; h=$1; shift; for l; do h=$(node "$l" "$h"); done; echo "$h"; }
sha256sum --quiet -c disclosure/members.sha256 || die "a file is missing or was changed"; sed '/^$/,$d' seal/seal.note | cmp -s - seal/seal.txt || die seal/seal.note
for r in records/*; do proof=$r/record.tlog-proof; fn=${r#records/}; sn=$(($(sed -n 2p seal/seal.txt) - 1))
  h=$(printf '\000%s\n%s\n' "$(line "$r/content")" "$(line "$r/meta")" | sum); [ "$(sed -n 2p "$proof")" = "index $fn" ] || die "$proof"
  for p in $(sed '1,2d; /^$/,$d' "$proof"); do p=$(echo "$p" | base64 -d | xxd -p -c 32); if [ $((fn % 2)) = 1 ] || [ "$fn" = "$sn" ]; then h=$(node "$p" "$h")
    while [ $((fn % 2)) = 0 ] && [ "$fn" != 0 ]; do fn=$((fn / 2)); sn=$((sn / 2)); done; else h=$(node "$h" "$p"); fi; fn=$((fn / 2)); sn=$((sn / 2)); done
  [ "$sn" = 0 ] && [ "$h" = "$(sed -n 3p seal/seal.txt | base64 -d | xxd -p -c 32)" ] || die "$r does not lead to the seal"
  if [ -e "$r/content" ]; then [ "$(sum < "$r/content")" = "$(sed 's/.*"sha256":"\([0-9a-f]*\)".*/\1/' "$r/content.jsonl")" ] || die "$r/content"; fi
  for b in "$r"/blocks-*; do [ -e "$b" ] || continue; [ "$(root < "$r/blocks.sha256")" = "$(sed 's/.*"root":"\([0-9a-f]*\)".*/\1/' "$r/content.jsonl")" ] || die "$r/blocks.sha256"
    k=${b##*-}; at=1; while [ $at -le $(($(wc -c < "$b"))) ]; do k=$((k + 1)); [ "$(tail -c +$at "$b" | head -c $block | sum)" = "$(sed -n ${k}p "$r/blocks.sha256")" ] || die "$b"; at=$((at + block)); done; done
  echo "$r holds:" "$r"/*; done
sed -n 's/^.* .* //p' seal/seal.note | base64 -d | tail -c 64 | openssl pkeyutl -verify -pubin -inkey seal/collector.pem -rawin -in seal/seal.txt -sigfile /dev/stdin || die "signature of the seal"
