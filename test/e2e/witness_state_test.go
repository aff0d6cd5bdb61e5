package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// statedBy are attributes whose values a configuration file does not spell.
var statedBy = map[string]bool{"job": true, "queue": true, "nopasswd": true, "key_fingerprint": true, "cut": true}

// stateWitness is that of configuration files: command, file and attributes
// stand in the record, whose lines go on behind a backslash, and a key has the
// fingerprint that the row says. The time is the file's, not the record's.
func stateWitness(r row) error {
	if err := r.onLine(); err != nil {
		return err
	}
	text := bytes.ReplaceAll(r.rec, []byte("\\\n"), nil)
	texts := []string{r.ev.Cmdline}
	if r.ev.DataType == "linux:preload:state" {
		texts = append(texts, r.ev.File)
	}
	if key, ok := r.ev.Attr("key_fingerprint"); ok && !hasKey(text, key) {
		return fmt.Errorf("it has no key %s", key)
	}
	for _, a := range r.ev.Attrs {
		if !statedBy[a.Key] || r.ev.DataType == "linux:cron:job" {
			texts = append(texts, a.Value)
		}
	}
	if r.ev.UID != timeline.None {
		texts = append(texts, fmt.Sprintf("uid=%d ", r.ev.UID))
	}
	for _, s := range texts {
		want := plain(r.ev, s)
		if r.ev.DataType == "linux:authorized_key:state" {
			text, want = bytes.ReplaceAll(text, []byte(`\"`), []byte(`"`)), bytes.ReplaceAll(want, []byte(`\"`), []byte(`"`))
		}
		if !bytes.Contains(text, want) {
			return fmt.Errorf("%q is not there", s)
		}
	}
	return nil
}

// hasKey looks for a key with a fingerprint: SHA-256 of what its base64 says.
func hasKey(text []byte, fingerprint string) bool {
	for _, word := range bytes.Fields(text) {
		if key, err := base64.StdEncoding.DecodeString(string(word)); err == nil {
			sum := sha256.Sum256(key)
			if fingerprint == "SHA256:"+base64.RawStdEncoding.EncodeToString(sum[:]) {
				return true
			}
		}
	}
	return false
}
