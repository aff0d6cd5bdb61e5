package bundle

import (
	"context"
	"fmt"
	"io"

	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// Survey says what a bundle still holds, sealed or cut off.
type Survey struct {
	Report *Report
	Header Header
	Key    ssh.PublicKey // of its run; nil where the header cannot be read
	// Proven is how many records a signature covers: of those that visit got,
	// the ones with an Index below it.
	Proven int64
}

// SurveyOf reads a whole bundle and calls visit for every record with content that
// is whole and is what its record says. Only afterwards is it known which of
// them a signature covers. The error is about the run, as that of Verify.
func SurveyOf(ctx context.Context, r io.ReaderAt, size int64, visit func(evidence.Item)) (*Survey, error) {
	a, walk, tar, err := inspectWith(ctx, r, size, VerifyOptions{}, visit)
	if err != nil {
		return nil, fmt.Errorf("survey bundle: %w", err)
	}
	c := conclusion{audit: a, walk: walk, tar: tar}
	c.draw()
	return &Survey{Report: a.report, Header: a.header, Key: a.sshKey, Proven: c.proven}, nil
}
