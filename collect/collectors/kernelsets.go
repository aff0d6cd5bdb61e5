package collectors

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// parseBinFormat reads a file of binfmt_misc (fs/binfmt_misc.c entry_status):
//
//	enabled
//	interpreter /usr/bin/qemu-arm
//	flags: OCF
//	offset 0
//	magic 7f454c46
//	mask ffffffff
//
// or "extension .exe" in place of the last three.
func parseBinFormat(name string, text []byte) (f record.BinFormat, ok bool) {
	f.Name = record.Bytes(name)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "enabled", "disabled":
			f.Enabled, ok = key == "enabled", true
		case "interpreter":
			f.Interpreter = record.Bytes(value)
		case "flags:":
			f.Flags = value
		case "offset":
			f.Offset, _ = strconv.ParseInt(value, 10, 64) //nolint:errcheck // 0, as if it were not there
		case "magic":
			f.Magic = hexText(value)
		case "mask":
			f.Mask = hexText(value)
		case "extension":
			f.Extension = record.Bytes(value)
		}
	}
	return f, ok && f.Interpreter != nil
}

func hexText(s string) string {
	if _, err := hex.DecodeString(s); err != nil {
		return ""
	}
	return s
}

// parseKey reads a line of /proc/keys (security/keys/proc.c):
//
//	168cb94a I------     1 perm 1f030000     0     0 keyring   .dns_resolver: empty
func parseKey(line string) (k record.Key, ok bool) {
	rest := strings.TrimLeft(line, " ")
	next := func() (word string) {
		word, rest, _ = strings.Cut(rest, " ")
		rest = strings.TrimLeft(rest, " ")
		return word
	}
	k.Serial, k.Flags = next(), next()
	usage, err1 := strconv.ParseInt(next(), 10, 64)
	k.Timeout, k.Perm = next(), next()
	uid, err2 := strconv.ParseInt(next(), 10, 64)
	gid, err3 := strconv.ParseInt(next(), 10, 64)
	k.Usage, k.UID, k.GID = usage, uid, gid
	k.Type = record.Bytes(next())
	k.Description = record.Bytes(strings.TrimRight(rest, "\n"))
	_, err4 := strconv.ParseUint(k.Serial, 16, 32)
	return k, err1 == nil && err2 == nil && err3 == nil && err4 == nil && len(k.Type) > 0
}

// parseMeasurement reads a line of ascii_runtime_measurements:
//
//	10 91f34b5c671d73504b274a919661cf80dab1e127 ima-ng sha1:1801e1be3e65ef1eaa5c16617bec8f1274eaf6b3 boot_aggregate
//	10 … ima 1801e1be3e65ef1eaa5c16617bec8f1274eaf6b3 /bin/sh
//	10 … ima-sig sha256:… /bin/sh 0302046e6c1f…
//
// The kernel writes an underscore for a blank in a path. The fields of other
// templates are kept as text.
func parseMeasurement(line string) (m record.Measurement, ok bool) {
	line = strings.TrimSuffix(line, "\n")
	f := strings.Split(line, " ")
	if len(f) < 3 {
		return m, false
	}
	pcr, err := strconv.ParseInt(f[0], 10, 32)
	if err != nil || hexText(f[1]) == "" || f[2] == "" {
		return m, false
	}
	m = record.Measurement{PCR: pcr, TemplateHash: f[1], Template: f[2]}
	known := m.Template == "ima" || m.Template == "ima-ng" || m.Template == "ima-ngv2" || m.Template == "ima-sig" || m.Template == "ima-sigv2" || m.Template == "ima-modsig" || m.Template == "ima-buf"
	if !known || len(f) < 5 {
		m.Text = record.Bytes(line)
		return m, true
	}
	m.Algorithm, m.Hash = "sha1", f[3]
	if i := strings.LastIndexByte(f[3], ':'); i >= 0 { // ngv2 has what was hashed before it: verity:sha256:…
		m.Algorithm, m.Hash = f[3][:i], f[3][i+1:]
	}
	if hexText(m.Hash) == "" {
		return record.Measurement{PCR: pcr, TemplateHash: f[1], Template: f[2], Text: record.Bytes(line)}, true
	}
	m.Path = record.Bytes(f[4])
	m.Signed = strings.Contains(m.Template, "sig") && len(f) > 5 && f[5] != ""
	return m, true
}
