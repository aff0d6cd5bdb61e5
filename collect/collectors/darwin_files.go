package collectors

import (
	"context"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
)

const darwinFilesName = "darwin_files"

var darwinFiles = register(DarwinFiles(LeaveSecrets))

// DarwinFiles collects what macOS and its users leave in files. The shelf holds
// the one that leaves secrets where they are.
func DarwinFiles(secrets Secrets) collect.Collector {
	return collect.Collector{
		Name:     darwinFilesName,
		Doc:      "macOS: launch items, unified and older logs, FSEvents, privacy and quarantine databases, installs, and what users left",
		Tier:     collect.TierLogs,
		Deadline: 2 * time.Hour,
		Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
			run := pathRun{collector: darwinFilesName, host: h, out: out, secrets: secrets}
			homes := unixHomes(h, []string{"/Users"}, "/private/var/root", "/var/root")
			return takePaths(ctx, run, belowHomes(darwinDefinitions(), homes))
		},
	}
}

// darwinDefinitions is the table of macOS. Patterns name /private/var and the
// like by where they are: /var, /etc and /tmp are links to them.
func darwinDefinitions() []definition {
	return []definition{
		{rule: "password hashes and keychains", take: takeSecret, patterns: []string{
			"/private/var/db/dslocal/nodes/*/users/*.plist", "/private/etc/{master.passwd,kcpassword}", "/private/var/db/SystemKey", "/Library/Keychains/**", "~/Library/Keychains/**",
			"~/Library/Application Support/{Google/Chrome,Chromium,Microsoft Edge,BraveSoftware/Brave-Browser}/*/{Login Data*,Cookies*,Web Data*}", "~/Library/Application Support/Firefox/Profiles/*/{logins*.json,key?.db,cookies.sqlite*}", "~/Library/Cookies/*", "~/Library/Containers/com.apple.Safari/Data/Library/Cookies/*",
		}},
		{rule: "launch agents and daemons", patterns: []string{
			"/{System/,}Library/{LaunchAgents,LaunchDaemons,StartupItems}/**", "~/Library/LaunchAgents/*", "/private/var/db/com.apple.xpc.launchd/**", "/private/var/at/**", "/private/etc/{rc.common,rc.local,launchd.conf,periodic.conf*}", "/private/etc/{periodic,emond.d,newsyslog.d,pam.d,paths.d,sudoers.d,ssh}/**", "/private/var/db/launchd.db/**",
			"/Library/Preferences/com.apple.loginwindow.plist", "~/Library/Preferences/{com.apple.loginwindow.plist,ByHost/com.apple.loginwindow.*}", "/private/var/db/emondClients/*",
		}, take: takeUnlessSecret},
		{rule: "login and background items", patterns: []string{
			"/private/var/db/com.apple.backgroundtaskmanagement/*", "~/Library/Application Support/com.apple.backgroundtaskmanagementagent/*", "/{System/,}Library/{Extensions,SystemExtensions}/*/Contents/Info.plist", "/Library/SystemExtensions/db.plist", "/private/var/db/SystemPolicyConfiguration/**", "/Library/{Security/SecurityAgentPlugins,DirectoryServices/PlugIns,QuickLook,Spotlight,ScriptingAdditions,Input Methods,PrivilegedHelperTools}/**", "/private/var/db/auth.db*",
		}, max: maxUserFile},
		{rule: "unified logs", patterns: []string{"/private/var/db/diagnostics/**", "/private/var/db/uuidtext/**"}},
		{rule: "logs", patterns: []string{"/private/var/log/**", "/Library/Logs/**", "~/Library/Logs/**", "/private/var/audit/*", "/private/var/run/utmpx", "/private/var/db/systemstats/*"}, max: maxServiceLog},
		{rule: "FSEvents and Spotlight", patterns: []string{"/{System/Volumes/Data/,}.fseventsd/*", "/{System/Volumes/Data/,}.Spotlight-V100/**/{store.db,.store.db,VolumeConfiguration.plist,*.plist}", "~/Library/Metadata/CoreSpotlight/**/{store.db,.store.db,dbStr-*}", "/{System/Volumes/Data/,}.DocumentRevisions-V100/db-*/*"}, max: maxServiceLog},
		{rule: "privacy database", patterns: []string{"/Library/Application Support/com.apple.TCC/*", "~/Library/Application Support/com.apple.TCC/*", "/private/var/db/locationd/clients.plist"}},
		{rule: "quarantine and execution policy", patterns: []string{"~/Library/Preferences/com.apple.LaunchServices.QuarantineEvents*", "/private/var/db/SystemPolicy*", "/private/var/protected/xprotect/**", "/Library/Apple/System/Library/CoreServices/XProtect.bundle/Contents/Resources/*", "/private/var/db/ConfigurationProfiles/**"}, max: maxUserFile},
		{rule: "usage", patterns: []string{
			"/private/var/db/CoreDuet/**", "~/Library/Application Support/Knowledge/*", "/private/var/db/biome/**", "~/Library/Biome/**", "/private/var/networkd/*.sqlite*", "/private/var/db/powerlog/**", "~/Library/Application Support/com.apple.spotlight*/*", "~/Library/Application Support/com.apple.sharedfilelist/**", "~/Library/Application Support/{NotificationCenter,CrashReporter}/**", "~/Library/Group Containers/group.com.apple.usernoted/**",
			"~/Library/Caches/com.apple.helpd/*", "~/Library/Saved Application State/**", "~/Library/DuetExpertCenter/**",
		}, max: maxUserFile},
		{rule: "installation history", patterns: []string{"/Library/Receipts/**", "/private/var/db/receipts/*", "/private/var/db/.AppleSetupDone", "/private/var/db/softwareupdate/**/*.plist", "/System/Library/CoreServices/SystemVersion.plist", "/Applications/*/Contents/Info.plist"}, max: maxUserFile},
		{rule: "configuration", patterns: []string{"/Library/Preferences/**", "~/Library/Preferences/**", "/private/etc/{hosts,passwd,group,resolv.conf,sudoers,profile,zshrc,zprofile,zshenv,bashrc,bashrc_Apple_Terminal,crontab,fstab,exports,pf.conf,pf.anchors/*,shells,syslog.conf,asl.conf,localtime}", "/private/var/db/{timezone/*,dhcpclient/leases/*,dslocal/nodes/*/groups/*}"}, max: maxUserFile, take: takeUnlessSecret},
		{rule: "shell histories and start files", patterns: []string{"~/.*{history,_history}*", "~/.{bash,zsh}_sessions/*", "~/.{bashrc,bash_profile,profile,zshrc,zshenv,zprofile,zlogin,vimrc,inputrc}", "~/.local/share/fish/fish_history*"}, max: maxUserFile},
		{rule: "SSH of users", patterns: []string{"~/.ssh/**"}, take: takeUnlessSecret},
		{rule: "browsers", patterns: []string{
			"~/Library/Safari/*", "~/Library/Safari/{Profiles,LocalStorage}/**", "~/Library/Containers/com.apple.Safari/Data/Library/{Safari,Caches/com.apple.Safari}/**",
			"~/Library/Application Support/{Google/Chrome,Chromium,Microsoft Edge,BraveSoftware/Brave-Browser}/{Local State,*/History*,*/Archived History*,*/Bookmarks*,*/Top Sites*,*/Shortcuts*,*/Favicons*,*/Preferences,*/Secure Preferences,*/Visited Links,*/Sessions/*,*/Extensions/*/*/manifest.json}",
			"~/Library/Application Support/Firefox/{profiles.ini,Profiles/*/places.sqlite*,Profiles/*/formhistory.sqlite*,Profiles/*/permissions.sqlite*,Profiles/*/favicons.sqlite*,Profiles/*/prefs.js,Profiles/*/extensions.json,Profiles/*/sessionstore*,Profiles/*/sessionstore-backups/*}",
		}, max: maxUserFile},
		{rule: "messages, notes and mail indices", patterns: []string{"~/Library/Messages/chat.db*", "~/Library/Group Containers/group.com.apple.notes/NoteStore.sqlite*", "~/Library/Mail/V*/MailData/Envelope Index*", "~/Library/Application Support/CallHistoryDB/*"}, max: maxServiceLog},
		{rule: "trash", patterns: []string{"~/.Trash/**", "/.Trashes/**"}, max: maxRecycled, total: totalRecycled},
		{rule: "files in temporary and shared folders", patterns: []string{"/private/tmp/**", "/private/var/tmp/**", "/Users/Shared/**"}, max: maxTemporary, total: totalTemporary, asLinks: true},
	}
}
