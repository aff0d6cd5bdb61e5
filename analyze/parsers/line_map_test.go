package parsers

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestApacheError(t *testing.T) { parsertest.Run(t, apacheError, "testdata/apache_error") }

func TestNginxError(t *testing.T) { parsertest.Run(t, nginxError, "testdata/nginx_error") }

func TestTomcatLog(t *testing.T) { parsertest.Run(t, tomcatLog, "testdata/tomcat_log") }

// One engine reads all of them: the maps differ, not the code that meets
// hostile input. The first joins lines, the second does not.
func FuzzLineMap(f *testing.F) { parsertest.Fuzz(f, tomcatLog, "testdata/tomcat_log") }

func BenchmarkApacheError(b *testing.B) {
	line := []byte("[Sat Jul 20 21:39:11.978080 2013] [auth_basic:error] [pid 17512:tid 140123053950720] [client 203.0.113.7:51390] AH01617: user alice: authentication failure for \"/basic/file\": Password Mismatch\n")
	parsertest.Bench(b, apacheError, parsertest.Sample{Name: "error.log", Data: bytes.Repeat(line, 50_000)})
}

func BenchmarkNginxError(b *testing.B) {
	line := []byte("2025/08/01 04:24:17 [error] 4772#4772: *68 open() \"/var/www/html/favicon.ico\" failed (2: No such file or directory), client: 203.0.113.7, server: www.example.test, request: \"GET /favicon.ico HTTP/1.1\", host: \"198.51.100.4\"\n")
	parsertest.Bench(b, nginxError, parsertest.Sample{Name: "error.log", Data: bytes.Repeat(line, 50_000)})
}

// A file of the corpus: how many events and problems it has, and how many of
// the lines for which fail2ban's own tests name the host that is to blame name
// that host as their source.
type lineCorpus struct {
	file             string
	parser           analyze.Parser
	events, problems int
	blamed, agreed   int
}

func testLineCorpus(t *testing.T, cases []lineCorpus) {
	t.Helper()
	hosts := map[string]map[int64]string{}
	for _, row := range corpusRows(t, "linux.fail2ban.fail2ban_test.jsonl.gz") {
		of := map[int64]string{}
		for _, a := range row["asserted"].([]any) {
			a := a.(map[string]any)
			if host, _ := a["host"].(string); host != "" && a["match"] == true {
				of[int64(a["line"].(float64))] = host
			}
		}
		hosts[row["path"].(string)] = of
	}
	for _, c := range cases {
		data, err := os.ReadFile(filepath.Join(testenv.Corpus(t), filepath.FromSlash(c.file)))
		if err != nil {
			t.Fatal(err)
		}
		res := parsertest.Parse(t, c.parser, parsertest.Sample{Name: filepath.Base(c.file), Data: data})
		got := lineCorpus{events: len(res.Events), problems: len(res.Problems)}
		for _, ev := range res.Events {
			host := hosts[c.file][ev.Line]
			if host == "" {
				continue
			}
			name, _ := ev.Attr("src_host")
			got.blamed++
			if strings.EqualFold(ev.SrcIP, host) || name == host {
				got.agreed++
			} else {
				t.Logf("%s line %d: %q, fail2ban blames %s: %s", c.file, ev.Line, ev.SrcIP, host, ev.Message)
			}
		}
		if got.events != c.events || got.problems != c.problems || got.blamed != c.blamed || got.agreed != c.agreed {
			t.Errorf("%s: %d events, %d problems, %d hosts of which %d agree; want %d, %d, %d, %d; problems %v",
				c.file, got.events, got.problems, got.blamed, got.agreed, c.events, c.problems, c.blamed, c.agreed, res.Problems)
		}
	}
}

