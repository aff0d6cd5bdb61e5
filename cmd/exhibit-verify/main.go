// Command exhibit-verify says what of a bundle, a custody log or a time stamp
// is proven. It is for those who have no case and no other program of ours:
// one file that needs nothing, asks no network and changes nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
)

// version is set by the linker.
var version = "unknown"

const program = "exhibit-verify"

func main() {
	ctx, stop := command.Signals()
	code := command.Guard(ctx, program, os.Stderr, func(ctx context.Context) error {
		return run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	})
	stop()
	os.Exit(code)
}

const usage = `NAME:
   exhibit-verify - say what of an evidence bundle, a custody log or a time stamp is proven

USAGE:
   exhibit-verify [flags] FILE...

DESCRIPTION:
   Examples:
      exhibit-verify host.exhibit.tar.zst --code MDP48-QJ7NK-DSMC4-9XZD5
      exhibit-verify EX-001.custody.tar --signers allowed_signers --head 3f2a…
      exhibit-verify host.exhibit.tar.zst EX-001.custody.tar     (and whether they belong together)
      exhibit-verify part1.exhibit.tar.zst part2.exhibit.tar.zst (and whether one is missing between them)
      exhibit-verify case/                                       (every bundle and log in it)
      exhibit-verify case/custody/EX-001/0004-sealed-….json.tsr --tsa-root root.pem

   FILE is known by its content: a bundle, a portable custody log, a case folder or one custody/EX-NNN of it,
   or a time stamp response (.tsr) beside its event. It is read whole and never changed; nothing is asked of
   any network. A log is compared with the bundle of its exhibit where both are given; bundles that continue
   each other, with each other, in the order given.
   docs/verify-yourself.md does the same without this program.

FLAGS:
   --signers FILE    trust the keys of this allowed_signers file only (default: the list that comes with a log)
   --code CODE       the seal code that was written on paper
   --held FILE       the bundle must go on from this: its beginning as it was streamed, or a checkpoint, kept elsewhere (repeatable)
   --head SHA256     the log must hold the event with this hash, noted elsewhere (repeatable)
   --tsa-root PEM    trust time authorities by these roots only (default: those that come with a log; repeatable)
   --json            one line of JSON for each bundle, log and time stamp, and for a chain of bundles
   --explain         every layer and finding, not only the verdict
   --quiet, -q       results and errors only
   --version         print the version and end
   --help, -h        show this

`

// options are the command line.
type options struct {
	signers, code         string
	heads, roots, held    list
	json, explain, silent bool
	version               bool
	files                 []string
}

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// parse reads a command line: flags may stand behind files, too.
func parse(args []string) (options, error) {
	var o options
	set := flag.NewFlagSet(program, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&o.signers, "signers", "", "")
	set.StringVar(&o.code, "code", "", "")
	set.Var(&o.held, "held", "")
	set.Var(&o.heads, "head", "")
	set.Var(&o.roots, "tsa-root", "")
	set.BoolVar(&o.json, "json", false, "")
	set.BoolVar(&o.explain, "explain", false, "")
	set.BoolVar(&o.silent, "quiet", false, "")
	set.BoolVar(&o.silent, "q", false, "")
	set.BoolVar(&o.version, "version", false, "")
	for len(args) > 0 {
		if err := set.Parse(args); err != nil {
			return o, err
		}
		read := len(args) - set.NArg()
		if read > 0 && args[read-1] == "--" {
			o.files = append(o.files, set.Args()...)
			break
		}
		if args = set.Args(); len(args) > 0 {
			o.files, args = append(o.files, args[0]), args[1:]
		}
	}
	// What is given and empty is a slip, such as a variable that is not set:
	// it must not pass for what was not given.
	var empty error
	set.Visit(func(f *flag.Flag) {
		if f.Value.String() == "" {
			empty = fmt.Errorf("flag --%s is empty", f.Name)
		}
	})
	return o, empty
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err = io.WriteString(stdout, usage+command.ExitHelp)
		return err
	case err != nil:
		return command.Failf(command.Usage, "see: "+program+" --help", "%s", strings.Replace(err.Error(), " -", " --", 1))
	case o.version && o.json:
		return command.JSON(stdout, map[string]string{"version": version, "sha256": command.OwnDigest().String()})
	case o.version:
		_, err = fmt.Fprintln(stdout, program, version)
		return err
	case len(o.files) == 0:
		return command.Failf(command.Usage, "see: "+program+" --help", "give a bundle, a custody log, a case folder or a time stamp")
	}
	v := verifier{options: o, stdout: stdout, stderr: stderr, facts: map[string]*chainofcustody.BundleFacts{}}
	defer v.clean()
	if err := v.trust(ctx); err != nil {
		return err
	}
	return v.run(ctx)
}
