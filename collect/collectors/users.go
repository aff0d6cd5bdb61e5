package collectors

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

const linuxUsersName = "linux_users"

var linuxUsers = register(Users(LeaveSecrets))

// Users collects what people and accounts left in their home directories. The
// shelf holds the one that leaves secrets where they are.
func Users(secrets Secrets) collect.Collector {
	return collect.Collector{
		Name:     linuxUsersName,
		Doc:      "Histories, start files, SSH and traces of use in home directories",
		Tier:     collect.TierUsers,
		Deadline: time.Hour,
		Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
			homes := homesOf(h, out)
			run := pathRun{collector: linuxUsersName, host: h, out: out, homes: homes, secrets: secrets}
			return takePaths(ctx, run, userDefinitions())
		},
	}
}

// maxPasswd bounds /etc/passwd: a hundred thousand accounts fit.
const maxPasswd = 16 << 20

// maxUserFile bounds one file of a home directory.
const maxUserFile = 64 << 20

// homesOf returns the home directories: those of passwd(5), of service
// accounts too, because an intruder's shell writes its history into the home
// of whatever account it runs as; and those that nobody owns any more.
func homesOf(h *collect.Host, out collect.Taker) []string {
	homes := []string{"/root"}
	text, err := h.ReadFile("/etc/passwd", maxPasswd)
	if err != nil {
		out.Problem(evidence.Problem{
			Code: codeOf(err), Path: "/etc/passwd",
			Ref: evidence.Ref{Offset: -1, Length: -1}, Detail: "read accounts: " + err.Error(),
		})
	}
	homes = append(homes, passwdHomes(string(text))...)
	for _, dir := range []string{"/home", "/export/home", "/var/home", "/Users"} {
		entries, _ := h.ReadDir(dir) // most hosts have one of these
		for _, e := range entries {
			homes = append(homes, dir+"/"+e.Name)
		}
	}
	slices.Sort(homes)
	homes = slices.DeleteFunc(slices.Compact(homes), func(dir string) bool {
		if m, ok := h.MountOf(dir); ok && m.Storage() == collect.Remote {
			return false // recorded as not entered
		}
		_, err := h.Stat(dir)
		return errors.Is(err, fs.ErrNotExist) // a table of what is not there takes memory for nothing
	})
	return homes
}

// passwdHomes returns the sixth field of each line of passwd(5), cleaned.
// Lines that break the format are of no account and are left out.
func passwdHomes(text string) []string {
	var homes []string
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(fields) < 7 || !strings.HasPrefix(fields[5], "/") || strings.IndexByte(fields[5], 0) >= 0 {
			continue
		}
		homes = append(homes, path.Clean(fields[5]))
	}
	return homes
}

