package chainofcustody

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	keyA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
	keyB = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMAOCtHUz5+aiehvBdLsPDhBmaEItTblA0QwJMhATspKxD3vE932LCPxXxNcM/i1D7CwyVTF/gMgbLgqAkwAEkQ="
)

func TestStrangeSignerLinesAreRefusedWithTheirNumber(t *testing.T) {
	for _, line := range []string{
		"alice", "alice@lab ssh-ed25519", "alice " + keyA[:40], `alice namespaces=x ` + keyA, `alice namespaces="x ` + keyA,
		`alice frobnicate ` + keyA, `alice namespaces="a",namespaces="b" ` + keyA, `alice valid-after="2026" ` + keyA,
		`alice valid-after="20260231" ` + keyA, `alice valid-after="20270101",valid-before="20260101" ` + keyA,
		`"alice ` + keyA, `alice cert-authority, ` + keyA, `alice namespaces="a"x ` + keyA, `alice namespaces="" ` + keyA,
		"alice ssh-rsa " + strings.Fields(keyA)[1], `alice cert-authority="x" ` + keyA,
	} {
		_, err := ParseAllowedSigners([]byte("# comment\n\n" + line + "\n"))
		if err == nil || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// The oracle is ssh-keygen itself: for each list and moment both must agree.
func TestListsAreJudgedAsSSHKeygenJudgesThem(t *testing.T) {
	dir := t.TempDir()
	id := testIdentity(t, "alice")
	key := publicLine(id.Key.PublicKey(), "")
	sig, err := id.Key.Sign(NamespaceCustody, []byte("m"))
	if err != nil {
		t.Fatal(err)
	}
	sigPath, listPath := filepath.Join(dir, "sig"), filepath.Join(dir, "list")
	if err := os.WriteFile(sigPath, sig, 0o600); err != nil {
		t.Fatal(err)
	}
	lists := []string{
		"alice@lab " + key, "alice@lab " + keyA, "alice@lab " + keyB + "\nalice@lab " + key + " comment words",
		"bob@lab " + key, "*@lab " + key, "a?ice@lab " + key, "!alice@lab,* " + key, "*,!alice@lab " + key, "bob,alice@lab " + key,
		`"bob,alice@lab" ` + key, `alice@lab namespaces="exhibit-custody" ` + key, `alice@lab namespaces="git,exhibit-*" ` + key,
		`alice@lab namespaces="git" ` + key, `alice@lab NAMESPACES="exhibit-custody" ` + key,
		`alice@lab namespaces="!exhibit-custody,*" ` + key, `alice@lab cert-authority ` + key,
		`alice@lab valid-after="20260301" ` + key, `alice@lab valid-after="20260301Z" ` + key, `alice@lab valid-before="20260301" ` + key,
		`alice@lab valid-before="202603011200Z" ` + key, `alice@lab valid-after="20260301120000Z",valid-before="20260301120001Z" ` + key,
		`alice@lab valid-before="20250101",namespaces="exhibit-custody" ` + key + "\n" + `alice@lab ` + key,
		"# alice@lab " + key, "  alice@lab\t" + key, "",
	}
	for _, list := range lists {
		if err := os.WriteFile(listPath, []byte(list+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		signers, err := ParseAllowedSigners([]byte(list + "\n"))
		if err != nil {
			t.Errorf("%q: %v", list, err)
			continue
		}
		for _, at := range []string{"20260228235959Z", "20260301115959Z", "20260301120000Z", "20260301120001Z", "20260301120002Z", "20260401000000Z"} {
			moment, err := parseSignerTime(at)
			if err != nil {
				t.Fatal(err)
			}
			_, theirs := tool(t, "m", "ssh-keygen", "-Y", "verify", "-f", listPath, "-I", "alice@lab",
				"-n", NamespaceCustody, "-O", "verify-time="+at, "-s", sigPath)
			ours := signers.Check("alice@lab", id.Key.PublicKey(), NamespaceCustody, moment)
			if (theirs == nil) != (ours == nil) {
				t.Errorf("%q at %s: ssh-keygen says %v, we say %v", list, at, theirs, ours)
			}
		}
	}
}

func TestSignerLineReadsBackAsWritten(t *testing.T) {
	key := testIdentity(t, "alice").Key.PublicKey()
	day := time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC)
	for _, s := range []AllowedSigner{
		{Principals: "alice@lab", Key: key},
		{Principals: "a b,c", CertAuthority: true, Namespaces: "x,y*", ValidAfter: day, ValidBefore: day.Add(time.Hour), Key: key, Comment: "some words"},
	} {
		list, err := ParseAllowedSigners([]byte(s.Line()))
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %v", s.Line(), err)
		}
		if list[0].Line() != s.Line() || !list[0].ValidAfter.Equal(s.ValidAfter) {
			t.Errorf("wrote %s\nread  %s", s.Line(), list[0].Line())
		}
	}
}

func TestEnrollKeepsOneOwnerPerKey(t *testing.T) {
	c, alice := testCase(t), testIdentity(t, "alice@lab")
	for range 2 {
		if err := c.Enroll(alice, time.Time{}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := c.Signers()
	if err != nil || len(list) != 2 || list[0].CertAuthority || !list[1].CertAuthority {
		t.Errorf("%+v, %v: not one line as a person and one as an authority", list, err)
	}
	thief := &Identity{ID: "mallory@lab", Key: alice.Key}
	if err := c.Enroll(thief, time.Time{}, time.Time{}); err == nil {
		t.Error("one key has two owners")
	}
	if p, ok, err := c.Person("alice@lab"); err != nil || !ok || p.Name != "Alice Example" {
		t.Errorf("person %+v %v %v", p, ok, err)
	}
	for _, id := range []string{"", "a b", "*", "a,b", "!x", `a"b`, "#x", "a\nb", "x=y", "\xff"} {
		if err := c.Enroll(&Identity{ID: id, Key: testIdentity(t, "x").Key}, time.Time{}, time.Time{}); err == nil {
			t.Errorf("id %q was enrolled", id)
		}
	}
}

func FuzzAllowedSigners(f *testing.F) {
	f.Add([]byte("alice@lab " + keyA + " comment\n"))
	f.Add([]byte(`"bob, b" cert-authority,namespaces="a,b",valid-after="20260301Z",valid-before="20270301120000Z" ` + keyB))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseAllowedSigners(data)
		if err != nil {
			return
		}
		for _, s := range list {
			s.Comment = "" // ssh.ParseAuthorizedKey trims comments in its own way
			if strings.Contains(s.Principals, `"`) {
				continue
			}
			back, err := ParseAllowedSigners([]byte(s.Line()))
			if err != nil || len(back) != 1 || back[0].Line() != s.Line() {
				t.Errorf("line %q reads back as %v, %v", s.Line(), back, err)
			}
		}
	})
}