func TestLineMapsOnTheCorpus(t *testing.T) {
	testLineCorpus(t, []lineCorpus{
		{"web/loghub_apache/loghub/part1__Apache_2k.log", apacheError, 1000, 0, 0, 0},
		{"linux/fail2ban/fail2ban/apache-auth", apacheError, 45, 1, 41, 37}, // four lines are of syslog
		{"linux/fail2ban/fail2ban/apache-noscript", apacheError, 13, 0, 13, 13},
		{"linux/fail2ban/fail2ban/apache-botsearch", apacheError, 19, 0, 17, 17},
		{"linux/fail2ban/fail2ban/zoneminder", apacheError, 3, 0, 3, 3},
		{"web/hub_web/hub/modsecurity-logs.log", apacheError, 13, 0, 0, 0},
		{"linux/fail2ban/fail2ban/nginx-limit-req", nginxError, 8, 0, 8, 7}, // the last line is of syslog
		{"web/hub_web/hub/modsecurity-logs-nginx.log", nginxError, 8, 0, 0, 0},
		{"linux/vsftpd/plaso/part1__vsftpd.log", vsftpdLog, 13, 0, 0, 0},
		{"linux/fail2ban/fail2ban/exim", eximLog, 50, 0, 47, 45}, // two lines are of syslog
		{"linux/fail2ban/fail2ban/exim-spam", eximLog, 8, 0, 8, 8},
		{"linux/hub_linux/hub/bind9-logs.log", namedLog, 13, 1, 0, 0},   // two lines have no time
		{"linux/fail2ban/fail2ban/postfix", linuxSyslog, 63, 1, 58, 58}, // the problem of these: nothing states a year
		{"linux/fail2ban/fail2ban/sendmail-auth", linuxSyslog, 13, 1, 13, 13},
		{"linux/fail2ban/fail2ban/sendmail-reject", linuxSyslog, 45, 1, 37, 34}, // three lines have a priority word where the host belongs
		{"linux/fail2ban/fail2ban/cyrus-imap", linuxSyslog, 10, 1, 10, 10},
		{"linux/fail2ban/fail2ban/courier-auth", linuxSyslog, 6, 1, 6, 6},
		{"linux/fail2ban/fail2ban/uwimap-auth", linuxSyslog, 6, 1, 6, 6},
		{"linux/fail2ban/fail2ban/proftpd", linuxSyslog, 10, 0, 10, 10},
		{"linux/fail2ban/fail2ban/pure-ftpd", linuxSyslog, 1, 1, 1, 1},
		{"linux/fail2ban/fail2ban/wuftpd", linuxSyslog, 3, 1, 3, 3},
		{"linux/fail2ban/fail2ban/named-refused", linuxSyslog, 15, 0, 15, 9}, // six lines are not of syslog
		{"linux/fail2ban/fail2ban/haproxy-http-auth", linuxSyslog, 4, 1, 3, 3},
		{"web/atlassian/plaso/atlassian-bitbucket.log", log4jLog, 6, 0, 0, 0},
		{"web/atlassian/plaso/atlassian-confluence.log", log4jLog, 4, 0, 0, 0},
		{"web/atlassian/plaso/atlassian-bitbucket-access.log", bitbucketAccess, 8, 0, 0, 0},
		{"web/atlassian/plaso/atlassian-bitbucket-audit.log", bitbucketAudit, 5, 0, 0, 0},
		{"web/atlassian/plaso/confluence_access.log", confluenceAccess, 3, 0, 0, 0},
		{"linux/loghub_hadoop/loghub/part1__Hadoop_2k.log", log4jLog, 1000, 0, 0, 0},
		{"linux/loghub_zookeeper/loghub/part1__Zookeeper_2k.log", log4jLog, 1000, 0, 0, 0},
		{"linux/hub_linux/hub/openvpn.log", openvpnLog, 24, 0, 0, 0},
		{"linux/fail2ban/fail2ban/asterisk", asteriskLog, 47, 3, 47, 42}, // three are of syslog, one imitates an address
		{"linux/hub_linux/hub/asterisk-logs.log", asteriskLog, 4, 1, 0, 0},
		{"web/hub_web/hub/nextcloud-logs.log", nextcloudLog, 5, 0, 0, 0},
		{"linux/fail2ban/fail2ban/openvpn", linuxSyslog, 20, 1, 8, 8},
		{"linux/fail2ban/fail2ban/webmin-auth", linuxSyslog, 3, 1, 3, 3},
		{"linux/fail2ban/fail2ban/roundcube-auth", linuxSyslog, 10, 2, 10, 2}, // the others imitate an address or are of another log
		{"linux/hub_linux/hub/pf-logs.log", linuxSyslog, 9, 0, 0, 0},
		{"linux/hub_linux/hub/proxmox-logs.log", linuxSyslog, 21, 1, 0, 0},
		{"linux/postgresql/plaso/postgresql.log", postgresqlLog, 20, 0, 0, 0},
		{"linux/hub_linux/hub/pgsql-logs.log", postgresqlLog, 6, 0, 0, 0},
		{"linux/hub_linux/hub/mongodb-logs.log", mongodbLog, 2, 0, 0, 0},
		{"linux/fail2ban/fail2ban/mysqld-auth", mysqlError, 17, 2, 16, 11}, // four lines are of syslog, one has no form of the server
	})
}

func TestPostgreSQLLog(t *testing.T) { parsertest.Run(t, postgresqlLog, "testdata/postgresql_log") }

func TestPostgreSQLCSV(t *testing.T) { parsertest.Run(t, postgresqlCSV, "testdata/postgresql_csv") }

func TestPostgreSQLJSON(t *testing.T) { parsertest.Run(t, postgresqlJSON, "testdata/postgresql_json") }

func TestMySQLError(t *testing.T) { parsertest.Run(t, mysqlError, "testdata/mysql_error") }

