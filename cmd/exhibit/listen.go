package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/collect/sink/receiver"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/internal/wire"
)

// IncomingDir is the folder of a case for streams that are on their way.
const IncomingDir = "incoming"

func listenCommand() *cli.Command {
	return &cli.Command{
		Name: "receive", Usage: "take bundles into the case as collectors send them, and sign for each", Category: catCustody,
		Description: "Example:\n   exhibit receive --listen :7443 --client kit.pub\n" +
			"   exhibit-collector -o exhibit://lab:7443 --server-key SHA256:… --client-key kit     (on the host)\n\n" +
			"Prints the fingerprint that collectors must be given as --server-key. Only keys that --client names may send,\n" +
			"and the one-time keys of delegated orders of this case, which the order brings along. What a host that\n" +
			"died has sent stays in incoming/: exhibit recover saves it. docs/format/receive.md is the protocol.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "listen", Value: ":7443", Usage: "listen on this `ADDRESS`"},
			&cli.StringSliceFlag{Name: "client", Usage: "Ed25519 keys that may send: public key `FILE`, one a line, or SHA256:… (repeatable)"},
			&cli.StringFlag{Name: "server-key-file", Usage: "Ed25519 private key `FILE` of this server; made where it is missing", DefaultText: "exhibit/receive_key in your configuration folder"},
			&cli.StringFlag{Name: "max-size", Usage: "refuse streams over this `SIZE`, for example 200G"},
			&cli.BoolFlag{Name: "once", Usage: "end after the first bundle"},
		},
		Action: runListen,
	}
}

