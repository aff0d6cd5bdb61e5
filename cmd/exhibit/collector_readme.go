package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// readme is the page for the person at the host. It is hashed into the job, so
// it cannot state the job's own hash.
func readme(j *chainofcustody.Job) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("EVIDENCE COLLECTION KIT")
	say("")
	say("What this is: a program that copies traces of an incident from one computer into")
	say("one sealed file. It installs nothing and changes no setting.")
	say("")
	if j.Case != "" {
		say("Case:      %s", term.Escape(j.Case))
	}
	if j.Exhibit != "" {
		say("Exhibit:   %s", term.Escape(j.Exhibit))
	}
	if j.Authority != "" {
		say("By right:  %s", term.Escape(j.Authority))
	}
	say("Ask:       %s", term.Escape(j.Signer.ID))
	say("Key:       %s", term.Escape(j.Signer.Key))
	say("Use from:  %s", j.NotBefore.Format(time.RFC3339))
	say("until:     %s", j.NotAfter.Format(time.RFC3339))
	say("")
	say("1. Compare the key above with what you were told by telephone or on paper.")
	say("   If they differ, stop and call.")
	say("2. Do not copy the kit to the disk of the computer in question, if there is a")
	say("   USB stick or a share to run it from. Keep all of its files together.")
	say("3. As root or administrator, run the program for the computer:")
	say("")
	for _, f := range j.Programs {
		if strings.HasSuffix(f.Name, ".exe") {
			say("       .\\%s", f.Name)
		} else {
			say("       ./%s", f.Name)
		}
	}
	say("")
	say("   With the key, so that a changed kit stops:   --job-signer %s", term.Escape(j.Signer.Key))
	say("   To see first what it would do:               plan")
	say("   If the console ends soon (Linux, macOS):     --detach")
	say("4. It ends with a line that begins with \"result:\". Write the seal code in it on")
	say("   paper, with date, time and your name.")
	if len(j.Settings("recipient")) > 0 {
		say("5. The sealed file is encrypted. You cannot open it, and need not.")
	}
	say("")
	switch out := j.Settings("output"); {
	case len(out) > 0:
		say("The sealed file goes to: %s", term.Escape(out[0]))
	default:
		say("The sealed file appears beside the program. Hand it over; do not open or rename it.")
	}
	say("To check the kit: sha256sum -c SHA256SUMS, and exhibit collector verify at the office.")
	return b.String()
}