func TestMySQLGeneral(t *testing.T) { parsertest.Run(t, mysqlGeneral, "testdata/mysql_general") }

func TestMySQLSlow(t *testing.T) { parsertest.Run(t, mysqlSlow, "testdata/mysql_slow") }

func TestRedisLog(t *testing.T) { parsertest.Run(t, redisLog, "testdata/redis_log") }

func TestMongoDBLog(t *testing.T) { parsertest.Run(t, mongodbLog, "testdata/mongodb_log") }

func FuzzFieldMapLines(f *testing.F) { parsertest.Fuzz(f, postgresqlCSV, "testdata/postgresql_csv") }

func FuzzLineMapAgain(f *testing.F) { parsertest.Fuzz(f, mysqlSlow, "testdata/mysql_slow") }

// Patterns are compiled when they are first needed; here all of them are.
func TestPatternsOfEveryMapAreGood(t *testing.T) {
	for _, m := range []*lineMap{apacheErrorMap, nginxErrorMap, tomcatMap, postgresqlMap, mysqlErrorMap, mysqlGeneralMap, mysqlSlowMap, redisMap, vsftpdMap, xferlogMap, eximMap, fail2banMap, cloudInitMap, sambaMap, namedMap, log4jMap, asteriskMap, confluenceAccessMap, openvpnMap} {
		m.prepare()
		if len(m.ready) == 0 {
			t.Errorf("%s has no forms", m.dataType)
		}
	}
	for program, m := range servicesByProgram {
		if (m.special == nil) != (len(m.lists) > 0) {
			t.Errorf("%s has both rules and a reader, or none", program)
		}
		for _, list := range m.lists {
			if len(list.rules()) == 0 {
				t.Errorf("%s has an empty list of rules", program)
			}
		}
	}
}

func TestVsftpdLog(t *testing.T) { parsertest.Run(t, vsftpdLog, "testdata/vsftpd_log") }

func TestXferlog(t *testing.T) { parsertest.Run(t, xferlog, "testdata/xferlog") }

func TestEximLog(t *testing.T) { parsertest.Run(t, eximLog, "testdata/exim_log") }

func TestFail2banLog(t *testing.T) { parsertest.Run(t, fail2banLog, "testdata/fail2ban_log") }

func TestCloudInit(t *testing.T) { parsertest.Run(t, cloudInit, "testdata/cloud_init") }

func TestSambaLog(t *testing.T) { parsertest.Run(t, sambaLog, "testdata/samba_log") }

func TestNamedLog(t *testing.T) { parsertest.Run(t, namedLog, "testdata/named_log") }

func TestLog4jLog(t *testing.T) { parsertest.Run(t, log4jLog, "testdata/log4j_log") }

func TestBitbucketAccess(t *testing.T) {
	parsertest.Run(t, bitbucketAccess, "testdata/bitbucket_access")
}

func TestBitbucketAudit(t *testing.T) { parsertest.Run(t, bitbucketAudit, "testdata/bitbucket_audit") }

func TestConfluenceAccess(t *testing.T) {
	parsertest.Run(t, confluenceAccess, "testdata/confluence_access")
}

func TestOpenVPNLog(t *testing.T) { parsertest.Run(t, openvpnLog, "testdata/openvpn_log") }

func TestAsteriskLog(t *testing.T) { parsertest.Run(t, asteriskLog, "testdata/asterisk_log") }

func TestNextcloudLog(t *testing.T) { parsertest.Run(t, nextcloudLog, "testdata/nextcloud_log") }

func BenchmarkPostgreSQLLog(b *testing.B) {
	lines := []byte("2024-05-14 09:32:01.000 CEST [9160] app@shop LOG:  statement: SELECT id, name, price FROM products WHERE category = 7 ORDER BY price\n" +
		"2024-05-14 09:32:02.000 CEST [9160] app@shop LOG:  duration: 12.345 ms  statement: SELECT 1\n\tFROM t;\n")
	parsertest.Bench(b, postgresqlLog, parsertest.Sample{Name: "postgresql.log", Data: bytes.Repeat(lines, 25_000)})
}

func BenchmarkEximLog(b *testing.B) {
	lines := []byte("2024-05-14 09:30:10 1s6m2g-0001AB-2C <= alice@example.test H=mail.example.test (helo.example.test) [203.0.113.7]:40000 I=[10.0.0.5]:25 P=esmtps X=TLS1.3:TLS_AES_256_GCM_SHA384:256 S=1234 id=1@example.test\n" +
		"2024-05-14 09:31:05 [814] H=(x) [203.0.113.9]:3755 I=[10.0.0.5]:25 F=<eve@example.test> rejected RCPT <dir@example.net>: relay not permitted\n")
	parsertest.Bench(b, eximLog, parsertest.Sample{Name: "mainlog", Data: bytes.Repeat(lines, 25_000)})
}
