package gathering

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/kit"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// Job is the kit that a run belongs to.
type Job struct {
	*kit.Kit
	Program evidence.Digest // of the collector, without what is behind its end

	order *Order // of the kit; nil: none
	own   string // the collector's file
}

// jobRule says what a flag on the command line may do beside a job.
type jobRule int

const (
	settled jobRule = iota // the job says it, or the collector's default holds
	lower                  // a bound: the smaller of the two, or a bound where the job has none
	shorter                // the same for a duration
	local                  // a file of this host instead
	free                   // it changes neither what is taken nor who gets it
	never                  // no job may say it; on the command line it is free
)

// jobRules are the flags of a collection beside a job. What a job may say is
// all but never and what names secrets of the host.
var jobRules = map[string]jobRule{
	"root": settled, "memory": settled, "memory-from": settled, "process-memory": settled, "freeze": settled, "take-secrets": settled, "all-hashes": settled, "no-walk-hashes": settled, "authority": settled, "continues": free,
	"collectors": settled, "profile": settled, "definitions": settled, "artifact": settled, "split": settled,
	"recipient": settled, "recipients-file": settled, "case-number": settled, "exhibit": settled,
	"capture": settled, "capture-filter": settled, "capture-filter-ddd": settled, "capture-max-size": settled, "capture-rotate": settled, "interface": settled, "promiscuous": settled, "allow-evidence-volume": settled,
	"known-hosts": settled, "server-key": settled, "ca": settled, "s3-endpoint": settled, "s3-region": settled,
	"put-parts": settled, "s3-part-size": settled, "fallback": settled,
	"max-file-size": lower, "io-rate": lower, "max-size": lower, "max-memory": lower, "cpu": lower,
	"deadline": shorter, "max-time": shorter, "patience": shorter,
	"output": local, "polite": free, "examiner": free,
	"order": never, "outside-order": never, "ssh-key": never, "client-key": never, "s3-credentials": never, "header-file": never,
	"receipt": never, "attended": never, "list": never, "version": never, "help": never,
	"json": never, "progress": never, "quiet": never, "job": never, "no-job": never, "job-signer": never, "detach": never, "log": never,
}

// JobMaySay reports whether a job may have a setting.
func JobMaySay(name string) bool {
	rule, ok := jobRules[name]
	return ok && !slices.Contains([]string{"recipients-file", "continues", "capture-filter-ddd"}, name) && rule != never
}

// JobKnows reports whether there is a rule for a flag beside a job.
func JobKnows(name string) bool {
	_, ok := jobRules[name]
	return ok
}

// jobFiles are the settings that name files of the kit.
var jobFiles = []string{"definitions", "known-hosts", "ca"}

// FindJob returns the kit that the flags name, or to which the collector
// belongs; nil where there is none. Its files are as they were signed.
func FindJob(c *cli.Context) (*Job, error) {
	path := c.String("job")
	if path != "" && c.Bool("no-job") {
		return nil, command.Failf(command.Usage, "give one of them", "--job and --no-job exclude each other")
	}
	if c.Bool("no-job") || path == "" && c.Bool("attended") {
		return nil, nil
	}
	j := &Job{}
	var err error
	if path != "" {
		j.Kit, err = kit.ReadFolder(path)
	} else {
		j.Kit, err = kit.Beside()
	}
	switch {
	case errors.Is(err, kit.ErrNone) && path == "":
		return nil, signerWithoutJob(c)
	case errors.Is(err, chainofcustody.ErrNewerSchema):
		return nil, command.Fail(command.NoCase, "use the newer exhibit-collector that belongs to it", err)
	case err == nil:
		err = j.Check()
	}
	if err == nil {
		j.Program, _, j.own, err = kit.Own()
	}
	if err == nil && !j.OrderSHA256.IsZero() {
		if j.order, err = readOrder(j.FS(), j.Dir); err == nil && j.order.Digest != j.OrderSHA256 {
			err = fmt.Errorf("%w: its order is another one", kit.ErrChanged)
		}
		if err == nil && j.Signer.Key != j.order.Examiner.Key && j.Signer.Key != j.order.Order.Key {
			err = fmt.Errorf("%w: %s signed the job, neither the examiner of its order nor the order's one-time key", kit.ErrChanged, j.Signer.Key)
		}
	}
	if err != nil {
		return nil, jobError(err)
	}
	if want := c.String("job-signer"); want != "" && want != j.Signer.Key {
		return nil, command.Failf(command.WrongKey, "compare the fingerprint with that on paper: this kit is not from whom you think it is",
			"the job file is signed by %s, not by %s", j.Signer.Key, term.Escape(want))
	}
	return j, nil
}

func signerWithoutJob(c *cli.Context) error {
	if c.String("job-signer") == "" {
		return nil
	}
	return command.Failf(command.Failure, "run the collector that lies in the kit, or give --job FOLDER", "there is no job file whose signer could be compared")
}