// userDefinitions is the table of what is worth taking from a home directory.
// All are quiet: nobody has all of it.
func userDefinitions() []definition {
	defs := []definition{
		// The first that matches takes: secrets come before what holds them.
		storedCredentials(),
		{rule: "SSH of users", patterns: []string{"~/.ssh/**", "~/.ssh2/**", "~/.putty/**", "~/.dropbear/*"}, take: takeUnlessSecret},
		{rule: "command histories", patterns: []string{
			"~/.*history*", "~/.{histfile,zhistory,dbshell}*", "~/.{bash,zsh}_sessions/*", "~/.local/share/{fish/fish_history*,powershell/PSReadLine/*,xonsh/*,elvish/db.bolt,ion/history,atuin/history.db*,mc/history,nano/*_history,pgcli/*,mycli/*}",
			"~/.config/{fish/fish_history,nushell/history.*,litecli/history,pgcli/history}", "~/.local/state/{bash,zsh,fish,python,psql,mysql}*/{history,*_history}", "~/.mongodb/mongosh/*", "~/.ipython/profile_*/history.sqlite", "~/.cache/{zsh,bash}/*history*", "~/.config/{zsh,bash}/*history*",
		}},
		{rule: "start files of users", patterns: []string{
			"~/.{bashrc,bash_profile,bash_login,bash_logout,bash_aliases,bash_functions,profile,zshrc,zshenv,zprofile,zlogin,zlogout,kshrc,mkshrc,cshrc,tcshrc,login,logout,inputrc,environment,pam_environment,xprofile,xinitrc,xsession,xsessionrc,Xresources,gnomerc,vimrc,exrc,nvimrc,emacs,nanorc,screenrc,tmux.conf,gdbinit,pythonrc,perldb,selected_editor,hushlogin,shrc,xonshrc,login_conf,mailrc,mail_aliases}",
			"~/.{bashrc.d,bash_completion.d,profile.d,zshrc.d,oh-my-zsh/custom,vim/plugin,vim/autoload}/**", "~/.config/{fish,zsh,bash,elvish,ion,oil,powershell,environment.d,nvim,plasma-workspace}/**", "~/.emacs.d/{init.el,early-init.el}",
			"~/.local/lib/python*/site-packages/{*.pth,usercustomize.py,sitecustomize.py}",
		}},
		{rule: "autostart of users", patterns: []string{
			"~/.config/{autostart,autostart-scripts,upstart}/**", "~/.kde*/Autostart/*", "~/.local/share/{dbus-1,applications}/**", "~/.local/share/systemd/user/**", "~/.local/share/autostart/*", "~/.config/systemd/**", "~/{.crontab,crontab,cron,mycron,.cron}{,.txt,.bak,.old,.new}", "~/.{forward,procmailrc,rhosts,shosts,k5login,k5users,equiv}", "~/.local/bin/*.{sh,py,pl}",
		}},
		// Samples end in an e, so do the hooks that are named.
		{rule: "git hooks", patterns: []string{
			"~/{.git,*/.git,*/*/.git}/hooks/{*[!e],*update,*-rewrite,*-receive,*-rebase,*-merge}", "~/{.git,*/.git,*/*/.git}/config", "~/.git-templates/hooks/*", "~/*.git/hooks/{*[!e],*update,*-receive}",
		}, max: 1 << 20},
		{rule: "remote control", patterns: []string{"~/.anydesk/*.trace", "~/.local/share/logs/RustDesk/**", "~/.local/share/teamviewer*/logfiles/*"}},
		{rule: "browser profiles", patterns: []string{
			"~/.config/{google-chrome,google-chrome-beta,chromium,microsoft-edge,vivaldi,BraveSoftware/Brave-Browser}/{*,*/*}/{History,Bookmarks,Preferences,Secure Preferences,Top Sites,Shortcuts,Favicons,Visited Links,Archived History,History-journal}",
			"~/.config/{google-chrome,google-chrome-beta,chromium,microsoft-edge,vivaldi,BraveSoftware/Brave-Browser}/*/{Extensions/*/*/manifest.json,Sessions/*,Local State}", "~/.config/{google-chrome,chromium,microsoft-edge,opera}/{Local State,History,Bookmarks,Preferences}",
			"~/{.mozilla/firefox,.librewolf,snap/firefox/common/.mozilla/firefox,.var/app/org.mozilla.firefox/.mozilla/firefox}/{profiles.ini,installs.ini}",
			"~/{.mozilla/firefox,.librewolf,snap/firefox/common/.mozilla/firefox,.var/app/org.mozilla.firefox/.mozilla/firefox}/*/{places.sqlite*,formhistory.sqlite*,favicons.sqlite*,permissions.sqlite*,extensions.json,addons.json,prefs.js,user.js,handlers.json,containers.json,sessionstore.jsonlz4,sessionstore-backups/*,downloads.json}",
		}, max: 512 << 20},
		{rule: "transcripts of AI agents", patterns: []string{
			"~/.claude/{history.jsonl,settings*.json,CLAUDE.md,projects/**,todos/*,commands/**,hooks/**}", "~/.claude.json", "~/.codex/{history.json*,config.toml,sessions/**,log/*}", "~/.gemini/{settings.json,tmp/**}",
			"~/.aider.conf.yml", "~/.config/{opencode,goose,io.datasette.llm}/*", "~/.local/share/{opencode,goose}/**", "~/.continue/{sessions/*,config.*}", "~/.cursor/{mcp.json,projects/**}",
		}, max: 256 << 20, take: takeUnlessSecret},
		{rule: "traces of editors and tools", patterns: []string{
			"~/.{viminfo*,lesshst,wget-hsts,wgetrc,curlrc,gitconfig,gitignore,calc_history,recently-used*,xsession-errors*,sudo_as_admin_successful,esd_auth,serverauth.*}", "~/.vim/.netrwhist", "~/.local/{share,state}/nvim/{shada/*,log}", "~/.local/{state,share}/lesshst", "~/.config/git/*", "~/.emacs.d/{recentf,history,savehist,places,auto-save-list/*}",
			"~/.local/share/{recently-used.xbel*,RecentDocuments/*,user-places.xbel*,gvfs-metadata/*}", "~/.local/share/Trash/{info/*,directorysizes}", "~/.config/{mc,htop,gtk-3.0/bookmarks,filezilla/*.xml,remmina/*,Code/User/History/*/entries.json}", "~/.local/share/remmina/*", "~/.cache/{motd.legal-displayed,thumbnails/fail/**}",
			"~/.{docker,kube,aws,terraform.d}/*", "~/{dead.letter,nohup.out,mbox}", "~/.config/{rclone,gh}/*", "~/.ansible/cp/*", "~/.{subversion,mozilla}/{config,servers}", "~/.cargo/config.toml", "~/.config/pip/pip.conf", "~/.pip/pip.conf", "~/.gnupg/{*.conf,pubring.*,trustdb.gpg}",
		}, take: takeUnlessSecret},
	}
	for i := range defs {
		defs[i].quiet = true
		if defs[i].max == 0 {
			defs[i].max = maxUserFile
		}
	}
	return defs
}

