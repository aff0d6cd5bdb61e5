package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
)

// subject is one thing to verify: a bundle, logs of a case, or a time stamp.
type subject struct {
	path     string
	bundle   string // file of the bundle, for bundles
	cs       *chainofcustody.Case
	exhibits []string // whose logs are verified
	whole    bool     // a case folder: its bundles are verified, too
	token    bool     // path is a time stamp
}

// recognise says by its content what an argument is. What is nothing else is
// taken for a bundle: verification then says what it lacks.
func (v *verifier) recognise(path string) (subject, error) {
	s := subject{path: path}
	st, err := os.Stat(path)
	if err != nil {
		return s, err
	}
	if st.IsDir() {
		return folder(path)
	}
	if !st.Mode().IsRegular() {
		return s, command.Failf(command.Failure, "copy it into a file first", "%s is neither a file nor a folder", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return s, err
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")): // a zstd frame, whatever its name
	case verifying.Encrypted(head):
		return s, encrypted(path)
	case len(head) > 262 && string(head[257:262]) == "ustar":
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return s, err
		}
		s.cs, s.exhibits, err = v.unpack(f, path)
		return s, err
	case strings.HasSuffix(path, ".tsr") || len(head) > 1 && head[0] == 0x30 && head[1] >= 0x80:
		s.token = true // a DER sequence, which no bundle begins like
		return s, nil
	case len(head) > 0 && head[0] == '{' && strings.HasSuffix(path, ".json"):
		return s, command.Failf(command.Usage, "give its folder, custody/EX-NNN: an event is judged with those before it", "%s is a single event", path)
	}
	s.bundle = path
	return s, nil
}

// encrypted refuses a bundle that nothing here can open.
func encrypted(path string) error {
	return command.Fail(command.Failure, "decrypt it first: age -d -i KEY FILE > FILE.exhibit.tar.zst", fmt.Errorf("%s %w", path, errEncrypted))
}

var errEncrypted = errors.New("is encrypted")

// folder opens a case folder, or one exhibit's log in it.
func folder(path string) (subject, error) {
	s := subject{path: path}
	cs, err := chainofcustody.OpenCase(path)
	if err == nil {
		names, err := cs.Exhibits()
		s.cs, s.exhibits, s.whole = cs, names, true
		if err == nil && len(names) == 0 {
			err = command.Failf(command.Failure, "look for a slip in the path", "case %s in %s has no exhibit", cs.Info.ID, path)
		}
		return s, err
	}
	abs, abort := filepath.Abs(path)
	if abort != nil {
		return s, abort
	}
	if !chainofcustody.IsExhibit(filepath.Base(abs)) || !errors.Is(err, chainofcustody.ErrNoCase) {
		return s, caseError(err)
	}
	s.cs, err = chainofcustody.OpenCase(filepath.Dir(filepath.Dir(abs)))
	s.exhibits = []string{filepath.Base(abs)}
	return s, caseError(err)
}

// unpack lays a portable log out in a temporary folder.
func (v *verifier) unpack(f *os.File, path string) (*chainofcustody.Case, []string, error) {
	dir, err := os.MkdirTemp("", program+"-*")
	if err != nil {
		return nil, nil, err
	}
	v.temp = append(v.temp, dir)
	im, err := chainofcustody.Import(f, dir)
	switch {
	case errors.Is(err, chainofcustody.ErrPortable):
		return nil, nil, command.Fail(command.Integrity, "ask for the file again: as it is, none of it is taken for a log", fmt.Errorf("%s: %w", path, err))
	case err != nil:
		return nil, nil, caseError(err)
	case len(im.Exhibits) == 0:
		return nil, nil, command.Failf(command.Integrity, "ask for the file again", "%s holds no event", path)
	}
	return im.Case, im.Exhibits, nil
}

// clean removes what unpack laid out.
func (v *verifier) clean() {
	for _, dir := range v.temp {
		_ = os.RemoveAll(dir) //nolint:errcheck // copies of files that are elsewhere
	}
}

// eventBeside finds the event that a time stamp lies beside: NAME.json of
// NAME.json.tsr and NAME.json.<digits>.tsr.
func eventBeside(token string) (string, error) {
	dir, base := filepath.Split(token)
	name, _, ok := strings.Cut(base, ".json.")
	event := dir + name + ".json"
	if !ok {
		return "", command.Failf(command.Usage, "put it beside its event: NAME.json.tsr beside NAME.json", "the name of %s does not say what it is a time stamp of", token)
	}
	if _, err := os.Stat(event); errors.Is(err, fs.ErrNotExist) {
		return "", command.Failf(command.Failure, "put the event beside its time stamp, in the same folder", "%s is not there", event)
	}
	return event, nil
}

// rootsBeside are the roots of the case that a time stamp lies in, none where
// it lies in no case.
func rootsBeside(token string) (*chainofcustody.Case, error) {
	abs, err := filepath.Abs(token)
	if err != nil {
		return nil, err
	}
	cs, err := chainofcustody.OpenCase(filepath.Dir(filepath.Dir(filepath.Dir(abs))))
	if errors.Is(err, chainofcustody.ErrNoCase) {
		return nil, nil
	}
	return cs, caseError(err)
}

// caseError gives errors of cases their exit code.
func caseError(err error) error {
	switch {
	case errors.Is(err, chainofcustody.ErrNoCase):
		return command.Fail(command.NoCase, "give a case folder, or custody/EX-NNN inside one: case.json and allowed_signers belong to the log", err)
	case errors.Is(err, chainofcustody.ErrCaseDamaged):
		return command.Fail(command.Failure, "put back a copy of case.json: it holds the case's number and title, no evidence", err)
	case errors.Is(err, chainofcustody.ErrNewerSchema):
		return command.Fail(command.NoCase, "use the newer "+program, err)
	}
	return err
}

// bundleIn is the bundle of an exhibit of a case folder, "" where none lies there.
func bundleIn(cs *chainofcustody.Case, exhibit string) string {
	path, err := verifying.BundleOf(cs, exhibit)
	if err != nil {
		return ""
	}
	return path
}
