package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/push"
)

// pushTo sends events to one kind of server.
type pushTo func(context.Context, push.Options, iter.Seq2[*timeline.Event, error]) (push.Result, error)

func pushCommand() *cli.Command {
	password := []cli.Flag{
		&cli.StringFlag{Name: "user", Usage: "log in as `NAME`"},
		&cli.StringFlag{Name: "password-file", Usage: "the password stands in `FILE`"},
	}
	sub := func(name, usage, example string, to pushTo, flags ...cli.Flag) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, ArgsUsage: "URL [QUERY]",
			Description: "Example:\n   " + example + "\n\n" +
				"What the server refuses is counted and named, and exits with 3. While it is busy, batches wait and go again;\n" +
				"what is too large for it goes in halves. The push is recorded in the custody log of the case's exhibits.",
			Flags: append(append(rangeFlags(), flags...),
				&cli.StringFlag{Name: "ca", Usage: "`FILE` with the authority of the server's certificate (PEM) (default: those of the system)"}),
			Action: func(c *cli.Context) error { return timelinePush(c, name, to) },
		}
	}
	return &cli.Command{
		Name: "push", Usage: "send events to a server in which others search",
		Subcommands: []*cli.Command{
			sub("opensearch", "to OpenSearch or Elasticsearch, as ECS documents",
				"exhibit timeline push opensearch https://search.lab:9200 --index web01 --user alice --password-file pw\n"+
					"   (an event that is there already stays as it is: a push that broke off is simply started again)", push.OpenSearch,
				append(password, &cli.StringFlag{Name: "index", Value: "exhibit", Usage: "into the index `NAME`"},
					&cli.StringFlag{Name: "api-key-file", Usage: "the API key stands in `FILE`"},
					&cli.BoolFlag{Name: "no-template", Usage: "put no index template first; without it times lose their nanoseconds"})...),
			sub("splunk", "to Splunk's HTTP event collector",
				"exhibit timeline push splunk https://splunk.lab:8088 --token-file token --index main\n"+
					"   (Splunk knows no ids: search with dedup exhibit_event_id where something was sent twice)", push.Splunk,
				&cli.StringFlag{Name: "token-file", Usage: "the collector's token stands in `FILE`"},
				&cli.StringFlag{Name: "index", Usage: "into the index `NAME` (default: the token's own)"}),
			sub("timesketch", "to a sketch of Timesketch",
				"exhibit timeline push timesketch https://timesketch.lab --sketch 7 --name web01 --user alice --password-file pw\n"+
					"   (Timesketch knows no ids: remove there what a push that broke off has left)", push.Timesketch,
				append(password, &cli.Int64Flag{Name: "sketch", Usage: "into the sketch with this `NUMBER`"},
					&cli.StringFlag{Name: "name", Value: "exhibit", Usage: "as the timeline `NAME`"})...),
		},
	}
}

func timelinePush(c *cli.Context, kind string, to pushTo) error {
	opt, err := pushOptions(c, kind)
	if err != nil {
		return err
	}
	cs, eng, err := openTimeline(c)
	if err != nil {
		return err
	}
	defer eng.Close()
	q, err := parseQueryOf(c, eng, c.Args().Tail())
	if err != nil {
		return err
	}
	id, err := signerFor(c, cs)
	if err != nil {
		return err
	}
	progress, err := frame.Progress(c, "sending")
	if err != nil {
		return err
	}
	defer progress.Done()
	opt.Progress = func(r push.Result) { progress.Set(term.Status{Items: r.Sent + r.There + r.Refused}) }
	res, err := to(c.Context, opt, eng.Events(c.Context, q, nil))
	progress.Done()
	// What went out is recorded whatever became of the rest.
	if res.Sent+res.There+res.Unsure > 0 {
		if failed := recordSent(cs, id, sentNote(kind, opt.URL, res)); failed != nil {
			return errors.Join(failed, err)
		}
	}
	if err != nil {
		return pushError(err, res)
	}
	if c.Bool("json") {
		err = command.JSON(c.App.Writer, res)
	} else {
		printPush(c.App.ErrWriter, res)
	}
	if err == nil && res.Refused > 0 {
		return command.Exit(command.Partial)
	}
	return err
}

