package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/cmd/internal/kit"
	"github.com/exhibit-dfir/exhibit/collect/definition"
	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func collectorCommand() *cli.Command {
	return &cli.Command{
		Name: "collector", Usage: "kits: a collector that runs by itself, with a signed job file", Category: catCollect,
		Subcommands: []*cli.Command{
			{
				Name: "build", Usage: "make a kit of the unmodified collector and a signed job file",
				Description: "Example:\n   exhibit collector build --order ORDER --for linux/amd64,windows/amd64 --to exhibit://lab:7443 --server-key SHA256:… -o kit.zip\n" +
					"   exhibit collector build --no-order --for linux/amd64 --profile triage --max-time 9m --recipient age1pq1… -o kit\n\n" +
					"At the host it is ./exhibit-collector and nothing else. Flags there can tighten limits, nothing more.\n" +
					"The same inputs make the same bytes, with an Ed25519 key and --from or an order. docs/kits.md says more.",
				Flags: slices.Concat([]cli.Flag{
					&cli.StringFlag{Name: "order", Usage: "the order in `DIR`: its case, exhibit, window, collectors, recipients and one-time key go along"},
					&cli.BoolFlag{Name: "no-order", Usage: "there is no order: only your key stands for the kit"},
					&cli.StringFlag{Name: "for", Usage: "the `SYSTEMS` of the hosts, comma separated: " + strings.Join(kitSystems, ", ")},
					&cli.StringFlag{Name: "kit", Aliases: []string{"o"}, Usage: "write the kit to `KIT`: a new folder, or NAME.zip, or NAME.tar.zst"},
					&cli.BoolFlag{Name: "single", Usage: "one file: the kit behind the collector's end, which changes its hash and breaks a code signature"},
					&cli.StringFlag{Name: "binaries", Usage: "take the collectors from `DIR`, where make dist left them with SHA256SUMS", DefaultText: "beside this program, or dist"},
					&cli.StringFlag{Name: "to", Usage: "where the bundle goes, as -o of exhibit-collector; PLACE/ names the bundle by case, host and time", DefaultText: "the kit's folder"},
					&cli.StringFlag{Name: "from", Usage: "without an order: from `TIME` on, RFC 3339", DefaultText: "now"},
					&cli.DurationFlag{Name: "valid", Usage: "without an order: how long the kit may be used", Value: 48 * time.Hour},
					&cli.StringFlag{Name: "case-number", Usage: "without an order: case `ID` for the bundle's header"},
					&cli.StringFlag{Name: "exhibit", Usage: "without an order: exhibit `NUMBER` for the bundle's header"},
					&cli.StringFlag{Name: "purpose", Usage: "why, for the job file"},
					&cli.StringSliceFlag{Name: "recipients-file", Usage: "encrypt to the keys in `FILE`, one a line (repeatable)"},
				}, jobFlags()),
				Action: collectorBuild,
			},
			{
				Name: "show", Usage: "say what a kit does, and who signed it", ArgsUsage: "KIT",
				Description: "Example:\n   exhibit collector show kit.zip", Action: collectorShow,
			},
			{
				Name: "verify", Usage: "compare every byte of a kit with its signed job file", ArgsUsage: "KIT",
				Description: "Example:\n   exhibit collector verify /media/usb/kit", Action: collectorVerify,
			},
		},
	}
}

// kitSystems are the systems that make dist builds a collector for.
var kitSystems = []string{
	"linux/amd64", "linux/arm64", "linux/386", "linux/arm", "freebsd/amd64",
	"darwin/amd64", "darwin/arm64", "windows/amd64", "windows/386", "windows/arm64",
}

// jobFlags are the flags of a collection that a job may say, under the same
// names.
func jobFlags() []cli.Flag {
	var out []cli.Flag
	for _, f := range gathering.Flags() {
		if name := f.Names()[0]; gathering.JobMaySay(name) && name != "output" {
			out = append(out, f)
		}
	}
	return out
}

// kitFiles are the settings whose files travel in the kit, and their names
// there.
var kitFiles = map[string]string{"definitions": gathering.DefinitionsFile, "known-hosts": "known_hosts", "ca": "ca.pem"}

func collectorBuild(c *cli.Context) error {
	systems, err := askedSystems(c)
	if err != nil {
		return err
	}
	if err := given(c, "kit", "KIT"); err != nil {
		return err
	}
	var order *gathering.Order
	switch path := c.String("order"); {
	case (path == "") == !c.Bool("no-order"):
		return command.Failf(command.Usage, "exhibit order new makes an order; --no-order says that your key alone stands for the kit", "give one of --order and --no-order")
	case path != "":
		if order, err = gathering.ReadOrder(path); err != nil {
			return err
		}
	}
	id, err := kitSigner(c, order)
	if err != nil {
		return err
	}
	in, selected, err := kitContents(c, order)
	if err != nil {
		return err
	}
	if in.Programs, err = kitPrograms(c, systems); err != nil {
		return err
	}
	if err := keepsToOrder(in, selected, order); err != nil {
		return err
	}
	files, err := kit.Build(*in, id)
	if errors.Is(err, chainofcustody.ErrJob) {
		return command.Fail(command.Usage, "see: exhibit collector build --help", err)
	}
	if err != nil {
		return err
	}
	form, err := writeKit(c, files)
	if err != nil {
		return err
	}
	return toldKit(c, in, form)
}

