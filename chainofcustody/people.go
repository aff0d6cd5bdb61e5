package chainofcustody

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// CaseNamespaces is what an examiner's key may sign in a case.
const CaseNamespaces = NamespaceCustody + "," + NamespaceSeal + "," + NamespaceOrder

const maxPeopleFile = 4 << 20

type peopleRecord struct {
	V      int           `json:"v"`
	People []personEntry `json:"people"`
}

type personEntry struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	Org  string `json:"org,omitempty"`
	Role string `json:"role,omitempty"`
}

// Signers reads the case's allowed_signers. Who wants to trust more than the
// folder itself verifies with a list of their own.
func (c *Case) Signers() (AllowedSigners, error) {
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return nil, fmt.Errorf("read signers: %w", err)
	}
	defer root.Close()
	data, err := readBounded(root, SignersFile, maxAllowedSigners)
	if err != nil {
		return nil, fmt.Errorf("read signers: %w", err)
	}
	return ParseAllowedSigners(data)
}

// Enroll lets an identity's key sign in this case from validAfter to
// validBefore (zero: no bound) and notes the person in people.json. A key
// that is enrolled for the same id already is left as it is. An id may have
// several keys; a key cannot have two ids (ErrWrongPrincipal).
func (c *Case) Enroll(id *Identity, validAfter, validBefore time.Time) error {
	if err := id.check(); err != nil {
		return fmt.Errorf("enroll: %w", err)
	}
	entry := AllowedSigner{
		Principals: id.ID, Namespaces: CaseNamespaces,
		ValidAfter: validAfter, ValidBefore: validBefore, Key: id.Key.PublicKey(),
	}
	if err := c.AddSigner(entry); err != nil {
		return fmt.Errorf("enroll %s: %w", id.ID, err)
	}
	// The same key as authority over collectors' keys, so that ssh-keygen
	// follows a certificate in a bundle to this line.
	authority := entry
	authority.Principals, authority.Namespaces, authority.CertAuthority = CollectorPrincipal("*"), NamespaceSeal, true
	if err := c.AddSigner(authority); err != nil {
		return fmt.Errorf("enroll %s: %w", id.ID, err)
	}
	if err := c.notePerson(id); err != nil {
		return fmt.Errorf("enroll %s: %w", id.ID, err)
	}
	return nil
}

// AddSigner adds a line to allowed_signers unless the same key stands there
// for the same principal.
func (c *Case) AddSigner(entry AllowedSigner) error {
	root, unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	data, err := readBounded(root, SignersFile, maxAllowedSigners)
	if err != nil {
		return err
	}
	list, err := ParseAllowedSigners(data)
	if err != nil {
		return err
	}
	line := entry.Line()
	if back, err := parseSignerLine(line); err != nil || back.Principals != entry.Principals || strings.ContainsAny(line, "\r\n") {
		return fmt.Errorf("%q does not fit a line of allowed_signers", line)
	}
	blob := entry.Key.Marshal()
	for _, s := range list {
		if !bytes.Equal(s.Key.Marshal(), blob) || s.CertAuthority != entry.CertAuthority {
			continue
		}
		if s.Principals == entry.Principals {
			return nil
		}
		return fmt.Errorf("%s is %s: %w", Fingerprint(s.Key), s.Principals, ErrWrongPrincipal)
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, '\n')
	}
	return writeAtomic(root, SignersFile, append(data, line+"\n"...), 0o600)
}

func (c *Case) notePerson(id *Identity) error {
	root, unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	people, err := readPeople(root)
	if err != nil {
		return err
	}
	entry := personEntry{id.ID, id.Name, id.Org, id.Role}
	for i, p := range people.People {
		if p.ID == id.ID {
			if p == entry {
				return nil
			}
			people.People = append(people.People[:i], people.People[i+1:]...)
			break
		}
	}
	people.People = append(people.People, entry)
	text, err := json.MarshalIndent(people, "", "  ")
	if err != nil {
		return err
	}
	return writeAtomic(root, PeopleFile, append(text, '\n'), 0o600)
}

func readPeople(root *os.Root) (peopleRecord, error) {
	var people peopleRecord
	data, err := readBounded(root, PeopleFile, maxPeopleFile)
	if errors.Is(err, os.ErrNotExist) {
		return peopleRecord{V: 1}, nil
	}
	if err != nil {
		return people, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&people); err != nil {
		return people, fmt.Errorf("read %s: %w", PeopleFile, err)
	}
	if people.V > 1 {
		return people, fmt.Errorf("read %s: %w", PeopleFile, ErrNewerSchema)
	}
	return people, nil
}

// Person returns what people.json says of an id; ok is false when nothing.
func (c *Case) Person(id string) (p Person, ok bool, err error) {
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return p, false, fmt.Errorf("read people: %w", err)
	}
	defer root.Close()
	people, err := readPeople(root)
	if err != nil {
		return p, false, err
	}
	for _, e := range people.People {
		if e.ID == id {
			return Person{ID: e.ID, Name: e.Name, Org: e.Org, Role: e.Role}, true, nil
		}
	}
	return p, false, nil
}
