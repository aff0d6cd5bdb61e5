package report

import (
	"path"
	"strings"
)

// step is one thing to check, with the commands that check it.
type step struct {
	Title    string
	Text     string
	Commands string
	Expect   string
}

// shell quotes a word for a POSIX shell.
func shell(s string) string {
	plain := s != "" && s[0] != '-'
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && strings.IndexByte("_./@%+=:,-", c) < 0 {
			plain = false
		}
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// recipe is how somebody without our tools checks this exhibit. Each command
// is exact: file names, keys and expected values are those of the exhibit.
func (d *Data) recipe() []step {
	var steps []step
	if d.Bundle.File != "" {
		steps = append(steps, d.bundleSteps()...)
	}
	if len(d.Events) > 0 {
		steps = append(steps, d.custodySteps()...)
	}
	return steps
}

func (d *Data) bundleSteps() []step {
	file := d.Bundle.Path
	if file == "" {
		file = d.Bundle.File
	}
	steps := []step{{
		Title:    "The file is the one described here",
		Commands: "sha256sum " + shell("./"+file),
		Expect:   d.Bundle.SHA256,
	}}
	unpack := "zstd -dc " + shell("./"+file)
	if d.Bundle.Encrypted {
		unpack = "age -d -i KEY " + shell("./"+file) + " | zstd -dc"
	}
	steps = append(steps, step{
		Title:    "Unpack it",
		Text:     "The archive holds plain files with harmless names; nothing in it can act by being unpacked.",
		Commands: "mkdir check && " + unpack + " | tar -x -C check",
	})
	if d.Bundle.SealID == "" {
		return steps
	}
	steps = append(steps, step{
		Title:    "The seal",
		Text:     "The SHA-256 of the seal's text is the seal id. Its first 100 bits, in another alphabet, are the seal code on paper (" + d.Bundle.SealCode + ").",
		Commands: "sha256sum check/exhibit/seal.txt\n" + sealCodeCommand,
		Expect:   d.Bundle.SealID,
	})
	steps = append(steps, d.signatureSteps()...)
	if s := d.Bundle.Sample; s.Member != "" {
		steps = append(steps, step{
			Title:    "One file, by hand",
			Text:     "The same value stands in the record of the file (check/exhibit/manifest).",
			Commands: "sha256sum " + shell(path.Join("check", s.Member)) + "\ngrep -l " + s.SHA256 + " check/exhibit/manifest/*",
			Expect:   s.SHA256,
		})
	}
	return append(steps, step{
		Title:    "Every file, and the seal over all of them",
		Text:     "Programs of a few lines that come with the bundle recompute every hash and the root in the seal. Read them first: they need nothing but a Python or a POSIX shell.",
		Commands: "python3 check/exhibit/verify.py check",
		Expect:   "contents and root agree with exhibit/seal.txt",
	})
}

// sealCodeCommand turns 100 bits of a hash into Crockford's base32.
const sealCodeCommand = `sha256sum check/exhibit/seal.txt | python3 -c 'n = int(input()[:25], 16); s = "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[n >> 5 * i & 31] for i in range(19, -1, -1)); print("-".join(s[i:i + 5] for i in range(0, 20, 5)))'`

func (d *Data) signatureSteps() []step {
	if d.Bundle.CollectorKey == "" {
		return nil
	}
	principal := "collector@" + d.Exhibit.Number
	line := principal + ` namespaces="exhibit-seal" ` + strings.TrimSpace(d.Bundle.CollectorKey)
	steps := []step{{
		Title: "The signature on the seal, with OpenSSH",
		Text:  "The key is the one the collector made for this run. A changed byte in seal.txt makes the command fail.",
		Commands: "printf '%s\\n' " + shell(line) + " > collector.allowed\n" +
			"ssh-keygen -Y verify -f collector.allowed -I " + shell(principal) + " -n exhibit-seal -s check/exhibit/seal.txt.sig < check/exhibit/seal.txt",
		Expect: `Good "exhibit-seal" signature for ` + principal,
	}, {
		Title: "The same seal, with OpenSSL",
		Text:  "A second signature with the same key, checked by another program (OpenSSL 3).",
		Commands: "sed -n 's/^— [^ ]* //p' check/exhibit/seal.note | base64 -d | tail -c 64 > seal.sig\n" +
			"openssl pkeyutl -verify -pubin -inkey check/exhibit/collector.pem -rawin -in check/exhibit/seal.txt -sigfile seal.sig",
		Expect: "Signature Verified Successfully",
	}}
	if by := d.Bundle.CertifiedBy; by != "" {
		steps = append(steps, step{
			Title: "The certificate of that key",
			Text: "The examiner certified the key of the run, for this exhibit and for a stretch of time only. The first command lets the examiner's key, and no other, " +
				"certify keys for this exhibit; the certificate is judged at the time at which the collection began.",
			Commands: "awk -v who=" + shell(by) + ` '$1 == who { for (i = 2; i < NF; i++) if ($i ~ /^(ssh|ecdsa|sk)-/) print "` + principal +
				` cert-authority,namespaces=\"exhibit-seal\"", $i, $(i+1) }' allowed_signers > examiner.allowed` + "\n" +
				"TZ=UTC ssh-keygen -Y verify -f examiner.allowed -I " + shell(principal) + " -n exhibit-seal -O verify-time=" + d.Exhibit.Started.UTC().Format("20060102150405") +
				" -s check/exhibit/seal.cert.sig < check/exhibit/seal.txt",
			Expect: `Good "exhibit-seal" signature for ` + principal,
		})
	}
	if by := d.Bundle.BoundBy; by != "" {
		steps = append(steps, step{
			Title: "The person behind that key",
			Text:  "The examiner's own key signed the key of the run.",
			Commands: "ssh-keygen -Y verify -f allowed_signers -I " + shell(by) +
				" -n exhibit-custody -s check/exhibit/collector-key.sig < check/exhibit/collector.pub",
			Expect: `Good "exhibit-custody" signature for ` + by,
		})
	}
	return steps
}

func (d *Data) custodySteps() []step {
	steps := []step{{
		Title: "Every custody event is signed and names its predecessors",
		Text: "allowed_signers is the list of keys: compare its fingerprints with those on letterhead or paper. " +
			"Each event prints one line; any other line is a finding.",
		Commands: CustodyLoop(d.Exhibit.Number),
		Expect:   plural(int64(len(d.Events)), "line") + " beginning “good”",
	}, {
		Title:    "The keys behind the signatures",
		Commands: `awk '!/^#/ { for (i = 2; i < NF; i++) if ($i ~ /^(ssh|ecdsa|sk)-/) print $i, $(i+1), $1 }' allowed_signers | ssh-keygen -l -f -`,
		Expect:   "the fingerprints of annex B",
	}}
	if len(d.Heads) == 1 {
		steps = append(steps, step{
			Title: "The end of the log",
			Text: "Events that are cut off with everything behind them leave no trace in the log itself. The last event must be the one named here, " +
				"or come before events that are accounted for: keep this value on paper.",
			Commands: "sha256sum " + shell("custody/"+d.Exhibit.Number) + "/*.json",
			Expect:   d.Heads[0],
		})
	}
	return append(steps, d.outsideSteps()...)
}

// maxWitnessed bounds the counter-signatures for which commands are printed.
const maxWitnessed = 20

// outsideSteps check what others than the examiner signed: both sides of a
// hand-over, witnesses, time authorities.
func (d *Data) outsideSteps() []step {
	folder := shell("custody/" + d.Exhibit.Number)
	var steps []step
	var lines []string
	stamped := 0
	for _, e := range d.Events {
		if !e.Proven.IsZero() {
			stamped++
		}
		file := folder + "/" + shell(e.File)
		for _, who := range e.Witness {
			lines = append(lines, "for c in "+file+".*.countersig; do ssh-keygen -Y verify -f allowed_signers -I "+shell(who)+
				` -n exhibit-custody -s "$c" < `+file+" 2> /dev/null; done")
		}
	}
	if len(lines) > 0 {
		text := "Whoever received the exhibit, or was a witness, signed the same bytes as who wrote the event."
		if len(lines) > maxWitnessed {
			text += " " + plural(int64(len(lines)-maxWitnessed), "more counter-signature") + " are checked alike."
			lines = lines[:maxWitnessed]
		}
		steps = append(steps, step{
			Title: "Counter-signatures", Text: text, Commands: strings.Join(lines, "\n"),
			Expect: `Good "exhibit-custody" signature for ` + d.firstWitness(),
		})
	}
	if stamped > 0 {
		steps = append(steps, step{
			Title: "Time from outside",
			Text: "tsa-root.pem is the root certificate of the time authority: get it from the authority. What it stamped, and every event before that, existed by then. " +
				"Where its certificate has ended since, add -attime with a moment at which it was valid.",
			Commands: "for t in " + folder + `/*.tsr; do openssl ts -verify -data "${t%.json.*}.json" -in "$t" -CAfile tsa-root.pem; ` +
				`openssl ts -reply -in "$t" -text 2> /dev/null | grep '^Time stamp'; done`,
			Expect: "Verification: OK",
		})
	}
	return steps
}

func (d *Data) firstWitness() string {
	for _, e := range d.Events {
		if len(e.Witness) > 0 {
			return e.Witness[0]
		}
	}
	return ""
}

// CustodyLoop is the shell program that verifies the custody log of an
// exhibit with sha256sum and ssh-keygen, run in the case folder. It prints
// "good FILE" for an event whose signature, name and predecessors hold, and
// "BAD FILE: what" otherwise (docs/format/custody.md).
func CustodyLoop(exhibit string) string {
	return `(cd ` + shell("custody/"+exhibit) + ` || exit 1
sums=$(sha256sum *.json)
for e in *.json; do
  id=$(sed 's/.*"actor":{"id":"\([^"]*\)".*/\1/' "$e")
  at=$(sed 's/.*"utc":"\([^.]*\).*/\1/' "$e" | tr -d 'T:-')
  TZ=UTC ssh-keygen -Y verify -f ../../allowed_signers -I "$id" -n exhibit-custody \
    -O verify-time="$at" -s "$e.sig" < "$e" > /dev/null 2>&1 || { echo "BAD $e: signature"; continue; }
  case $e in
    *-"$(sha256sum < "$e" | cut -c1-12)".json) ;;
    *) echo "BAD $e: name"; continue ;;
  esac
  for p in $(sed 's/.*"prev":\[\([^]]*\)\].*/\1/' "$e" | tr -d '"' | tr ',' ' '); do
    printf '%s\n' "$sums" | grep -q "^$p " || {
      echo "BAD $e: predecessor $p missing"; continue 2; }
  done
  echo "good $e"
done)`
}
