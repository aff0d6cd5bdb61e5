package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/chainofcustody/timestamp"
	"github.com/exhibit-dfir/exhibit/chainofcustody/timestamp/ask"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func stampCommand() *cli.Command {
	return &cli.Command{
		Name: "stamp", Usage: "have a time authority prove by when the log existed (RFC 3161)", ArgsUsage: "EXHIBIT",
		Description: "Example:\n   exhibit custody stamp EX-001 --tsa https://tsa.example/tsr --root tsa-root.pem\n" +
			"   exhibit custody stamp EX-001 --request head.tsq                       (offline: carry it to a machine that is online)\n" +
			"   exhibit custody stamp EX-001 --response head.tsr --root tsa-root.pem\n\n" +
			"The authority sees one hash and nothing else. A stamp over the last event covers all before it. Give --tsa\n" +
			"twice for two authorities that do not depend on each other. Stamp again before the certificate ends.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "tsa", Usage: "ask the authority at `URL` (repeatable)"},
			&cli.StringSliceFlag{Name: "root", Usage: "trust the authority's root in `FILE.pem`, from now on in this case (repeatable)"},
			&cli.StringFlag{Name: "request", Usage: "write the request to `FILE.tsq` instead of sending it"},
			&cli.StringFlag{Name: "response", Usage: "take in the answer `FILE.tsr` to such a request"},
		},
		Action: runStamp,
	}
}

func runStamp(c *cli.Context) error {
	cs, id, exhibit, err := onExhibit(c)
	if err != nil {
		return err
	}
	for _, path := range c.StringSlice("root") {
		if err := keepRoot(cs, path); err != nil {
			return err
		}
	}
	switch {
	case c.String("request") != "":
		return stampRequest(c, cs, exhibit)
	case c.String("response") != "":
		token, err := os.ReadFile(c.String("response"))
		if err != nil {
			return err
		}
		event, err := stampedEvent(cs, exhibit, token)
		if err != nil {
			return err
		}
		return keepStamps(c, cs, id, exhibit, event, [][]byte{token})
	case len(c.StringSlice("tsa")) == 0:
		return command.Failf(command.Usage, "for example: --tsa https://tsa.example/tsr, or --request FILE where there is no network", "custody stamp needs an authority")
	}
	event, data, err := headOf(cs, exhibit)
	if err != nil {
		return err
	}
	var tokens [][]byte
	for _, url := range c.StringSlice("tsa") {
		q, err := timestamp.Request(data)
		if err != nil {
			return err
		}
		token, err := ask.Authority(c.Context, url, q)
		if err != nil {
			return command.Fail(command.Failure, "try another authority, or --request FILE and send it from elsewhere", err)
		}
		tokens = append(tokens, token)
	}
	return keepStamps(c, cs, id, exhibit, event, tokens)
}

// headOf returns the one last event of a log and its bytes.
func headOf(cs *chainofcustody.Case, exhibit string) (evidence.Digest, []byte, error) {
	rep, err := verifying.Log(cs, exhibit, chainofcustody.VerifyOptions{})
	if err != nil {
		return evidence.Digest{}, nil, err
	}
	if len(rep.Heads) != 1 {
		return evidence.Digest{}, nil, command.Failf(command.Failure, "join its branches first: exhibit custody merge "+exhibit, "the log of %s has %d ends", exhibit, len(rep.Heads))
	}
	data, err := cs.EventBytes(exhibit, rep.Heads[0])
	return rep.Heads[0], data, err
}

func stampRequest(c *cli.Context, cs *chainofcustody.Case, exhibit string) error {
	event, data, err := headOf(cs, exhibit)
	if err != nil {
		return err
	}
	q, err := timestamp.Request(data)
	if err != nil {
		return err
	}
	path := c.String("request")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return command.Failf(command.Failure, "name a file that is not there yet", "%s exists", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(q)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, map[string]string{"request": path, "event": event.String()})
	}
	fmt.Fprintf(c.App.Writer, "%s written, over event %.12s… of %s. Where there is a network:\n"+
		"  curl -H 'Content-Type: application/timestamp-query' --data-binary @%s URL > answer.tsr\nthen here: exhibit custody stamp %s --response answer.tsr --root ROOT.pem\n",
		term.Escape(path), event, exhibit, term.Escape(filepath.Base(path)), exhibit)
	return nil
}

// stampedEvent finds the event that a time stamp is over.
func stampedEvent(cs *chainofcustody.Case, exhibit string, token []byte) (evidence.Digest, error) {
	events, _, err := cs.Log(exhibit)
	if err != nil {
		return evidence.Digest{}, err
	}
	for _, e := range events {
		data, err := cs.EventBytes(exhibit, e.Digest)
		if err != nil {
			return evidence.Digest{}, err
		}
		if _, err := timestamp.Verify(nil, token, data); err == nil || errors.Is(err, timestamp.ErrAuthority) {
			return e.Digest, nil
		}
	}
	return evidence.Digest{}, command.Failf(command.Integrity, "take the answer to the request that was made for this exhibit", "the time stamp is over no event of %s", exhibit)
}

// keepStamps checks time stamps, puts them beside their event and records it.
func keepStamps(c *cli.Context, cs *chainofcustody.Case, id *chainofcustody.Identity, exhibit string, event evidence.Digest, tokens [][]byte) error {
	roots, err := verifying.Roots(cs)
	if err != nil {
		return err
	}
	data, err := cs.EventBytes(exhibit, event)
	if err != nil {
		return err
	}
	ev := chainofcustody.Event{Kind: chainofcustody.EventTimestamped, Tool: tool(), Refs: []string{event.String()}}
	var notes []string
	for _, token := range tokens {
		s, err := timestamp.Verify(roots, token, data)
		if err != nil {
			return command.Fail(command.Trust, "give the authority's root certificate: --root FILE.pem; nothing was recorded", err)
		}
		file, err := cs.AddToken(exhibit, event, token)
		if err != nil {
			return caseError(err)
		}
		notes = append(notes, fmt.Sprintf("%s proves that it existed by %s (certificate ends %s)", s.By, s.Time.Format(time.RFC3339), s.Until.Format("2006-01-02")))
		ev.Attach = append(ev.Attach, chainofcustody.Attachment{Name: file, SHA256: evidence.Sum(token)})
	}
	ev.Note = strings.Join(notes, "; ")
	_, err = appendAct(c, cs, id, exhibit, ev)
	return err
}

// keepRoot takes the root of a time authority into the case.
func keepRoot(cs *chainofcustody.Case, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if _, err := timestamp.ParseRoots(text); err != nil {
		return command.Fail(command.Failure, "give the authority's root certificate in PEM", fmt.Errorf("read %s: %w", path, err))
	}
	dir := cs.Path(chainofcustody.RootsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	name := fmt.Sprintf("%.16s.pem", evidence.Sum(text))
	return os.WriteFile(filepath.Join(dir, name), text, 0o600)
}