func runListen(c *cli.Context) error {
	if c.NArg() > 0 {
		return command.Failf(command.Usage, "a bundle on a medium is taken in with: exhibit custody receive BUNDLE", "receive takes no argument, got %q", c.Args().First())
	}
	limit, err := gathering.ParseSize(c.String("max-size"))
	if err != nil {
		return err
	}
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	id, err := signerFor(c, cs)
	if err != nil {
		return err
	}
	clients, err := readClients(c.StringSlice("client"))
	if err != nil {
		return err
	}
	key, err := serverKey(c.String("server-key-file"))
	if err != nil {
		return keyError(err)
	}
	l, err := net.Listen("tcp", c.String("listen"))
	if err != nil {
		return command.Fail(command.Failure, "--listen wants ADDRESS:PORT of this machine, with a port that is free", err)
	}
	defer l.Close()
	ctx, stop := context.WithCancel(c.Context)
	defer stop()
	d := &desk{c: c, cs: cs, id: id}
	if err := d.announce(l.Addr().String(), wire.Fingerprint(key.Public().(ed25519.PublicKey))); err != nil {
		return err
	}
	s := &receiver.Server{
		Dir: cs.Path(IncomingDir), Key: key, MaxSize: limit, Take: d.take,
		Allow: func(fp string) bool { return clients[fp] || orderedKey(cs, fp) },
		Log:   slog.New(slog.NewTextHandler(inertWriter{c.App.ErrWriter}, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	if c.Bool("once") {
		s.Taken = stop
	}
	if err := s.Serve(ctx, l); err != nil {
		return err
	}
	return context.Cause(c.Context)
}

// inertWriter writes the log, whose lines quote what clients say.
type inertWriter struct{ w io.Writer }

func (i inertWriter) Write(p []byte) (int, error) {
	_, err := fmt.Fprintln(i.w, term.Escape(strings.TrimSuffix(string(p), "\n")))
	return len(p), err
}

// readClients reads who may send.
func readClients(list []string) (map[string]bool, error) {
	all := map[string]bool{}
	for _, arg := range list {
		if strings.HasPrefix(arg, "SHA256:") {
			all[arg] = true
			continue
		}
		text, err := os.ReadFile(arg)
		if err != nil {
			return nil, command.Fail(command.Usage, "--client wants a public key file, or the SHA256:… that ssh-keygen -lf prints of it", err)
		}
		for len(text) > 0 {
			key, _, _, rest, err := ssh.ParseAuthorizedKey(text)
			if err != nil {
				break // comments and empty lines at the end
			}
			if key.Type() != ssh.KeyAlgoED25519 {
				return nil, command.Failf(command.Usage, "make one with: exhibit key new FILE --id collector@lab", "%s has a key of type %s: only Ed25519 keys can send", arg, key.Type())
			}
			all[chainofcustody.Fingerprint(key)] = true
			text = rest
		}
	}
	if len(list) > 0 && len(all) == 0 {
		return nil, command.Failf(command.Usage, "a line is 'ssh-ed25519 AAAA…', as in a .pub file", "--client names no key")
	}
	return all, nil
}

// serverKey reads this server's key, and makes it at the first time. It is
// not the key that signs: it only tells collectors whom they talk to.
func serverKey(path string) (ed25519.PrivateKey, error) {
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, command.Fail(command.WrongKey, "name a file with --server-key-file", err)
		}
		path = filepath.Join(dir, "exhibit", "receive_key")
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		if _, err := chainofcustody.NewKeyFile(path, "exhibit receive", nil); err != nil {
			return nil, err
		}
	}
	return sink.ReadEd25519(path)
}

// orderedKey reports whether a key is the one-time key of a delegated order of
// the case that holds now.
func orderedKey(cs *chainofcustody.Case, fingerprint string) bool {
	signers, err := cs.Signers()
	if err != nil {
		return false
	}
	paths, err := filepath.Glob(filepath.Join(cs.Dir(), chainofcustody.OrdersDir, "*.json"))
	if err != nil {
		return false
	}
	for _, path := range paths {
		file, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		sig, err := os.ReadFile(path + ".sig")
		if err != nil {
			continue
		}
		o, by, err := chainofcustody.VerifyOrder(file, sig)
		if err != nil || o.Key != fingerprint || time.Now().Before(o.NotBefore) || time.Now().After(o.NotAfter) {
			continue
		}
		if _, err := signers.Lookup(by, chainofcustody.NamespaceOrder, o.Issued); err == nil {
			return true
		}
	}
	return false
}

// desk is where bundles are signed for.
type desk struct {
	c  *cli.Context
	cs *chainofcustody.Case
	id *chainofcustody.Identity
}

// announce says where to send to, and what an earlier run was left with.
func (d *desk) announce(addr, fp string) error {
	left, err := receiver.Unfinished(d.cs.Path(IncomingDir))
	if err != nil {
		return err
	}
	for _, u := range left {
		fmt.Fprintf(d.c.App.ErrWriter, "never ended: %s, %s from %s at %s; exhibit recover saves it\n", term.Escape(u.Path), term.Size(u.Size), term.Escape(u.From), term.Escape(u.Began))
	}
	if d.c.Bool("json") {
		return command.JSON(d.c.App.Writer, map[string]string{"listen": addr, "server_key": fp})
	}
	_, err = fmt.Fprintf(d.c.App.Writer, "listening on %s; collectors need: --server-key %s\n", addr, fp)
	return err
}

// take verifies a stream, copies it into the case and signs for it.
func (d *desk) take(ctx context.Context, u *receiver.Upload) (*wire.Signed, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	note := fmt.Sprintf("sent by the key %s from %s, upload %s, begun %s", u.Client, u.From, u.ID, u.Began)
	t, err := takeIn(d.c, d.cs, d.id, u.Path, note)
	if err != nil {
		return nil, err
	}
	file := d.cs.Path(chainofcustody.CustodyDir, t.exhibit, t.event.File)
	event, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	sig, err := os.ReadFile(file + ".sig")
	if err != nil {
		return nil, err
	}
	if err := t.print(d.c); err != nil {
		return nil, err
	}
	return &wire.Signed{Exhibit: t.exhibit, Verdict: string(t.rep.Verdict), Event: string(event), Signature: string(sig)}, nil
}
