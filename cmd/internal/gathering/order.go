package gathering

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// Names of the files of an order. The last two are there for a delegated
// collection only.
const (
	OrderFile    = "order.json"
	OrderSigFile = "order.json.sig"
	RunKeyFile   = "collector_key"
	RunCertFile  = "collector_key-cert.pub"
)

// Order is a collection order as it was carried to the host.
type Order struct {
	*chainofcustody.Order
	File, Sig   []byte
	Key         *chainofcustody.RunKey // delegated: the one-time key
	Certificate []byte                 // and what the examiner says of it
	Definitions string                 // the set of definitions beside it; "": none
}

// ReadOrder reads an order from its folder or its order.json and checks that
// its files belong together. Whether its signer is trusted is not asked here:
// the host is no place to keep a list of trusted keys.
func ReadOrder(path string) (*Order, error) {
	dir := path
	if st, err := os.Stat(path); err == nil && !st.IsDir() {
		dir = filepath.Dir(path)
	}
	o, err := readOrder(os.DirFS(dir), dir)
	if err != nil {
		return nil, orderError(path, err)
	}
	return o, nil
}

// readOrder is ReadOrder for files that may lie in memory: dir is "" then.
func readOrder(files fs.FS, dir string) (*Order, error) {
	var o Order
	var err error
	if o.File, err = readSmall(files, OrderFile); err != nil {
		return nil, err
	}
	if o.Sig, err = readSmall(files, OrderSigFile); err != nil {
		return nil, err
	}
	if o.Order, _, err = chainofcustody.VerifyOrder(o.File, o.Sig); err != nil {
		return nil, err
	}
	if dir != "" {
		if o.Definitions, err = definitionsBeside(dir); err != nil {
			return nil, err
		}
	}
	if o.Order.Key == "" {
		return &o, nil
	}
	if o.Key, err = readRunKey(files); err != nil {
		return nil, err
	}
	if got := chainofcustody.Fingerprint(o.Key.PublicKey()); got != o.Order.Key {
		return nil, fmt.Errorf("the order names the one-time key %s, %s is %s", o.Order.Key, RunKeyFile, got)
	}
	if o.Certificate, err = readSmall(files, RunCertFile); err != nil {
		return nil, err
	}
	if _, err = chainofcustody.VerifyCertificate(o.Certificate, o.Key.PublicKey(), o.Exhibit, o.NotBefore); err != nil {
		return nil, err
	}
	return &o, nil
}

func orderError(path string, err error) error {
	if errors.Is(err, chainofcustody.ErrNewerSchema) {
		return command.Fail(command.NoCase, "use the newer exhibit-collector that belongs to it", err)
	}
	return command.Fail(command.Failure, "copy the order's folder again, whole: "+OrderFile+", "+OrderSigFile+" and what lies beside them",
		fmt.Errorf("read order %s: %w", path, err))
}

func statRegular(path string) (bool, error) {
	st, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return st.Mode().IsRegular(), nil
}

func readSmall(files fs.FS, name string) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > chainofcustody.MaxOrderSize {
		return nil, fmt.Errorf("%s is no small file", name)
	}
	return io.ReadAll(io.LimitReader(f, chainofcustody.MaxOrderSize))
}

// readRunKey reads a one-time key. Its file may be readable by others: media
// that carry it to a host often know no permissions.
func readRunKey(files fs.FS) (*chainofcustody.RunKey, error) {
	text, err := readSmall(files, RunKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the order is for a one-time key, and %s is not there", RunKeyFile)
	}
	if err != nil {
		return nil, err
	}
	defer clear(text)
	raw, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", RunKeyFile, err)
	}
	key, ok := raw.(*ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is no Ed25519 key", RunKeyFile)
	}
	return chainofcustody.RunKeyOf(*key)
}

// Check compares what is about to run with the order. A departure is an error
// that says how to go on all the same: a clock may be wrong, and evidence
// that was not taken is lost.
func (o *Order) Check(s *Selection, recipients []string, at time.Time) error {
	use := chainofcustody.Use{
		Case: o.Case, Exhibit: o.Exhibit, At: at, Tool: command.OwnDigest(), Profile: s.Text, ProfileSHA256: s.Digest(),
		Recipients: recipients, Key: o.Order.Key,
	}
	if d := o.Departures(use); len(d) > 0 {
		return command.Failf(command.Failure, "with --outside-order it is collected all the same, and the verdict will say so",
			"this collection departs from its order: %s", term.Escape(strings.Join(d, "; ")))
	}
	return nil
}

// Mandate returns what ties the key of a run to people: the order, where
// there is one, and the examiner who attends, where one does.
func Mandate(id *chainofcustody.Identity, exhibit string, o *Order) func(ssh.PublicKey) (bundle.Mandate, error) {
	if id == nil && o == nil {
		return nil
	}
	return func(key ssh.PublicKey) (bundle.Mandate, error) {
		m := bundle.Mandate{Grade: bundle.GradeUnattended}
		nonce := ""
		if o != nil {
			m.Order, m.OrderSig, nonce = o.File, o.Sig, o.NonceText()
		}
		switch {
		case o != nil && o.Key != nil:
			m.Grade, m.Certificate = bundle.GradeDelegated, o.Certificate
		case id != nil:
			m.Grade = bundle.GradeAttended
			var err error
			if m.Statement, err = id.Key.Sign(chainofcustody.NamespaceCustody, bundle.CollectorPub(key)); err != nil {
				return m, err
			}
			keyID := "collection attended by " + id.ID
			if m.Certificate, err = chainofcustody.Certify(id, key, chainofcustody.AttendedTerms(exhibit, keyID, nonce, time.Now())); err != nil {
				return m, err
			}
		}
		return m, nil
	}
}

// OrderRef is how an event names the order a bundle was collected under.
func OrderRef(file []byte) []string {
	if len(file) == 0 {
		return nil
	}
	return []string{evidence.Sum(file).String()}
}

// TakeOrder reads the order that the flags name, unless the caller has, and
// lets it fill in what it settles: case, exhibit and what is collected. What
// the flags select is read here, with an order or without.
func (w *Who) TakeOrder(c *cli.Context) error {
	if path := c.String("order"); path != "" && w.Order == nil {
		o, err := ReadOrder(path)
		if err != nil {
			return err
		}
		w.Order = o
	}
	if w.Job != nil && w.Order == nil {
		w.Order = w.Job.order
	}
	o := w.Order
	if o != nil {
		if err := o.takeSelection(c); err != nil {
			return err
		}
	}
	if w.selection == nil {
		var err error
		if w.selection, err = Select(c); err != nil {
			return err
		}
	}
	if o == nil {
		return w.checkJob(c)
	}
	w.Case, w.Exhibit = o.Case, o.Exhibit
	if w.Authority == "" {
		w.Authority = o.Authority
	}
	if len(w.Recipients) == 0 {
		for _, text := range o.Recipients {
			one, err := envelope.ParseRecipient(text)
			if err != nil {
				return recipientError(err)
			}
			w.Recipients = append(w.Recipients, one)
		}
	}
	if c.Bool("outside-order") {
		return nil
	}
	if err := o.Check(w.selection, envelope.Texts(w.Recipients), time.Now()); err != nil {
		return err
	}
	return w.checkJob(c)
}

// checkJob compares the run with its job, where it has one.
func (w *Who) checkJob(c *cli.Context) error {
	if w.Job == nil || c.Bool("outside-order") {
		return nil
	}
	return w.Job.check(w.selection, w.Recipients, time.Now())
}
