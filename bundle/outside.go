package bundle

import "fmt"

// Unopened is the verdict about an encrypted bundle that nobody decrypted: what
// a custodian without a key can check does not contradict, and nothing more.
const Unopened Verdict = "UNOPENED"

// Envelope is what is known of the age file around an encrypted bundle.
type Envelope struct {
	Recipients []string   `json:"recipients"`        // their types, as the file names them
	Opened     bool       `json:"opened"`            // it was decrypted
	Whole      bool       `json:"whole"`             // its last chunk is there and authentic
	Damaged    [][2]int64 `json:"damaged,omitempty"` // offset and length of what could not be decrypted, in the bundle
	Chunks     int64      `json:"damaged_chunks,omitempty"`
}

// AddEnvelope states in a report what lay around the bundle. It cannot better
// the verdict: the envelope proves nothing about who made it.
func (r *Report) AddEnvelope(e *Envelope, size int64) {
	r.Envelope, r.Size = e, size
	state, detail := "ok", fmt.Sprintf("encrypted to %d recipients", len(e.Recipients))
	switch {
	case e.Chunks > 0:
		state, detail = "lost", fmt.Sprintf("%d chunks of 64 KiB cannot be decrypted: damaged, or changed by somebody without the key", e.Chunks)
	case !e.Whole:
		state, detail = "lost", "the file ends early, or its last chunk is damaged"
	}
	r.Layers = append([]Layer{{"envelope", state, detail}}, r.Layers...)
	if state != "ok" {
		r.say("Of the envelope: %s.", detail)
	}
}

// AddLayer states the result of a step taken outside of the bundle.
func (r *Report) AddLayer(name, state, detail string) { r.layer(name, state, detail) }

// Say adds a plain sentence.
func (r *Report) Say(format string, args ...any) { r.say(format, args...) }
