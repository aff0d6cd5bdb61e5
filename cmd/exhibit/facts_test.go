package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// Package verifying knows encrypted bundles without package envelope.
func TestTheVerifierKnowsEncryptedBundles(t *testing.T) {
	if verifying.EnvelopeSuffix != envelope.Suffix {
		t.Errorf("suffix %q, not %q", verifying.EnvelopeSuffix, envelope.Suffix)
	}
	path := filepath.Join(testenv.Root(t), "testdata", "vectors", "envelope", "x25519.tar.zst.age")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !verifying.Encrypted(whole) || verifying.Encrypted(whole[:8]) || verifying.Encrypted(nil) {
		t.Error("an age file is not told from others")
	}
	facts := verifying.FactsOf(t.Context(), path)
	if facts == nil || facts.OuterSHA256 != evidence.Sum(whole) || facts.Size != int64(len(whole)) || !facts.Seal.IsZero() {
		t.Errorf("%+v", facts)
	}
}