func jobError(err error) error {
	code := command.Integrity
	if errors.Is(err, kit.ErrNone) || errors.Is(err, fs.ErrPermission) {
		code = command.Failure
	}
	return command.Fail(code, "copy the kit again, whole, from where it was built; exhibit collector verify says what is wrong with it; --no-job runs without it",
		fmt.Errorf("read job file: %w", err))
}

// Take gives the flags what the job says, and refuses those that would widen
// it. With --outside-order those are taken, and the verdict will say so.
func (j *Job) Take(c *cli.Context) error {
	outside := c.Bool("outside-order")
	given := map[string]bool{}
	for _, f := range c.App.Flags {
		name := f.Names()[0]
		given[name] = c.IsSet(name)
	}
	for name, is := range given {
		if !is || outside {
			continue
		}
		if err := j.allows(c, name); err != nil {
			return err
		}
	}
	for _, text := range j.Run {
		name, value, _ := strings.Cut(text, "=")
		if !JobMaySay(name) || !defined(c, name) {
			return command.Failf(command.NoCase, "use the exhibit-collector that belongs to the kit", "the job file has the setting %s, which this collector does not take from one", name)
		}
		if given[name] {
			continue
		}
		if slices.Contains(jobFiles, name) {
			if j.Dir == "" || !j.Has(value) {
				return command.Failf(command.Failure, "build the kit again", "the job file names %s, which is not in the kit", term.Escape(value))
			}
			value = filepath.Join(j.Dir, value)
		}
		if err := c.Set(name, value); err != nil {
			return command.Failf(command.Failure, "build the kit again", "the job file has %s=%s, which is no value for it", name, term.Escape(value))
		}
	}
	for name, value := range map[string]string{"case-number": j.Case, "exhibit": j.Exhibit, "authority": j.Authority} {
		if value == "" || given[name] {
			continue
		}
		if err := c.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// allows refuses a flag that would widen the job.
func (j *Job) allows(c *cli.Context, name string) error {
	rule, known := jobRules[name]
	has := j.Settings(name)
	wider := false
	switch {
	case rule == free && known, rule == never && known && name != "order":
		return nil
	case known && rule == lower:
		wider = len(has) == 1 && !sizeWithin(c, name, has[0])
	case known && rule == shorter:
		most, err := time.ParseDuration(strings.Join(has, ""))
		wider = len(has) > 0 && (err != nil || c.Duration(name) > most)
	case known && rule == local:
		out := c.String(name)
		wider = (out == "-" || sink.IsURL(out)) && !slices.Equal(has, []string{out})
	default:
		want := map[string]string{"case-number": j.Case, "exhibit": j.Exhibit, "authority": j.Authority}[name]
		wider = want == "" || c.String(name) != want
	}
	if !wider {
		return nil
	}
	what := "settles --" + name
	if len(has) == 1 {
		what = "says " + name + "=" + has[0]
	}
	return command.Failf(command.Usage, "leave --"+name+" out; limits may be tightened, and -o FILE may name a file of this host; with --outside-order it is done all the same, and the verdict will say so",
		"the job file %s", term.Escape(what))
}

func sizeWithin(c *cli.Context, name, most string) bool {
	if name == "cpu" {
		n, err := strconv.Atoi(most)
		return err == nil && c.Int(name) <= n
	}
	limit, err := ParseSize(strings.TrimSuffix(most, "/s"))
	n, bad := ParseSize(strings.TrimSuffix(c.String(name), "/s"))
	return err == nil && (bad != nil || n <= limit) // what is no size is refused elsewhere
}

// check compares what is about to run with the job.
func (j *Job) check(s *Selection, recipients []envelope.Recipient, at time.Time) error {
	use := chainofcustody.JobUse{
		Case: j.Case, Exhibit: j.Exhibit, At: at, Program: j.Program, Order: j.OrderSHA256, Selection: s.Digest(), Recipients: envelope.Texts(recipients),
	}
	if d := j.Departures(use); len(d) > 0 {
		return command.Failf(command.Failure, "with --outside-order it is collected all the same, and the verdict will say so",
			"this collection departs from its job file: %s", term.Escape(strings.Join(d, "; ")))
	}
	return nil
}

// describe has the bundle state the job and its signature.
func (j *Job) describe(opt *collect.Options) {
	addFacts(opt, map[string]string{
		bundle.OptionJob: string(j.File), bundle.OptionJobSignature: string(j.Sig), bundle.OptionProgram: j.Program.String(),
	})
}

// Folder is where the kit lies: that of the collector, where the kit is behind
// its end.
func (j *Job) Folder() string {
	if j.Dir != "" {
		return j.Dir
	}
	if j.own != "" {
		return filepath.Dir(j.own)
	}
	return "."
}

// Told says whose job a run follows, for people.
func (j *Job) Told() string {
	return fmt.Sprintf("job file   %s, signed by %s (%s)", j.Digest, j.Signer.ID, j.Signer.Key)
}
