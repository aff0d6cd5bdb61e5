package bundle

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// TestConvertedVectorsAreWrittenAgainByteForByte keeps the converted forms of
// the minimal bundle, whole and broken, with the verdict each must get.
func TestConvertedVectorsAreWrittenAgainByteForByte(t *testing.T) {
	file := minimal(t, testKey(t))
	tar, gz := convert(t, file, WriteTar), convert(t, file, WriteGzip)
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	host := bytes.Index(tar, []byte("web01\n"))
	verdicts := map[string]Verdict{}
	for name, v := range map[string]struct {
		file []byte
		want Verdict
	}{
		"minimal.tar":                  {tar, Verified},
		"minimal.tar.gz":               {gz, Verified},
		"content-changed.tar":          {flip(tar, host), Altered},
		"header-changed.tar":           {flip(tar, member(t, tar, "files/file/etc/hostname").at+3), Altered},
		"padding-not-zero.tar":         {flip(tar, host+400), Altered},
		"member-removed.tar":           {without(t, tar, "files/file/etc/hostname"), Altered},
		"block-behind-the-end.tar":     {append(bytes.Clone(tar), make([]byte, tarBlock)...), Altered},
		"end-blocks-missing.tar":       {tar[:len(tar)-2*tarBlock], VerifiedPrefix},
		"cut.tar":                      {tar[:member(t, tar, leavesMember).data], VerifiedPrefix},
		"checksum-wrong.tar.gz":        {flip(gz, len(gz)-8), Unreadable},
		"cut.tar.gz":                   {gz[:len(gz)-4], Unreadable},
		"time-in-the-header.tar.gz":    {flip(gz, 4), Unreadable},
		"byte-behind-the-end.tar":      {append(bytes.Clone(tar), 0), Altered},
		"size-in-the-header.tar.gz":    {flip(gz, len(gzipMark)+4), Unreadable},
		"byte-behind-the-end.tar.gz":   {append(bytes.Clone(gz), 0x1f), Altered},
		"member-behind-the-end.tar.gz": {append(bytes.Clone(gz), gz...), Altered},
	} {
		path := filepath.Join(testenv.Root(t), "testdata/vectors/converted", name)
		testenv.Golden(t, path, v.file)
		onDisk, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if rep := verify(t, onDisk, trustTest(t)); rep.Verdict != v.want {
			t.Errorf("%s: want %s: %s", name, v.want, explain(rep))
		}
		verdicts[name] = v.want
	}
	b, err := json.MarshalIndent(verdicts, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	testenv.Golden(t, filepath.Join(testenv.Root(t), "testdata/vectors/converted/verdicts.json"), append(b, '\n'))
}
