package collectors

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
)

const windowsFilesName = "windows_files"

var windowsFiles = register(WindowsFiles(LeaveSecrets))

// WindowsFiles collects what Windows and its users leave in files, of the
// running host from every local drive, of a mounted one below its root. The
// shelf holds the one that leaves secrets where they are. Named streams come
// with the files and folders they belong to.
func WindowsFiles(secrets Secrets) collect.Collector {
	return collect.Collector{
		Name:     windowsFilesName,
		Doc:      "Windows: registry hives with their logs, event logs, traces of execution, tasks and services, NTFS metadata, and what users left",
		Tier:     collect.TierLogs,
		Deadline: 2 * time.Hour,
		Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
			run := pathRun{collector: windowsFilesName, host: h, out: out, secrets: secrets}
			return takePaths(ctx, run, onVolumes(windowsDefinitions(), volumesOf(h), windowsHomes(h)))
		},
	}
}

// volumesOf are the roots that patterns of Windows begin at: "" for a mounted
// host, /C: and so on for the running one.
func volumesOf(h *collect.Host) []string {
	if !h.Live {
		return []string{""}
	}
	var roots []string
	mounts, _ := h.Mounts() // without drives there is nothing, which the ledger then says
	for _, m := range mounts {
		if m.Point != "/" && m.Storage() == collect.Local {
			roots = append(roots, m.Point)
		}
	}
	return roots
}

// windowsHomes are the folders of profiles, those of services among them.
func windowsHomes(h *collect.Host) []string {
	var homes []string
	for _, root := range volumesOf(h) {
		for _, dir := range []string{"Users", "Documents and Settings"} {
			for _, path := range spelt(h, root, dir) {
				entries, _ := h.ReadDir(path) // each version of Windows has one of these
				for _, e := range entries {
					if e.Type == modeDir || e.Type == 0 {
						homes = append(homes, path+"/"+e.Name)
					}
				}
			}
		}
	}
	slices.Sort(homes)
	return homes
}

// spelt finds a folder in whatever case its name is spelt.
func spelt(h *collect.Host, root, name string) []string {
	var paths []string
	entries, _ := h.ReadDir(orRoot(root)) // the walk records why it cannot be read
	for _, e := range entries {
		if strings.EqualFold(e.Name, name) && e.Type != modeLink {
			paths = append(paths, root+"/"+e.Name)
		}
	}
	return paths
}

// onVolumes turns patterns of a volume into patterns of the host. Windows knows
// no upper and lower case, and neither do they.
func onVolumes(defs []definition, roots, homes []string) []definition {
	for _, service := range []string{
		"/Windows/ServiceProfiles/LocalService", "/Windows/ServiceProfiles/NetworkService",
		"/Windows/System32/config/systemprofile", "/Windows/SysWOW64/config/systemprofile",
	} {
		for _, root := range roots {
			homes = append(homes, root+service)
		}
	}
	for i := range defs {
		var patterns []string
		for _, p := range defs[i].patterns {
			if below, ok := strings.CutPrefix(p, "~/"); ok {
				for _, home := range homes {
					patterns = append(patterns, quoteGlob(home)+"/"+below)
				}
				continue
			}
			for _, root := range roots {
				patterns = append(patterns, root+p)
			}
		}
		defs[i].patterns, defs[i].foldCase, defs[i].quiet = patterns, true, true
	}
	return slices.DeleteFunc(defs, func(d definition) bool { return len(d.patterns) == 0 })
}

// Limits of what users can fill up.
const (
	maxRecycled   = 64 << 20
	totalRecycled = 1 << 30
)

// windowsDefinitions is the table of a Windows volume. The first that matches
// takes: secrets come before what holds them.
func windowsDefinitions() []definition {
	return slices.Concat(windowsSecrets(), windowsSystem(), windowsExecution(), windowsServers(), windowsUserFiles())
}

func windowsSecrets() []definition {
	return []definition{
		{rule: "password hashes and stored secrets of Windows", take: takeSecret, patterns: []string{
			"/Windows/System32/config/{SAM,SECURITY}", "/Windows/System32/config/{SAM,SECURITY}.{LOG,LOG1,LOG2,SAV}",
			"/Windows/System32/config/RegBack/{SAM,SECURITY}*", "/Windows/repair/{sam,security}", "/Windows/NTDS/ntds.dit", "/Windows/NTDS/*.jfm",
			"/Windows/System32/Microsoft/Protect/**", "/ProgramData/Microsoft/Crypto/**", "/ProgramData/Microsoft/Vault/**",
			"~/AppData/{Roaming,Local}/Microsoft/{Protect,Credentials,Vault,Crypto}/**",
		}},
		{rule: "stored credentials of browsers", take: takeSecret, patterns: []string{
			"~/AppData/Local/{Google/Chrome,Chromium,Microsoft/Edge,BraveSoftware/Brave-Browser,Vivaldi}/User Data/{Default,Profile *,Guest Profile}/{Login Data,Login Data For Account,Network/Cookies,Cookies,Web Data}*",
			"~/AppData/Roaming/Opera Software/*/{Login Data,Network/Cookies,Web Data}*",
			"~/AppData/Roaming/Mozilla/Firefox/Profiles/*/{logins*.json,key?.db,cookies.sqlite*}",
		}},
	}
}

