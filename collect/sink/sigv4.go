//go:build !exhibit_no_web

package sink

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// s3Keys are the credentials of AWS Signature Version 4.
type s3Keys struct{ id, secret, token string }

const sigTime = "20060102T150405Z"

// sign adds the headers of Signature Version 4 to a request for S3 (API
// reference, "Authenticating Requests: Using the Authorization Header",
// payload signed). The request's path and query are in their canonical form
// already: escapePath, escapeQuery. digest is the SHA-256 of the body in hex.
func (k s3Keys) sign(req *http.Request, region, digest string, now time.Time) {
	now = now.UTC()
	req.Header.Set("X-Amz-Date", now.Format(sigTime))
	req.Header.Set("X-Amz-Content-Sha256", digest)
	if k.token != "" {
		req.Header.Set("X-Amz-Security-Token", k.token)
	}
	names := []string{"host"}
	values := map[string]string{"host": req.URL.Host}
	for name, v := range req.Header {
		low := strings.ToLower(name)
		names = append(names, low)
		values[low] = strings.Join(strings.Fields(strings.Join(v, ",")), " ")
	}
	slices.Sort(names)
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", req.Method, req.URL.EscapedPath(), req.URL.RawQuery)
	for _, n := range names {
		fmt.Fprintf(&canonical, "%s:%s\n", n, values[n])
	}
	signed := strings.Join(names, ";")
	fmt.Fprintf(&canonical, "\n%s\n%s", signed, digest)

	day := now.Format("20060102")
	scope := day + "/" + region + "/s3/aws4_request"
	sum := sha256.Sum256([]byte(canonical.String()))
	toSign := "AWS4-HMAC-SHA256\n" + now.Format(sigTime) + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + k.secret)
	for _, part := range []string{day, region, "s3", "aws4_request"} {
		key = mac(key, part)
	}
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s",
		k.id, scope, signed, hex.EncodeToString(mac(key, toSign))))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// escape is the URI encoding of Signature Version 4: all but RFC 3986's
// unreserved characters, which url.QueryEscape leaves alone, too.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// escapePath encodes a key, whose slashes stay.
func escapePath(key string) string { return strings.ReplaceAll(escape(key), "%2F", "/") }

// escapeQuery encodes and sorts parameters.
func escapeQuery(q map[string]string) string {
	var all []string
	for k, v := range q {
		all = append(all, escape(k)+"="+escape(v))
	}
	slices.Sort(all)
	return strings.Join(all, "&")
}
