package collectors

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// secretPaths hold what would let its holder act as somebody else.
var secretPaths = []string{
	"/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/security/opasswd", "/etc/ssl/private/site.key", "/etc/krb5.keytab", "/etc/wireguard/wg0.conf",
	"/etc/NetworkManager/system-connections/home.nmconnection", "/etc/wpa_supplicant/wpa.conf", "/etc/apt/auth.conf", "/etc/apt/auth.conf.d/repo.conf",
	"/etc/kubernetes/admin.conf", "/etc/rancher/k3s/k3s.yaml", "/etc/openvpn/client/auth.txt", "/var/lib/samba/private/secrets.tdb",
	"/root/.netrc", "/root/.pgpass", "/root/.my.cnf", "/root/.git-credentials", "/root/.aws/credentials", "/root/.kube/config", "/root/.docker/config.json",
	"/root/.config/gh/hosts.yml", "/root/.config/gcloud/credentials.db", "/root/.config/gcloud/application_default_credentials.json", "/root/.vault-token",
	"/root/.npmrc", "/root/.pypirc", "/root/.terraform.d/credentials.tfrc.json", "/root/.azure/msal_token_cache.json", "/root/.config/rclone/rclone.conf",
	"/root/.config/filezilla/sitemanager.xml", "/root/.local/share/remmina/host.remmina", "/root/.claude/.credentials.json", "/root/.codex/auth.json",
	"/root/.gnupg/private-keys-v1.d/a.key", "/root/.local/share/keyrings/login.keyring", "/root/.password-store/mail.gpg",
	"/root/.config/google-chrome/Default/Login Data", "/root/.config/chromium/Default/Network/Cookies", "/root/.mozilla/firefox/x.default/logins.json",
	"/root/.mozilla/firefox/x.default/key4.db", "/root/.mozilla/firefox/x.default/cookies.sqlite-wal",
}

// Nothing of a secret may be in a bundle, whichever collector met it, unless
// that was ordered.
func TestNoSecretIsInABundleUnlessOrdered(t *testing.T) {
	h := plant(t, "etc/hostname")
	write(t, h, "/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
	canary := func(i int) string { return fmt.Sprintf("canary-%d-of-%d", i, len(secretPaths)) }
	for i, path := range secretPaths {
		write(t, h, path, "user:"+canary(i)+"\n")
	}
	key, _ := keyFile(t, "")
	body := strings.Split(key, "\n")[3] // a line of the private part
	for _, path := range []string{
		"/root/.ssh/id_x", "/etc/ssh/ssh_host_x_key", "/root/.claude/projects/a/key", "/etc/nginx/a.pem", "/root/.config/opencode/key",
		"/tmp/stolen", "/var/tmp/.x/id", "/dev/shm/k", "/var/log/app/copied.log", "/opt/tool/bin/key",
	} {
		write(t, h, path, key)
	}
	log := strings.Repeat("Nov 25 18:00:00 web app: what happened\n", 50)
	write(t, h, "/var/log/app/app.log", log+"-----BEGIN FAKE PRIVATE KEY-----\nY2FuYXJ5\n-----END FAKE PRIVATE KEY-----\n")
	// Nor may its clothes hide something else.
	costume := map[string]string{
		"/tmp/a": "PuTTY-User-Key-File-3: ssh-rsa\n" + strings.Repeat("echo evil\n", 5000), "/tmp/b": "\x00\x00\x00\x07ssh-rsa" + strings.Repeat("evil", 20_000),
		"/tmp/c": "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat(strings.Repeat("QUFB", 16)+"\n", 2000) + "-----END PRIVATE KEY-----\n",
	}
	for path, text := range costume {
		write(t, h, path, text)
	}
	for _, want := range []bool{false, true} {
		chosen := []collect.Collector{linuxLogs, linuxPersistence, linuxPackages, linuxUsers, filesystemWalk}
		if want {
			chosen = WithSecrets(chosen)
		}
		got := collecttest.Collect(t.Context(), t, collect.Options{Root: h.Root, Collectors: chosen})
		var all bytes.Buffer
		for _, it := range got.Items {
			if it.Member != "" {
				all.Write(got.Content(t, it.Path))
			}
			_, _ = io.WriteString(&all, it.Detail+"\n")
		}
		for i, path := range secretPaths {
			if found := bytes.Contains(all.Bytes(), []byte(canary(i)+"\n")); found != want {
				t.Errorf("ordered %v: what %s holds is in the bundle: %v", want, path, found)
			}
			if it := got.Find(path); it.Path == "" {
				t.Errorf("ordered %v: no record of %s", want, path)
			}
		}
		if found := bytes.Contains(all.Bytes(), []byte(body)); found != want {
			t.Errorf("ordered %v: a private key is in the bundle: %v", want, found)
		}
		for path, text := range costume {
			if it := got.Find(path); it.Member == "" || string(got.Content(t, path)) != text {
				t.Errorf("ordered %v: %s, which is no key: %+v", want, path, it)
			}
		}
		// A key in a log must not keep the log out.
		if it := got.Find("/var/log/app/app.log"); it.Member == "" || strings.Contains(it.Detail, "among other content") == want {
			t.Errorf("ordered %v: log with a key: %+v", want, it)
		}
		if it := got.Find("/tmp/stolen"); it.Kind == evidence.KindSkipped == want || !want && (!strings.Contains(it.Detail, "ssh-ed25519 SHA256:") || !strings.Contains(it.Detail, evidence.Sum([]byte(key)).String())) {
			t.Errorf("ordered %v: %+v", want, it)
		}
	}
}