func windowsSystem() []definition {
	return []definition{
		{rule: "registry hives", patterns: []string{
			"/Windows/System32/config/{SYSTEM,SOFTWARE,DEFAULT,COMPONENTS,DRIVERS,BBI,ELAM,BCD-Template,VSMIDK,userdiff}",
			"/Windows/System32/config/{SYSTEM,SOFTWARE,DEFAULT,COMPONENTS,DRIVERS,BBI,ELAM,BCD-Template}{.LOG*,.SAV,.ALT}",
			"/Windows/System32/config/*.{blf,regtrans-ms}", "/Windows/System32/config/{TxR,RegBack}/*", "/Windows/repair/{system,software,default}",
			"/Boot/BCD*", "/EFI/Microsoft/Boot/BCD*", "/Windows/AppCompat/Programs/*.hve*", "/System Volume Information/Syscache.hve*",
			"~/NTUSER.DAT*", "~/ntuser.{dat.LOG*,ini,man}", "~/AppData/Local/Microsoft/Windows/{UsrClass.dat*,usrClass.dat*}",
			"~/Local Settings/Application Data/Microsoft/Windows/UsrClass.dat*", "~/AppData/Local/Packages/*/{SystemAppData/Helium,Settings}/*.dat*",
		}},
		{rule: "event logs", patterns: []string{
			"/Windows/System32/winevt/logs/*", "/Windows/System32/config/*.Evt", "/Windows/System32/LogFiles/WMI/**", "/Windows/System32/WDI/LogFiles/**", "/ProgramData/Microsoft/Diagnosis/ETLLogs/**",
			"/ProgramData/Microsoft/Diagnosis/EventTranscript/EventTranscript.db*",
		}},
		{rule: "NTFS metadata", patterns: []string{"/$MFT", "/$LogFile", "/$Boot", "/$Secure", "/$Extend/{$UsnJrnl,$ObjId,$Reparse,$RmMetadata/$TxfLog/$Tops}", "/$AttrDef", "/$Volume"}},
		{rule: "scheduled tasks", patterns: []string{"/Windows/System32/Tasks/**", "/Windows/SysWOW64/Tasks/**", "/Windows/Tasks/**", "/Windows/{SchedLgU.txt,Tasks/SchedLgU.txt}"}},
		{rule: "startup folders", patterns: []string{
			"/ProgramData/Microsoft/Windows/Start Menu/Programs/Startup/**", "~/AppData/Roaming/Microsoft/Windows/Start Menu/Programs/Startup/**", "~/Start Menu/Programs/Startup/**",
			"/Windows/System32/GroupPolicy/**", "/ProgramData/Microsoft/Group Policy/History/**", "/Windows/{win,system}.ini", "/{autoexec.bat,config.sys}",
		}},
		{rule: "WMI repository", patterns: []string{"/Windows/System32/wbem/Repository/**", "/Windows/System32/wbem/AutoRecover/*", "/Windows/System32/wbem/Logs/*"}},
		{rule: "name resolution and network configuration", patterns: []string{"/Windows/System32/drivers/etc/*", "/ProgramData/Microsoft/Wlansvc/Profiles/**", "/ProgramData/Microsoft/Network/Connections/Pbk/*", "~/AppData/Roaming/Microsoft/Network/Connections/Pbk/*"}},
		{rule: "firewall logs", patterns: []string{"/Windows/System32/LogFiles/Firewall/*", "/Windows/pfirewall.log*"}},
		{rule: "BITS", patterns: []string{"/ProgramData/Microsoft/Network/Downloader/*"}},
		{rule: "setup and servicing logs", patterns: []string{
			"/Windows/inf/setupapi*.log", "/Windows/setupapi.log", "/Windows/Panther/{*.log,*.xml,*.etl,UnattendGC/*}", "/Windows/Logs/CBS/*", "/Windows/Logs/{DISM,DPX,MoSetup,NetSetup,WindowsUpdate,waasmedic}/*", "/Windows/{WindowsUpdate.log,PFRO.log,debug/*.log,debug/WIA/*}", "/Windows/SoftwareDistribution/{ReportingEvents.log,DataStore/**}",
		}},
		{rule: "anti-malware", patterns: []string{
			"/ProgramData/Microsoft/Windows Defender/Support/*", "/ProgramData/Microsoft/Windows Defender/Scans/History/**", "/ProgramData/Microsoft/Windows Defender/{Quarantine,LocalCopy}/**",
			"/ProgramData/{Sophos,Symantec,McAfee,ESET,Malwarebytes,Kaspersky Lab,AVAST Software,Avg,Avira,F-Secure,Trend Micro,Bitdefender,CrowdStrike,SentinelOne,Cylance}/**/*.{log,txt,evtx,db}",
		}, max: maxServiceLog},
	}
}

