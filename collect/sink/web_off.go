//go:build exhibit_no_web

package sink

import (
	"fmt"
	"net/url"
)

// newWeb has nothing to give where the program was built without net/http.
func newWeb(u *url.URL, _ Options, _ *line) (far, error) {
	return nil, fmt.Errorf("%w: %.20q: this small collector sends to sftp:// and exhibit://; exhibit-collector-web to https:// and s3:// as well", ErrURL, u.Scheme)
}