func askedSystems(c *cli.Context) ([]string, error) {
	var out []string
	for name := range strings.SplitSeq(c.String("for"), ",") {
		if name = strings.TrimSpace(name); name == "" || slices.Contains(out, name) {
			continue
		}
		if !slices.Contains(kitSystems, name) {
			return nil, command.Failf(command.Usage, "there are "+strings.Join(kitSystems, ", "), "there is no collector for %q", name)
		}
		out = append(out, name)
	}
	switch {
	case len(out) == 0:
		return nil, command.Failf(command.Usage, "for example: --for linux/amd64", "collector build needs --for")
	case c.Bool("single") && len(out) > 1:
		return nil, command.Failf(command.Usage, "build one for each system, or a folder for all", "one file holds one collector, %d systems are named", len(out))
	}
	return out, nil
}

// kitSigner is who signs the job: the examiner of the order, or where somebody
// else builds the kit of a delegated one, its one-time key.
func kitSigner(c *cli.Context, order *gathering.Order) (*chainofcustody.Identity, error) {
	id, err := identity(c)
	if order == nil || err == nil && id.Fingerprint() == order.Examiner.Key {
		return id, err
	}
	if order.Key != nil {
		return &chainofcustody.Identity{ID: chainofcustody.CollectorPrincipal(order.Exhibit), Key: order.Key}, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, command.Failf(command.WrongKey, "sign as the examiner of the order, or have a delegated order made: exhibit order new --delegate",
		"the order is signed by %s with %s, you are %s with %s", order.Examiner.ID, order.Examiner.Key, id.ID, id.Fingerprint())
}

// kitContents is the job and what travels with it, without the programs, and
// what it selects in one line.
func kitContents(c *cli.Context, order *gathering.Order) (in *kit.Contents, selected string, err error) {
	in = &kit.Contents{Job: &chainofcustody.Job{Authority: c.String("authority"), Purpose: c.String("purpose")}, Files: map[string][]byte{}, Readme: readme}
	selection, err := gathering.SelectionOf(c, order)
	if err != nil {
		return nil, "", err
	}
	in.Job.Selection = selection.Digest()
	to, err := recipients(c)
	if err != nil {
		return nil, "", err
	}
	texts := envelope.Texts(to)
	if order != nil {
		if err := takeOrder(in, order, c.String("order")); err != nil {
			return nil, "", err
		}
		if len(texts) == 0 {
			texts = order.Recipients
		}
	} else if err := ownWindow(c, in.Job); err != nil {
		return nil, "", err
	}
	if err := carryFiles(c, in, selection.Set); err != nil {
		return nil, "", err
	}
	in.Job.Run, err = settings(c, in, texts)
	return in, selection.Text, err
}

func takeOrder(in *kit.Contents, o *gathering.Order, path string) error {
	j := in.Job
	j.Case, j.Exhibit, j.NotBefore, j.NotAfter, j.OrderSHA256 = o.Case, o.Exhibit, o.NotBefore, o.NotAfter, o.Digest
	j.Authority, j.Purpose = cmp.Or(j.Authority, o.Authority), cmp.Or(j.Purpose, o.Purpose)
	in.Files[gathering.OrderFile], in.Files[gathering.OrderSigFile] = o.File, o.Sig
	if o.Key == nil {
		return nil
	}
	if st, err := os.Stat(path); err == nil && !st.IsDir() {
		path = filepath.Dir(path)
	}
	key, err := os.ReadFile(filepath.Join(path, gathering.RunKeyFile))
	in.Files[gathering.RunKeyFile], in.Files[gathering.RunCertFile] = key, o.Certificate
	return err
}

func ownWindow(c *cli.Context, j *chainofcustody.Job) error {
	j.Case, j.Exhibit = c.String("case-number"), c.String("exhibit")
	j.NotBefore = time.Now().UTC().Truncate(time.Second)
	if from := c.String("from"); from != "" {
		t, err := time.Parse(time.RFC3339, from)
		if err != nil {
			return command.Failf(command.Usage, "for example: --from 2026-03-01T08:00:00Z", "bad time %q", from)
		}
		j.NotBefore = t.UTC().Truncate(time.Second)
	}
	j.NotAfter = j.NotBefore.Add(c.Duration("valid").Truncate(time.Second))
	return nil
}

// maxCarried bounds keys of servers and the like.
const maxCarried = 1 << 20

// carryFiles takes into the kit the files that settings name.
func carryFiles(c *cli.Context, in *kit.Contents, set *definition.Set) error {
	if set != nil {
		var b bytes.Buffer
		if err := set.WriteTar(&b); err != nil {
			return err
		}
		in.Files[gathering.DefinitionsFile] = b.Bytes()
	}
	for flag, paths := range map[string][]string{"known-hosts": c.StringSlice("known-hosts"), "ca": {c.String("ca")}} {
		for _, path := range paths {
			if path == "" {
				continue
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			b, err := io.ReadAll(io.LimitReader(f, maxCarried+1))
			f.Close()
			if err != nil {
				return err
			}
			if len(b) > maxCarried {
				return command.Failf(command.Usage, "name a file with keys", "%s is longer than %d bytes", path, maxCarried)
			}
			if len(b) > 0 && b[len(b)-1] != '\n' {
				b = append(b, '\n')
			}
			in.Files[kitFiles[flag]] = append(in.Files[kitFiles[flag]], b...)
		}
	}
	if c.Bool("single") {
		for flag, name := range kitFiles {
			if _, ok := in.Files[name]; ok {
				return command.Failf(command.Usage, "build a folder or an archive, without --single", "a single file cannot carry what --%s names: nothing is unpacked on a host", flag)
			}
		}
	}
	return nil
}

// settings are what the job tells the collector, by flag.
func settings(c *cli.Context, in *kit.Contents, to []string) ([]string, error) {
	var run []string
	say := func(name, value string) { run = append(run, name+"="+value) }
	for _, f := range jobFlags() {
		name := f.Names()[0]
		if _, carried := kitFiles[name]; carried || name == "recipient" || name == "authority" || !c.IsSet(name) {
			continue
		}
		switch f.(type) {
		case *cli.StringSliceFlag:
			for _, v := range c.StringSlice(name) {
				say(name, v)
			}
		default:
			say(name, fmt.Sprint(c.Value(name)))
		}
	}
	for flag, name := range kitFiles {
		if _, ok := in.Files[name]; ok {
			say(flag, name)
		}
	}
	for _, r := range to {
		say("recipient", r)
	}
	if out := c.String("to"); out != "" {
		if out == "-" {
			return nil, command.Failf(command.Usage, "leave --to out: -o - at the host is for whoever stands there", "a kit has no standard output of its own")
		}
		if u, err := url.Parse(out); sink.IsURL(out) && (err != nil || u.RawQuery != "" || hasPassword(u)) {
			return nil, command.Failf(command.Usage, "write for example sftp://me@lab/in/ or exhibit://lab:7443; what lies in a kit is no secret", "--to is no plain address, or has a password or query")
		}
		say("output", out)
	}
	slices.SortStableFunc(run, func(a, b string) int {
		x, _, _ := strings.Cut(a, "=")
		y, _, _ := strings.Cut(b, "=")
		return strings.Compare(x, y)
	})
	return run, nil
}

func hasPassword(u *url.URL) bool {
	_, has := u.User.Password()
	return has
}

// keepsToOrder refuses a kit whose every run would depart from its order.
func keepsToOrder(in *kit.Contents, selected string, o *gathering.Order) error {
	if o == nil {
		return nil
	}
	for name, program := range in.Programs {
		use := chainofcustody.Use{
			Case: o.Case, Exhibit: o.Exhibit, At: o.NotBefore, Tool: evidence.Sum(program), Profile: selected,
			ProfileSHA256: in.Job.Selection, Recipients: in.Job.Settings("recipient"), Key: o.Order.Key,
		}
		if d := o.Departures(use); len(d) > 0 {
			return command.Failf(command.Usage, "leave the flags out that the order settles, or have another order made: exhibit order new",
				"a kit with %s would depart from its order: %s", name, term.Escape(strings.Join(d, "; ")))
		}
	}
	return nil
}

// writeKit writes the kit in the form that its name and the flags ask for.
func writeKit(c *cli.Context, files []kit.File) (form string, err error) {
	path := c.String("kit")
	write, mode, form := kit.WriteZip, os.FileMode(0o600), kit.FormZip
	switch {
	case c.Bool("single"):
		write, mode, form = kit.WriteSingle, 0o700, kit.FormSingle
	case strings.HasSuffix(path, ".tar.zst"):
		write, form = kit.WriteTar, kit.FormTar
	case strings.HasSuffix(path, ".zip"):
	default:
		return kit.FormFolder, kit.WriteFolder(path, files)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return "", err
	}
	if err := errors.Join(write(f, files), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return form, nil
}

func toldKit(c *cli.Context, in *kit.Contents, form string) error {
	path := c.String("kit")
	l, err := kit.Load(path)
	if err != nil {
		return fmt.Errorf("read back what was written: %w", err)
	}
	if p := l.Problems(); len(p) > 0 {
		return command.Failf(command.Failure, "try another medium", "what was written reads back as another kit: %s", strings.Join(p, "; "))
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, describeKit(l, "", nil))
	}
	fmt.Fprintf(c.App.Writer, "kit written: %s (%s)\n", term.Escape(path), form)
	printKit(c.App.Writer, l)
	if _, ok := in.Files[gathering.RunKeyFile]; ok {
		fmt.Fprintln(c.App.ErrWriter, "The kit holds a one-time key: until the order ends, whoever has it can seal one bundle in the examiner's name.")
	}
	if form == kit.FormSingle {
		fmt.Fprintln(c.App.ErrWriter, "The file has another hash than the published collector, and a code signature of Windows or macOS no longer holds: a folder or zip keeps both.")
	}
	return nil
}
