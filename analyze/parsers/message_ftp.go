package parsers

// proftpdMessages are those of ProFTPD: SERVER (NAME[ADDRESS]), a hyphen or a
// colon, and what happened in that session.
//
// Format: ProFTPD, src/log.c, modules/mod_auth.c.
var proftpdMessages = messages(ftpMessage, []string{"proftpd"}, []lineRule{
	{pattern: "{server:word} ({client}[{src_ip}]){_}"},
}, []lineRule{
	{pattern: "{_:word} ({_}){_:=: | - }USER {user:last}: no such user found{_}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "{_:word} ({_}){_:=: | - }USER {user:last} (Login failed): {reason}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "{_:word} ({_}){_:=: | - }{_:=USER|ANON} {user:last}: Login successful{_}", action: "user-login", category: "authentication", outcome: "success"},
	{pattern: "{_:word} ({_}){_:=: | - }SECURITY VIOLATION: {user:word} login attempted{_}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "{_:word} ({_}){_:=: | - }Maximum login attempts ({_}", action: "login-limit-reached", category: "authentication", outcome: "failure"},
	{pattern: "{_:word} ({_}){_:=: | - }FTP session opened.", action: "session-started", category: "session"},
	{pattern: "{_:word} ({_}){_:=: | - }FTP session closed.", action: "session-ended", category: "session"},
})

// pureftpdMessages are those of Pure-FTPd: (USER@ADDRESS) [LEVEL] and what
// happened.
//
// Format: Pure-FTPd, src/ftpd.c, src/log_*.c, messages_en.h.
var pureftpdMessages = messages(ftpMessage, []string{"pure-ftpd"}, []lineRule{
	{pattern: "({session_user}@{src_ip}) [{level:word}] {_}"},
}, []lineRule{
	{pattern: "({_}) [WARNING] Authentication failed for user [{user:last}]", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "({_}) [INFO] {user:last} is now logged in", action: "user-login", category: "authentication", outcome: "success"},
	{pattern: "({_}) [INFO] New connection from {_}", action: "connection-opened", category: "network"},
	{pattern: "({_}) [INFO] Logout.", action: "session-ended", category: "session"},
	{pattern: "({_}) [NOTICE] {file:last} uploaded{ }({size:int} bytes{_}", action: "file-uploaded", category: "file", outcome: "success"},
	{pattern: "({_}) [NOTICE] {file:last} downloaded{ }({size:int} bytes{_}", action: "file-downloaded", category: "file", outcome: "success"},
	{pattern: "({_}) [NOTICE] Deleted {file}", action: "file-deleted", category: "file", outcome: "success"},
})

// wuftpdMessages are the refused logins of WU-FTPD.
var wuftpdMessages = messages(ftpMessage, []string{"wu-ftpd", "in.ftpd", "ftpd"}, []lineRule{
	{pattern: "failed login from {client:word} [{src_ip}]", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "FTP LOGIN FROM {client:word} [{src_ip}], {user}", action: "user-login", category: "authentication", outcome: "success"},
})

// vsftpdMessages are those of vsftpd, in syslog as in its own log.
var vsftpdMessages = messages(ftpMessage, []string{"vsftpd"}, vsftpdRules)

// vsftpdRules read the message behind the process number.
//
// Format: vsftpd, logging.c, vsf_log_do_log_vsftpd_format. File names are the
// client's; the address stands before them, and behind the account's name,
// which may imitate it.
var vsftpdRules = []lineRule{
	{pattern: "CONNECT: Client \"{src_ip}\"{_}", action: "connection-opened", category: "network", once: []string{": Client \""}},
	{pattern: "[{user}] OK LOGIN: Client \"{src_ip}\"{_}", action: "user-login", category: "authentication", outcome: "success", once: []string{": Client \""}},
	{pattern: "[{user}] FAIL LOGIN: Client \"{src_ip}\"{_}", action: "user-login", category: "authentication", outcome: "failure", once: []string{": Client \""}},
	{pattern: "[{user}] OK UPLOAD: Client \"{src_ip}\", \"{file:last}\", {size:int} bytes{_}", action: "file-uploaded", category: "file", outcome: "success", once: []string{": Client \""}},
	{pattern: "[{user}] OK DOWNLOAD: Client \"{src_ip}\", \"{file:last}\", {size:int} bytes{_}", action: "file-downloaded", category: "file", outcome: "success", once: []string{": Client \""}},
	{pattern: "[{user}] FAIL UPLOAD: Client \"{src_ip}\", \"{file:last}\"{_}", action: "file-uploaded", category: "file", outcome: "failure", once: []string{": Client \""}},
	{pattern: "[{user}] FAIL DOWNLOAD: Client \"{src_ip}\", \"{file:last}\"{_}", action: "file-downloaded", category: "file", outcome: "failure", once: []string{": Client \""}},
	{pattern: "[{user}] OK DELETE: Client \"{src_ip}\", \"{file:last}\"{_}", action: "file-deleted", category: "file", outcome: "success", once: []string{": Client \""}},
	{pattern: "[{user}] OK MKDIR: Client \"{src_ip}\", \"{file:last}\"{_}", action: "directory-created", category: "file", outcome: "success", once: []string{": Client \""}},
	{pattern: "[{user}] OK RMDIR: Client \"{src_ip}\", \"{file:last}\"{_}", action: "directory-deleted", category: "file", outcome: "success", once: []string{": Client \""}},
	{pattern: "[{user}] OK RENAME: Client \"{src_ip}\", \"{file}\"{_}", action: "file-renamed", category: "file", outcome: "success", once: []string{": Client \""}},
	{pattern: "[{user}] {_:=OK} {command:word}: Client \"{src_ip}\"{_}", action: "ftp-command", category: "file", outcome: "success", once: []string{": Client \""}},
	{pattern: "[{user}] {_:=FAIL} {command:word}: Client \"{src_ip}\"{_}", action: "ftp-command", category: "file", outcome: "failure", once: []string{": Client \""}},
	{pattern: "[{user}] FTP {_:=command|response}: Client \"{src_ip}\", {text:quoted}", action: "ftp-command", category: "network", once: []string{": Client \""}},
	{pattern: "FTP {_:=command|response}: Client \"{src_ip}\", {text:quoted}", action: "ftp-command", category: "network", once: []string{": Client \""}},
}
