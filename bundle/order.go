package bundle

import "strings"

// Ranks of members in the order that the format gives them. Content, batches
// and checkpoints alternate; everything else has one place.
const (
	rankBody    = 20
	rankErasure = 29 // statements of erasures, one behind the other
	rankUnknown = -1 // reported as no part of the format
)

// ranks are the places of single members. All but what ties the key to people
// and what only recovered bundles have must be there.
var ranks = map[string]int{
	formatMember: 0, keyMember: 1, pemMember: 2, bindingMember: 3, certMember: 4, orderMember: 5, orderSigMember: 6,
	readmeMember: 7, pythonMember: 8, shellMember: 9, headerMember: 10,
	recoveryMember: 21, leavesMember: 22, rowsMember: 23, namesMember: 24, sealMember: 25,
	recoveryNote: 25, sshsigMember: 26, noteMember: 27, certSigMember: 28, locatorMember: 30,
}

func rankOf(name string) int {
	if r, ok := ranks[name]; ok {
		return r
	}
	for _, prefix := range []string{"files/", manifestPrefix, checkPrefix, blocksPrefix, lostPrefix, erasedPrefix} {
		if strings.HasPrefix(name, prefix) {
			return rankBody
		}
	}
	if strings.HasPrefix(name, erasurePrefix) {
		return rankErasure
	}
	return rankUnknown
}

// order checks that a member stands where the format has it. No signature
// covers the places of control members: without this somebody could repeat one
// with other content further on, which tar would unpack over the first. Behind
// a damaged place what looks like a member may be content of another.
func (a *audit) order(name string, at int64) {
	if a.gaps {
		return
	}
	rank := rankOf(name)
	switch {
	case rank < 0:
		return
	case rank < a.rank, rank == a.rank && rank != rankBody && rank != rankErasure:
		a.report.altered(name, at, "member is not where the format has it, or is there twice")
	case a.owed && !strings.HasPrefix(name, checkPrefix) && !strings.HasPrefix(name, manifestPrefix) && name != recoveryMember:
		a.report.altered(name, at, "a batch of records is not followed by its checkpoint")
	}
	a.rank = max(a.rank, rank)
}

// beginning checks that the members before the header are all there.
func (a *audit) beginning() {
	for _, name := range []string{formatMember, keyMember, pemMember, readmeMember, pythonMember, shellMember} {
		if _, ok := a.fixed[name]; !ok && !a.gaps {
			a.report.altered(name, 0, "member is missing")
		}
	}
	_, statement := a.fixed[bindingMember]
	_, certificate := a.fixed[certMember]
	fits := false
	switch a.header.Grade {
	case GradeAttended:
		fits = statement
	case GradeDelegated:
		fits = certificate && !statement
	case GradeUnattended:
		fits = !certificate && !statement
	}
	if !fits && !a.gaps {
		a.report.altered(bindingMember, 0, "the grade of the header does not fit what ties the key to a person")
	}
}
