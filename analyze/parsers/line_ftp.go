package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// vsftpdLog reads vsftpd's own log. Times are local without zone.
//
// Format: vsftpd.conf(5), vsftpd_log_file.
var vsftpdLog = register(analyze.Parser{
	Name:    "vsftpd_log",
	Doc:     "logs of vsftpd",
	Version: 2,
	Family:  "text",
	Types:   []string{"vsftpd:log"},
	Match:   vsftpdMap.matches,
	Parse:   vsftpdMap.parse,
})

var vsftpdMap = &lineMap{
	dataType: "vsftpd:log", short: "LOG", source: "vsftpd log", desc: "Added Time",
	forms: []lineForm{
		{pattern: "{time:ctime} [pid {pid:int}] {message}"},
	},
	rules: [][]lineRule{vsftpdRules},
}

// xferlog reads transfer logs of FTP servers: vsftpd, ProFTPD, WU-FTPD,
// Pure-FTPd. The time is that of the end of the transfer, local without zone;
// blanks in names are written as underscores.
//
// Format: xferlog(5).
var xferlog = register(analyze.Parser{
	Name:    "xferlog",
	Doc:     "transfer logs of FTP servers",
	Version: 1,
	Family:  "text",
	Types:   []string{"ftp:xferlog:entry"},
	Match:   xferlogMap.matches,
	Parse:   xferlogMap.parse,
})

var xferlogMap = &lineMap{
	dataType: "ftp:xferlog:entry", short: "LOG", source: "FTP transfer log", desc: "End Time",
	forms: []lineForm{
		{pattern: "{time:ctime} {seconds:int} {src_ip:word} {size:int} {file:word} {type:=a|b} {special:=C|U|T|_} {direction:=o|i|d} {access:=a|g|r} {user:word} {service:word} {authentication:=0|1} {authenticated_user:word} {completion:=c|i}", category: "file"},
	},
	rules: [][]lineRule{
		{
			{in: "direction", pattern: "o", action: "file-downloaded"},
			{in: "direction", pattern: "i", action: "file-uploaded"},
			{in: "direction", pattern: "d", action: "file-deleted"},
		},
		{
			{in: "completion", pattern: "c", outcome: "success"},
			{in: "completion", pattern: "i", outcome: "failure"},
		},
	},
}
