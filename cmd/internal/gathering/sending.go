package gathering

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

const factUnsent = "output_refused" // option of a bundle's header

func sendFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "fallback", Usage: "write to `FILE` what a broken link to another machine does not take"},
		&cli.DurationFlag{Name: "patience", Value: sink.DefaultPatience, Usage: "`TIME` for which a broken link is taken up again"},
		&cli.StringFlag{Name: "ssh-key", Usage: "sftp: private key `FILE`", DefaultText: "the agent, then ~/.ssh/id_*"},
		&cli.StringSliceFlag{Name: "known-hosts", Usage: "sftp: `FILE` with the server's key (repeatable)", DefaultText: "those of OpenSSH"},
		&cli.StringFlag{Name: "server-key", Usage: "exhibit: `SHA256:…` that exhibit receive printed"},
		&cli.StringFlag{Name: "client-key", Usage: "exhibit: Ed25519 private key `FILE` that exhibit receive knows", DefaultText: "the one-time key of --order"},
		&cli.StringFlag{Name: "receipt", Usage: "exhibit: write the signed receipt to `FILE` and FILE.sig", DefaultText: "into the summary only"},
		&cli.StringFlag{Name: "header-file", Usage: "https: `FILE` with headers, NAME: VALUE a line", DefaultText: "one in " + sink.HeaderVariable},
		&cli.StringFlag{Name: "s3-part-size", Usage: "s3: `SIZE` of each part; there can be 10,000, and two are in memory", DefaultText: "8M"},
		&cli.BoolFlag{Name: "put-parts", Usage: "https: as files of their own, PATH.000001 and so on, which a broken link can be continued with"},
	}
}

// StoreFlags are the flags for S3 and for servers whose certificate no public
// authority signed.
func StoreFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "ca", Usage: "https, s3: `FILE` with the authority of the server's certificate (PEM)", DefaultText: "those of the system"},
		&cli.StringFlag{Name: "s3-endpoint", Usage: "s3: `URL` of the server", DefaultText: "AWS_ENDPOINT_URL, else Amazon's"},
		&cli.StringFlag{Name: "s3-region", Usage: "s3: its `REGION`", DefaultText: "AWS_REGION, else us-east-1"},
		&cli.StringFlag{Name: "s3-credentials", Usage: "s3: `FILE` in the form of ~/.aws/credentials", DefaultText: "the environment, then that file"},
	}
}

// SinkOptions reads the flags of this file.
func SinkOptions(c *cli.Context) (sink.Options, error) {
	size, err := ParseSize(c.String("s3-part-size"))
	return sink.Options{
		Fallback: c.String("fallback"), Patience: c.Duration("patience"),
		SSHKey: c.String("ssh-key"), KnownHosts: c.StringSlice("known-hosts"),
		HeaderFile: c.String("header-file"), PutParts: c.Bool("put-parts"), CA: c.String("ca"),
		S3Endpoint: c.String("s3-endpoint"), S3Region: c.String("s3-region"), S3Credentials: c.String("s3-credentials"), S3PartSize: size,
		ServerKey: c.String("server-key"), ClientKey: c.String("client-key"),
	}, err
}

// checkSending refuses what contradicts itself before anything else happens.
func checkSending(c *cli.Context) error {
	fallback, out := c.String("fallback"), c.String("output")
	if c.String("receipt") != "" && !strings.HasPrefix(out, "exhibit://") {
		return command.Failf(command.Usage, "give it with -o exhibit://HOST:PORT, or leave it out", "only exhibit receive signs a receipt")
	}
	if fallback != "" && !sink.IsURL(out) {
		return command.Failf(command.Usage, "give it with -o URL, or leave it out", "--fallback is for a bundle that is sent to another machine")
	}
	return nil
}

// toSink sends the bundle to another machine. The link is tried before
// anything is collected; where it cannot be begun, the fallback takes all.
func toSink(ctx context.Context, c *cli.Context, opt collect.Options, who Who, address string) (*Summary, error) {
	recipients := who.Recipients
	so, err := SinkOptions(c)
	if err != nil {
		return nil, err
	}
	if so.Fallback != "" {
		so.Fallback = EncryptedName(so.Fallback, recipients)
		if err := place(c, &opt, so.Fallback); err != nil {
			return nil, err
		}
	}
	if so.ClientKey == "" && who.Order != nil && who.Order.Key != nil {
		so.Key = who.Order.Key.Private
	}
	if rest, ok := strings.CutPrefix(address, "exhibit://"); ok && !strings.Contains(strings.TrimSuffix(rest, "/"), "/") {
		address = strings.TrimSuffix(address, "/") + "/" + EncryptedName(FileName(who.Case, HostName(opt.Root), time.Now()), recipients)
	}
	receipt := c.String("receipt")
	if err := mayWriteReceipt(c, &opt, receipt); err != nil {
		return nil, err
	}
	to, err := sink.Open(ctx, address, so)
	switch {
	case err == nil:
	case so.Fallback == "" || errors.Is(err, sink.ErrURL) || errors.Is(err, sink.ErrFallback) || ctx.Err() != nil:
		return nil, sendError(err)
	default:
		fmt.Fprintf(c.App.ErrWriter, "%s\nAll of the bundle goes to %s instead.\n", term.Escape(err.Error()), term.Escape(so.Fallback))
		addFacts(&opt, map[string]string{factUnsent: err.Error()})
		return toFile(ctx, opt, who, so.Fallback)
	}
	sum, err := send(ctx, opt, recipients, to)
	if err == nil && receipt != "" && sum.Sent.Receipt != nil {
		r := sum.Sent.Receipt
		if err := errors.Join(writeSealFile(receipt, []byte(r.Event)), writeSealFile(receipt+".sig", []byte(r.Signature))); err != nil {
			return sum, fmt.Errorf("everything was sent and signed for, but the receipt could not be written: %w", err)
		}
	}
	return sum, err
}

