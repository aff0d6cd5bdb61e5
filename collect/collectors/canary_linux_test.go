package collectors

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
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
	for _, path := range []string{"/root/.ssh/id_x", "/etc/ssh/ssh_host_x_key", "/root/.claude/projects/a/key", "/etc/nginx/a.pem", "/root/.config/opencode/key"} {
		write(t, h, path, key)
	}
	for secrets, want := range map[Secrets]bool{LeaveSecrets: false, TakeSecrets: true} {
		got := collecttest.Collect(t.Context(), t, collect.Options{Root: h.Root, Collectors: []collect.Collector{
			linuxLogs, Persistence(secrets), linuxPackages, Users(secrets), filesystemWalk,
		}})
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
	}
}
