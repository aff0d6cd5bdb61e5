#!/bin/sh
# The main job on real input: this machine, into a fresh case.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
exhibit=$root/bin/exhibit
when=$(date -u +%Y%m%dT%H%M%SZ)
home=${TRY_DIR:-$root/cases}/try-$when
mkdir -p "$home"
say() { printf '\n\033[1m%s\033[0m\n' "$*" | sed "$plain"; }
plain=
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] || plain='s/\x1b\[[0-9;]*m//g'

# The key and the remembered identity of this trial stay in its own folder.
export XDG_CONFIG_HOME="$home/config"

say "1. a signing key and a case"
"$exhibit" key new "$home/examiner" --id "examiner@$(uname -n)" --name "Trial Examiner"
"$exhibit" case init "$home/case" --number "TRY-$when" --title "this machine" --authority "owner's own trial"
cd "$home/case"

say "2. collect this machine (as $(id -un); root sees more)"
"$exhibit" collect --allow-evidence-volume --capture "${TRY_CAPTURE:-5s}" --max-file-size 256M || [ $? -eq 3 ]

say "3. verify the sealed bundle"
"$exhibit" verify EX-001

say "4. build the timeline"
"$exhibit" timeline build || [ $? -eq 3 ]
"$exhibit" timeline stats

say "5. the last logins, and why the newest program started"
"$exhibit" timeline query 'action:user-login' --last 5
event=$("$exhibit" timeline query 'action:process-started' --last 1 --json | sed -n 's/.*"event_id":"\([0-9a-f]*\)".*/\1/p' | head -n 1)
if [ -n "$event" ]; then
	"$exhibit" why "$event" --svg reports/why.svg || [ $? -eq 3 ]
	say "6. prove that event from the sealed bytes"
	"$exhibit" prove "$event"
fi

say "7. custody, and the report for counsel"
"$exhibit" custody log EX-001
"$exhibit" custody verify
"$exhibit" report EX-001

say "Everything is in $home/case"