func windowsExecution() []definition {
	return []definition{
		{rule: "prefetch", patterns: []string{"/Windows/Prefetch/**"}},
		{rule: "application compatibility", patterns: []string{"/Windows/AppCompat/{Programs,pca,appraiser}/**", "/Windows/apppatch/{CustomSDB,Custom}/**", "/Windows/AppPatch/*.sdb"}},
		{rule: "SRUM", patterns: []string{"/Windows/System32/sru/*"}},
		{rule: "SUM", patterns: []string{"/Windows/System32/LogFiles/Sum/*"}},
		{rule: "error reports and crash dumps", patterns: []string{
			"/ProgramData/Microsoft/Windows/WER/{ReportArchive,ReportQueue}/**", "~/AppData/Local/Microsoft/Windows/WER/{ReportArchive,ReportQueue}/**", "~/AppData/Local/CrashDumps/*", "/Windows/Minidump/*", "/Windows/MEMORY.DMP", "/Windows/LiveKernelReports/**",
		}, max: maxCoreDump, total: totalCoreDumps},
		{rule: "search index", patterns: []string{"/ProgramData/Microsoft/Search/Data/Applications/Windows/{*.edb,*.db*,*.gthr,*.jcp}", "~/AppData/Roaming/Microsoft/Search/Data/Applications/*/*.{edb,db}*"}, max: maxServiceLog},
	}
}

func windowsServers() []definition {
	return []definition{
		{rule: "IIS", patterns: []string{"/inetpub/logs/**", "/inetpub/{history,temp/appPools}/**", "/Windows/System32/LogFiles/{W3SVC,HTTPERR,SMTPSVC,FTPSVC,MSFTPSVC}*/**", "/Windows/System32/inetsrv/config/*"}, max: maxServiceLog},
		{rule: "Exchange and SQL server logs", patterns: []string{
			"/Program Files/Microsoft/Exchange Server/*/Logging/{Ews,HttpProxy,Ecp,OWA,Autodiscover,CmdletInfra/Powershell-Proxy}/**", "/Program Files/Microsoft SQL Server/*/MSSQL/Log/{ERRORLOG*,*.trc,*.xel}",
		}, max: maxServiceLog},
		{rule: "DNS and DHCP server logs", patterns: []string{"/Windows/System32/dns/{*.log,*.dns}", "/Windows/System32/dhcp/*"}, max: maxServiceLog},
		{rule: "remote administration logs", patterns: []string{
			"/ProgramData/{AnyDesk,TeamViewer,ScreenConnect*,LogMeIn,RustDesk,Splashtop,Atera*,Kaseya,NinjaRMMAgent,dwagent}/**/*.{log,trace,txt,conf}", "~/AppData/Roaming/{AnyDesk,TeamViewer,RustDesk}/**/*.{log,trace,txt,conf}",
			"/Program Files{, (x86)}/{TeamViewer,AnyDesk,DWAgent,ATERA Networks}/**/*.{log,txt}", "/ProgramData/ssh/{sshd_config,administrators_authorized_keys,logs/*}",
		}, max: maxServiceLog},
		{rule: "logs of web servers", patterns: []string{"/{xampp,wamp*,Apache*,nginx*}/**/logs/*", "/Program Files{, (x86)}/{Apache*,nginx*}/**/logs/*"}, max: maxServiceLog},
	}
}