func storedCredentials() definition {
	return definition{
		rule: "stored credentials",
		patterns: []string{
			"~/{.netrc,.pgpass,.my.cnf,.mylogin.cnf,.git-credentials,.vault-token,.s3cfg,.boto,.smbcredentials,.npmrc,.pypirc}",
			"~/.{aws/credentials,kube/config,docker/config.json}", "~/.config/{gh/hosts.yml,rclone/rclone.conf,gcloud/credentials.db,gcloud/access_tokens.db}",
			"~/.{terraformrc,terraform.d/credentials.tfrc.json,cargo/credentials,cargo/credentials.toml,gem/credentials,composer/auth.json,m2/settings.xml,gradle/gradle.properties,fly/config.yml,s3ql/authinfo2,msmtprc,fetchmailrc}",
			"~/.config/{doctl/config.yaml,hub,glab-cli/config.yml,composer/auth.json,github-copilot/*.json,filezilla/sitemanager.xml,filezilla/recentservers.xml,remmina/*,gcloud/legacy_credentials/**,gcloud/application_default_credentials.json}",
			"~/.local/share/{remmina/*,opencode/auth.json}", "~/.{claude/.credentials.json,codex/auth.json,gemini/oauth_creds.json}",
			"~/.config/{google-chrome,google-chrome-beta,chromium,microsoft-edge,vivaldi,BraveSoftware/Brave-Browser}/**/{Login Data*,Cookies*}",
			"~/{.mozilla/firefox,.librewolf,snap/firefox/common/.mozilla/firefox,.var/app/org.mozilla.firefox/.mozilla/firefox}/*/{logins.json,logins-backup.json,key?.db,cookies.sqlite*}",
			"~/.gnupg/private-keys-v1.d/*", "~/.azure/{accessTokens.json,msal_token_cache.*}", "~/.password-store/**", "~/.local/share/keyrings/*",
		},
		quiet: true, take: takeSecret,
	}
}

// secretPlaces are where secrets lie that are left out by their path.
func secretPlaces() []definition { return append(hostSecrets(), storedCredentials()) }