// sentNote says in the custody log what went out.
func sentNote(kind, url string, res push.Result) string {
	note := fmt.Sprintf("%d events to %s at %s", res.Sent, kind, url)
	if res.There > 0 {
		note += fmt.Sprintf(", %d were there already", res.There)
	}
	if res.Unsure > 0 {
		note += fmt.Sprintf(", %d more were sent without an answer and may have arrived", res.Unsure)
	}
	return note
}

func printPush(w io.Writer, res push.Result) {
	fmt.Fprintf(w, "%d events sent", res.Sent)
	for _, part := range []struct {
		n    int64
		what string
	}{{res.There, "there before"}, {res.Undated, "undated ones left out: the server needs a time"}, {res.Refused, "refused"}, {res.Twice, "sent again and perhaps there twice"}} {
		if part.n > 0 {
			fmt.Fprintf(w, ", %d %s", part.n, part.what)
		}
	}
	fmt.Fprintln(w)
	for _, reason := range res.Reasons {
		fmt.Fprintf(w, "  refused %s\n", term.Escape(reason))
	}
}

func pushError(err error, res push.Result) error {
	hint := "look at the URL, and whether the server answers"
	switch {
	case errors.Is(err, push.ErrBusy):
		hint = "start the push again later"
	case errors.Is(err, push.ErrRefused):
		hint = "look at user, password or token, and at what they may do there"
	case errors.Is(err, context.Canceled):
		return err
	}
	sent := fmt.Sprintf("%d events sent", res.Sent)
	if res.Unsure > 0 {
		sent += fmt.Sprintf(", %d more may have arrived", res.Unsure)
	}
	return command.Fail(command.Failure, hint, fmt.Errorf("%s, then: %w", sent, err))
}

func pushOptions(c *cli.Context, kind string) (push.Options, error) {
	opt := push.Options{
		URL: c.Args().First(), Index: c.String("index"), User: c.String("user"), Sketch: c.Int64("sketch"), Timeline: c.String("name"),
		Template: kind == "opensearch" && !c.Bool("no-template"),
	}
	if opt.URL == "" {
		return opt, command.Failf(command.Usage, "for example: exhibit timeline push "+kind+" https://server.lab", "give the server's URL")
	}
	if strings.Contains(opt.URL, "@") {
		return opt, command.Failf(command.Usage, "use --user and --password-file", "a URL with a password ends up in histories and logs")
	}
	if kind == "timesketch" && opt.Sketch <= 0 {
		return opt, command.Failf(command.Usage, "its number stands in the address of the sketch", "give --sketch NUMBER")
	}
	var err error
	for flag, into := range map[string]*string{"password-file": &opt.Password, "api-key-file": &opt.Token, "token-file": &opt.Token} {
		if path := c.String(flag); path != "" && err == nil {
			*into, err = oneSecret(path)
		}
	}
	if err != nil {
		return opt, err
	}
	if path := c.String("ca"); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return opt, openError(err, path)
		}
		opt.Roots = x509.NewCertPool()
		if !opt.Roots.AppendCertsFromPEM(text) {
			return opt, command.Failf(command.Usage, "give a certificate in PEM form", "%s holds no certificate", path)
		}
	}
	return opt, nil
}

// oneSecret reads a secret that is alone in a file.
func oneSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", openError(err, path)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if secret == "" || strings.ContainsAny(secret, "\r\n") {
		return "", command.Failf(command.WrongKey, "put the secret alone into the file", "%s does not hold one line", path)
	}
	return secret, nil
}

// recordSent notes in the custody log of every exhibit that events went to a
// server.
func recordSent(cs *chainofcustody.Case, id *chainofcustody.Identity, note string) error {
	names, err := cs.Exhibits()
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := cs.Append(name, chainofcustody.Event{Kind: chainofcustody.EventExported, Tool: tool(), Note: note}, id); err != nil {
			return caseError(err)
		}
	}
	return nil
}