// mayWriteReceipt settles before the run whether the receipt can be written.
func mayWriteReceipt(c *cli.Context, opt *collect.Options, path string) error {
	if path == "" {
		return nil
	}
	for _, p := range []string{path, path + ".sig"} {
		if _, err := os.Lstat(p); err == nil {
			return command.Failf(command.Failure, "choose another name: evidence is never overwritten", "%s exists", p)
		}
	}
	return place(c, opt, path)
}

func addFacts(opt *collect.Options, more map[string]string) {
	if opt.Facts == nil {
		opt.Facts = map[string]string{}
	}
	maps.Copy(opt.Facts, more)
}

// send collects into an open sink, which is closed in the end.
func send(ctx context.Context, opt collect.Options, recipients []envelope.Recipient, to sink.Sink) (*Summary, error) {
	addFacts(&opt, to.Facts())
	opt.OwnFiles = append(opt.OwnFiles, to.OwnFiles()...)
	var end func() error
	var err error
	if opt.Out, end, err = Sealing(to, recipients); err != nil {
		to.Abort()
		return nil, err
	}
	opt.Sync = to.Sync
	res, err := collect.Run(ctx, opt)
	if ended := end(); err == nil { // the last chunk of an envelope is what a recovery would miss
		err = ended
	}
	var sent *sink.Result
	if err != nil {
		sent = to.Abort()
	} else {
		sent, err = to.Commit()
	}
	if err != nil {
		return nil, unfinished(err, sent)
	}
	files, err := bundle.SealFiles(res.Seal, opt.Key.PublicKey())
	if err != nil {
		return nil, err
	}
	sum := summarise(sent.URL, res)
	sum.Written, sum.Sent = sent.Size, sent
	if len(recipients) > 0 {
		sum.SealFiles = sealTexts(files)
	}
	return sum, nil
}

func sendError(err error) error {
	hint := "try another way, for example -o FILE on a medium; --fallback FILE takes the bundle where a link fails"
	code := command.Failure
	switch {
	case errors.Is(err, sink.ErrURL):
		code, hint = command.Usage, "write for example -o sftp://me@lab/in/web01"+Suffix+" or s3://BUCKET/KEY, or ./NAME for a file of that name"
	case errors.Is(err, sink.ErrKey):
		code, hint = command.WrongKey, "bring the server's key from the laboratory: sftp takes --known-hosts FILE, https and s3 --ca FILE, exhibit --server-key and --client-key; what the network says of itself proves nothing"
	}
	return command.Fail(code, hint, err)
}

// unfinished says where what was sent until a failure lies.
func unfinished(err error, sent *sink.Result) error {
	if sent.Fallback != nil {
		return command.Fail(command.Failure, fmt.Sprintf("the beginning is %d bytes of %s, the rest in %s: exhibit recover --tail joins them",
			sent.Fallback.HeadBytes, sent.Location, sent.Fallback.Tail), err)
	}
	return command.Fail(command.Failure, fmt.Sprintf("%d bytes are at %s: exhibit recover saves what they prove", sent.Sent, sent.Location), err)
}

// sentLines say what became of a bundle that was sent.
func (s *Summary) sentLines() []string {
	r := s.Sent
	if r == nil {
		return nil
	}
	lines := []string{fmt.Sprintf("sent       %s, SHA-256 %s", r.URL, r.SHA256)}
	if k := r.Receipt; k != nil {
		lines = append(lines, fmt.Sprintf("received   as %s, verdict %s, signed by %s", k.Exhibit, k.Verdict, k.Key))
	}
	if r.Breaks > 0 {
		lines = append(lines, fmt.Sprintf("           the link broke and was taken up again %d times", r.Breaks))
	}
	if f := r.Fallback; f != nil {
		lines[0] = fmt.Sprintf("NOT ALL WAS SENT: %s", f.Why)
		lines = append(lines, fmt.Sprintf("           the first %d bytes are at %s", f.HeadBytes, f.Head),
			fmt.Sprintf("           the other %d bytes are in %s: exhibit recover HEAD --tail %s -o NEW", f.TailBytes, f.Tail, f.Tail))
	}
	return lines
}
