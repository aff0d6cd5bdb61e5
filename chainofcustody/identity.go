package chainofcustody

import (
	"errors"
	"fmt"
	"strings"
)

// Identity is a person who signs custody events, and the key they sign with.
type Identity struct {
	ID   string // principal in allowed_signers, for example "alice@lab"
	Name string // as it should stand in a court paper
	Org  string
	Role string // for example "examiner"
	Key  Signer
}

// ErrIdentity says that an Identity lacks what a signed event needs.
var ErrIdentity = errors.New("identity is not complete")

// Fingerprint is the name of the identity's key on paper, "SHA256:…".
func (id *Identity) Fingerprint() string { return Fingerprint(id.Key.PublicKey()) }

// person is how the identity is written into an event.
func (id *Identity) person() Person {
	return Person{ID: id.ID, Name: id.Name, Org: id.Org, Role: id.Role, Key: id.Fingerprint()}
}

func (id *Identity) check() error {
	switch {
	case id == nil || id.Key == nil:
		return fmt.Errorf("%w: no key", ErrIdentity)
	case id.ID == "":
		return fmt.Errorf("%w: no id such as alice@lab", ErrIdentity)
	}
	return checkPrincipal(id.ID)
}

// checkPrincipal keeps an id to what every allowed_signers reader takes
// literally: one word without pattern characters.
func checkPrincipal(s string) error {
	if len(s) > 128 || strings.HasPrefix(s, "#") || strings.ContainsAny(s, " \t\r\n\"'\\,*?!=") {
		return fmt.Errorf("%w: id %q must be one word without \"',*?!=\\ or a leading #, at most 128 bytes", ErrIdentity, s)
	}
	return checkText(s)
}
