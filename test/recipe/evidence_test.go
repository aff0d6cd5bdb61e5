package recipe

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// parcel is what an opposing expert is given, in a folder, and on paper.
type parcel struct {
	dir        string
	exhibit    string
	code, head string
}

const tsaConfig = `
[tsa]
default_tsa = tsa_config
[tsa_config]
serial = ./serial
crypto_device = builtin
signer_cert = ./tsa.pem
certs = ./ca.pem
signer_key = ./tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
`

// lab is a laboratory with its programs, a case, and a time authority.
type lab struct {
	t      *testing.T
	dir    string
	env    []string
	secret string // seal code of the encrypted bundle
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir()}
	bin := filepath.Join(l.dir, "bin")
	build := exec.Command(testenv.Tool(t, "go"), "build", "-trimpath", "-o", bin+string(filepath.Separator),
		"./cmd/exhibit", "./cmd/exhibit-collector", "./cmd/exhibit-verify")
	build.Dir, build.Env = testenv.Root(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	l.env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"),
		"HOME="+l.dir, "XDG_CONFIG_HOME="+filepath.Join(l.dir, "config"), "EXHIBIT_PROGRESS=none", "EXHIBIT_CASE=", "EXHIBIT_KEY=", "EXHIBIT_ID=")
	l.write("tsa.cnf", tsaConfig)
	l.write("serial", "01\n")
	l.write("ext", "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n")
	l.write("tree/etc/hostname", "web01\n")
	l.write("tree/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
	l.sh(`openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 3650 -subj "/CN=Example root" 2>&1
openssl req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj "/CN=Example TSA" 2>&1
openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out tsa.pem -days 30 -extfile ext 2>&1
openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 3650 -subj "/CN=Other root" 2>&1
echo '{}' > a.json
exhibit key new alice --id alice@lab
exhibit case init case
ssh-keygen -q -t ed25519 -N '' -C bob -f bob
exhibit --case case key trust bob@firm bob.pub`)
	l.secret = first(t, `"seal_code":"([^"]*)"`, l.sh(`recipient=$(exhibit key age identity.key --classic)
exhibit-collector --json --root tree --recipient "$recipient" -o secret.exhibit.tar.zst`))
	return l
}

func (l *lab) write(name, text string) {
	l.t.Helper()
	path := filepath.Join(l.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// sh runs commands in the laboratory, all of which must succeed.
func (l *lab) sh(script string) string {
	l.t.Helper()
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir, cmd.Env = l.dir, l.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s%s", script, err, out, stderr.String())
	}
	return string(out)
}

// handOver has an exhibit of the case go to Bob, with both signatures, stamps
// the log and packs the parcel.
func (l *lab) handOver(exhibit string) parcel {
	l.t.Helper()
	script := strings.ReplaceAll(`exhibit --case case disclose EX --item /etc/hostname --to court --basis order -o EX.disclosure.tar
exhibit --case case custody transfer EX --to bob@firm --log there-EX.custody.tar
exhibit custody import there-EX.custody.tar --into bob-EX
exhibit --case bob-EX --key bob --id bob@firm custody receive case/exhibits/EX/*.exhibit.tar.zst --log there-EX.custody.tar
exhibit --case bob-EX custody export EX -o back-EX.custody.tar
exhibit --case case custody import back-EX.custody.tar
exhibit --case case custody stamp EX --request EX.tsq
openssl ts -reply -config tsa.cnf -queryfile EX.tsq -out EX.tsr 2>&1
exhibit --case case custody stamp EX --response EX.tsr --root ca.pem
mkdir parcel-EX
cp EX.disclosure.tar parcel-EX/part.disclosure.tar
cp -r secret.exhibit.tar.zst.age secret.exhibit.tar.zst.age.seal identity.key parcel-EX
chmod -R u+w parcel-EX
cp case/exhibits/EX/*.exhibit.tar.zst parcel-EX/host.exhibit.tar.zst
chmod u+w parcel-EX/host.exhibit.tar.zst
exhibit-collector --root tree --continues parcel-EX/host.exhibit.tar.zst -o parcel-EX/next.exhibit.tar.zst
exhibit --case case custody export EX -o parcel-EX/exhibit.custody.tar
cp alice.pub parcel-EX/examiner.pub
cp ca.pem parcel-EX/tsa-root.pem`, "EX", exhibit)
	l.sh(script)
	p := parcel{dir: filepath.Join(l.dir, "parcel-"+exhibit), exhibit: exhibit}
	p.code = first(l.t, `"seal_code":"([^"]*)"`, l.sh("exhibit-verify --json --quiet --signers case/allowed_signers "+"parcel-"+exhibit+"/host.exhibit.tar.zst"))
	p.head = first(l.t, `"heads":\["([^"]*)"\]`, l.sh("exhibit --case case --json custody verify "+exhibit))
	return p
}

func first(t *testing.T, pattern, text string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in %s", pattern, text)
	}
	return m[1]
}

// attended makes an exhibit of grade A.
func (l *lab) attended() parcel {
	l.t.Helper()
	l.sh(`cd case && exhibit collect --root ../tree`)
	return l.handOver("EX-001")
}