func windowsUserFiles() []definition {
	return []definition{
		{rule: "PowerShell history", patterns: []string{"~/AppData/Roaming/Microsoft/Windows/PowerShell/PSReadLine/*", "~/Documents/{PowerShell,WindowsPowerShell}/*profile.ps1", "/Windows/System32/WindowsPowerShell/v1.0/{profile,*_profile}.ps1", "~/Documents/[0-9]*/PowerShell_transcript*", "~/Documents/PowerShell_transcript*"}},
		{rule: "recent files and jump lists", patterns: []string{"~/AppData/Roaming/Microsoft/Windows/Recent/**", "~/Recent/*", "~/AppData/Roaming/Microsoft/Office/Recent/*", "~/{Desktop,OneDrive/Desktop}/*.lnk", "~/AppData/Roaming/Microsoft/Internet Explorer/Quick Launch/**", "/ProgramData/Microsoft/Windows/Start Menu/Programs/**/*.lnk"}},
		{rule: "timeline and notifications", patterns: []string{"~/AppData/Local/ConnectedDevicesPlatform/**", "~/AppData/Local/Microsoft/Windows/Notifications/*", "~/AppData/Local/Microsoft/Windows/{Clipboard,ActionCenterCache,Explorer}/**", "~/AppData/Local/Packages/Microsoft.MicrosoftStickyNotes*/LocalState/*", "~/AppData/Local/Packages/Microsoft.WindowsNotepad*/LocalState/**"}, max: maxUserFile},
		{rule: "remote desktop", patterns: []string{"~/AppData/Local/Microsoft/Terminal Server Client/Cache/*", "~/Documents/*.rdp", "~/{Desktop,Downloads}/*.rdp", "~/Local Settings/Application Data/Microsoft/Terminal Server Client/Cache/*"}},
		{rule: "recycle bin", patterns: []string{"/$Recycle.Bin/**", "/RECYCLER/**", "/RECYCLED/**"}, max: maxRecycled, total: totalRecycled},
		{rule: "browsers", patterns: []string{
			"~/AppData/Local/{Google/Chrome,Chromium,Microsoft/Edge,BraveSoftware/Brave-Browser,Vivaldi}/User Data/{Local State,*/History*,*/Archived History*,*/Top Sites*,*/Bookmarks*,*/Visited Links,*/Shortcuts*,*/Favicons*,*/Preferences,*/Secure Preferences,*/Network Action Predictor*,*/Current Session,*/Current Tabs,*/Last Session,*/Last Tabs,*/Sessions/*,*/DownloadMetadata,*/Extensions/*/*/manifest.json}",
			"~/AppData/Roaming/Opera Software/*/{History,Bookmarks,Preferences,Visited Links,Sessions/*}*",
			"~/AppData/Roaming/Mozilla/Firefox/{profiles.ini,installs.ini}", "~/AppData/Roaming/Mozilla/Firefox/Profiles/*/{places,favicons,formhistory,permissions,downloads,webappsstore,content-prefs}.sqlite*",
			"~/AppData/Roaming/Mozilla/Firefox/Profiles/*/{prefs.js,user.js,extensions.json,addons.json,handlers.json,search.json*,sessionstore*,sessionstore-backups/*,bookmarkbackups/*,times.json,compatibility.ini}",
			"~/AppData/Local/Microsoft/Windows/{WebCache/*,History/**,INetCookies/**}", "~/AppData/Local/Microsoft/Internet Explorer/Recovery/**", "~/{Local Settings/History,Cookies}/**/index.dat",
		}, max: maxServiceLog},
		{rule: "cloud storage clients", patterns: []string{"~/AppData/Local/Microsoft/OneDrive/{logs,settings}/**", "~/AppData/Local/Google/DriveFS/**/{*.db*,*.log,*.txt}", "~/AppData/{Roaming,Local}/Dropbox/{info.json,host.db*,instance*/*.db*}", "~/AppData/Roaming/{FileZilla,WinSCP,rclone}*/**"}, max: maxUserFile},
		{rule: "SSH of users", patterns: []string{"~/.ssh/**", "~/.putty/**"}, take: takeUnlessSecret, max: maxUserFile},
		{rule: "mail stores", patterns: []string{"~/AppData/Local/Microsoft/Outlook/*.{ost,nst}", "~/Documents/Outlook Files/*.pst", "~/AppData/Roaming/Thunderbird/Profiles/*/{global-messages-db.sqlite,prefs.js}"}, max: maxUserFile},
		{rule: "programs in temporary and public folders", patterns: []string{
			"/Windows/Temp/**/*.{exe,dll,sys,ps1,bat,cmd,vbs,js,hta,scr,com,msi,jar,py,lnk}", "~/AppData/Local/Temp/**/*.{exe,dll,sys,ps1,bat,cmd,vbs,js,hta,scr,com,msi,jar,py,lnk}", "/Users/Public/**/*.{exe,dll,sys,ps1,bat,cmd,vbs,js,hta,scr,com,msi,jar,py,lnk}",
			"/{ProgramData,PerfLogs}/*.{exe,dll,sys,ps1,bat,cmd,vbs,js,hta,scr,com,msi,jar,py,lnk}",
		}, max: maxTemporary, total: totalTemporary},
		{rule: "subsystem for Linux", patterns: []string{"~/AppData/Local/Packages/*/LocalState/rootfs/{etc/passwd,etc/os-release,home/*/.*history,root/.*history,var/log/*}"}, max: maxUserFile},
	}
}
