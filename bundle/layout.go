package bundle

import (
	"embed"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// Members under exhibit/.
const (
	readmeMember   = "exhibit/README.txt"
	formatMember   = "exhibit/format"
	keyMember      = "exhibit/collector.pub"
	pemMember      = "exhibit/collector.pem"
	bindingMember  = "exhibit/collector-key.sig"
	pythonMember   = "exhibit/verify.py"
	shellMember    = "exhibit/verify.sh"
	headerMember   = "exhibit/header.json"
	leavesMember   = "exhibit/leaves.txt"
	rowsMember     = "exhibit/index/manifest.txt"
	namesMember    = "exhibit/index/members.txt"
	sealMember     = "exhibit/seal.txt"
	sshsigMember   = "exhibit/seal.txt.sig"
	noteMember     = "exhibit/seal.note"
	certSigMember  = "exhibit/seal.cert.sig"
	recoveryMember = "exhibit/recovery.json"
	recoveryNote   = "exhibit/recovery.note"
	locatorMember  = "exhibit/locator"
	manifestPrefix = "exhibit/manifest/"
	checkPrefix    = "exhibit/checkpoint/"
	blocksPrefix   = "exhibit/blocks/"
	lostPrefix     = "exhibit/lost/"
	certMember     = "exhibit/collector-cert.pub"
	orderMember    = "exhibit/order.json"
	orderSigMember = "exhibit/order.json.sig"
)

// formatText is the content of exhibit/format.
const formatText = "exhibit-bundle 1\n"

func manifestMember(n int) string   { return fmt.Sprintf("%s%06d.jsonl", manifestPrefix, n) }
func checkpointMember(n int) string { return fmt.Sprintf("%s%06d.note", checkPrefix, n) }
func blocksMember(leaf int64) string {
	return fmt.Sprintf("%s%d.sha256", blocksPrefix, leaf)
}

//go:embed verifiers
var verifiers embed.FS

// VerifierScript returns a script that travels in every bundle: "verify.py",
// "verify.sh" or "README.txt".
func VerifierScript(name string) ([]byte, error) {
	b, err := verifiers.ReadFile("verifiers/" + name)
	if err != nil {
		return nil, fmt.Errorf("find verifier: %w", err)
	}
	return b, nil
}

// fixedMember is a member that does not depend on what is collected. The
// header names its digest, so that leaf 0 covers it.
type fixedMember struct {
	name string
	data []byte
}

// fixedMembers lists what precedes the header, in order.
func fixedMembers(key ssh.PublicKey, m *Mandate) ([]fixedMember, error) {
	ed, err := ed25519Key(key)
	if err != nil {
		return nil, err
	}
	pem, err := collectorPEM(ed)
	if err != nil {
		return nil, err
	}
	list := []fixedMember{
		{formatMember, []byte(formatText)},
		{keyMember, CollectorPub(key)},
		{pemMember, pem},
	}
	list = append(list, m.members()...)
	for _, script := range []struct{ member, file string }{
		{readmeMember, "README.txt"}, {pythonMember, "verify.py"}, {shellMember, "verify.sh"},
	} {
		b, err := VerifierScript(script.file)
		if err != nil {
			return nil, err
		}
		list = append(list, fixedMember{script.member, b})
	}
	return list, nil
}

// fixedName reports whether a member may precede the header.
func fixedName(name string) bool {
	switch name {
	case formatMember, keyMember, pemMember, bindingMember, readmeMember, pythonMember, shellMember,
		certMember, orderMember, orderSigMember:
		return true
	}
	return false
}