// delegated makes an exhibit of grade B: the collector has a one-time key.
func (l *lab) delegated() parcel {
	l.t.Helper()
	l.sh(`exhibit --case case order new --delegate --out kit
exhibit-collector --order kit --root tree -o sent.exhibit.tar.zst
exhibit --case case custody receive sent.exhibit.tar.zst`)
	return l.handOver("EX-002")
}

// programsAgree holds exhibit-verify to exhibit: the same verdict on the same
// evidence, in the same bytes of JSON.
func (l *lab) programsAgree(t *testing.T, p parcel) {
	t.Helper()
	file := p.dir + "/host.exhibit.tar.zst --signers case/allowed_signers"
	if a, b := l.sh("exhibit verify --json "+file), l.sh("exhibit-verify --json "+file); a != b {
		t.Errorf("of the bundle exhibit says\n%s\nand exhibit-verify\n%s", a, b)
	}
	if a, b := l.sh("exhibit --case case custody verify --json "+p.exhibit), l.sh("exhibit-verify --json case/custody/"+p.exhibit); a != b {
		t.Errorf("of the log exhibit says\n%s\nand exhibit-verify\n%s", a, b)
	}
	out := l.sh("exhibit-verify case " + p.dir + "/exhibit.custody.tar case/custody/" + p.exhibit + "/*.tsr")
	if !strings.Contains(out, "Example TSA proves that 00") || !strings.Contains(out, p.exhibit+"  VERIFIED") {
		t.Errorf("of case, log and time stamp exhibit-verify says\n%s", out)
	}
	// Two bundles: each has its verdict, and the link is checked.
	for files, want := range map[string][2]string{
		"host.exhibit.tar.zst next.exhibit.tar.zst": {`{"chain":{"state":"holds"`, "exit 5\n"}, // nobody known signed the second
		"next.exhibit.tar.zst host.exhibit.tar.zst": {`{"chain":{"state":"reordered"`, "exit 3\n"},
	} {
		tail := " --json " + files + " --signers ../case/allowed_signers || echo exit $?"
		a, b := l.sh("cd "+p.dir+"; exhibit verify"+tail), l.sh("cd "+p.dir+"; exhibit-verify"+tail)
		if a != b || !strings.Contains(a, want[0]) || !strings.HasSuffix(a, want[1]) {
			t.Errorf("%s: exhibit says\n%s\nand exhibit-verify\n%s", files, a, b)
		}
	}
	// An authority that the verifying party does not trust, and a stamp beside
	// another event.
	stamp := "stamp=$(ls case/custody/" + p.exhibit + "/*.tsr); "
	for script, want := range map[string]string{
		stamp + `exhibit-verify "$stamp" --tsa-root other.pem || echo "exit $?"`:                        "INTACT-SIGNER-UNKNOWN",
		stamp + `exhibit-verify "$stamp" --tsa-root ca.pem --json`:                                      `"verdict":"VERIFIED"`,
		stamp + `cp "$stamp" a.json.tsr; exhibit-verify a.json.tsr --tsa-root ca.pem || echo "exit $?"`: "ALTERED",
	} {
		if out := l.sh(script); !strings.Contains(out, want) || strings.Contains(out, "exit") && !strings.Contains(out, map[string]string{"ALTERED": "exit 4", "INTACT-SIGNER-UNKNOWN": "exit 5"}[want]) {
			t.Errorf("%s: want %s:\n%s", script, want, out)
		}
	}
}

// programFinds holds exhibit-verify to the document: what a byte changes there
// is no success here.
func (l *lab) programFinds(t *testing.T, c change, p parcel) {
	t.Helper()
	if c.member == nil {
		out := l.sh("exhibit --identity " + p.dir + "/identity.key verify " + p.dir + "/" + sealed + " --code " + l.secret + " && echo success || true")
		// The bundle is what it was where only the seal beside it was changed.
		if strings.HasSuffix(out, "success\n") != (c.file != sealed) || c.file != sealed && !strings.Contains(out, "The seal that lies beside the bundle does not hold") {
			t.Errorf("of the encrypted bundle exhibit says\n%s", out)
		}
		return
	}
	if c.file == packageFile {
		out := l.sh("exhibit disclose verify " + p.dir + "/" + packageFile + " --signers case/allowed_signers && echo success || true")
		if strings.HasSuffix(out, "success\n") {
			t.Errorf("exhibit disclose verify finds nothing:\n%s", out)
		}
		return
	}
	if c.file == nextFile {
		out := l.sh("exhibit-verify " + p.dir + "/" + nextFile + " || echo exit $?")
		if !strings.HasSuffix(out, "exit 1\n") && !strings.HasSuffix(out, "exit 4\n") {
			t.Errorf("exhibit-verify finds nothing:\n%s", out)
		}
		return
	}
	out := l.sh("exhibit-verify " + p.dir + "/host.exhibit.tar.zst " + p.dir + "/exhibit.custody.tar --head " + p.head +
		" --signers case/allowed_signers --tsa-root ca.pem --quiet && echo success || true")
	if strings.Contains(c.member.String(), ".tsr") {
		// No time is proven then, which lowers no verdict, but must be said.
		if !strings.Contains(out, "proves nothing") {
			t.Errorf("exhibit-verify takes the time stamp:\n%s", out)
		}
	} else if strings.HasSuffix(out, "success\n") {
		t.Errorf("exhibit-verify finds nothing:\n%s", out)
	}
}
