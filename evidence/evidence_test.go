package evidence

import (
	"strings"
	"testing"
)

func TestDigestHasOneSpelling(t *testing.T) {
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-4, appendix B.1
	d := Sum([]byte("abc"))
	if d.String() != abc || d.IsZero() {
		t.Fatalf("Sum(abc) = %s", d)
	}
	h := NewHash()
	h.Write([]byte("a"))
	h.Write([]byte("bc"))
	if DigestOf(h) != d {
		t.Error("a hash fed in pieces differs")
	}
	back, err := ParseDigest(abc)
	if err != nil || back != d {
		t.Errorf("ParseDigest: %v, %v", back, err)
	}
	for _, bad := range []string{"", abc[:63], abc + "0", strings.ToUpper(abc), "g" + abc[1:], " " + abc[1:]} {
		if _, err := ParseDigest(bad); err == nil {
			t.Errorf("ParseDigest(%q) was accepted", bad)
		}
	}
	if !(Digest{}).IsZero() {
		t.Error("the zero Digest is not none")
	}
}

func TestKindsWithContentAreNotNegative(t *testing.T) {
	for _, k := range []Kind{
		KindHeader, KindFile, KindStream, KindDir, KindSymlink, KindDevice, KindAbsent, KindDenied, KindError,
		KindSkipped, KindClock, KindLog, KindTrailer, KindManifest,
	} {
		if k.HasContent() && k.Negative() {
			t.Errorf("%s has content and is a failed look", k)
		}
	}
	if !KindFile.HasContent() || KindDir.HasContent() || !KindDenied.Negative() || KindFile.Negative() {
		t.Error("a kind is misclassified")
	}
}
