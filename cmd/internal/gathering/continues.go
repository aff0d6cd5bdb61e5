package gathering

import (
	"errors"
	"io/fs"
	"os"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/evidence"
)

const continuesHint = "give the bundle itself, the .seal folder beside an encrypted one, or the 64 digits of its seal id"

// Continues returns the seal id of the bundle that a new one continues: arg is
// that id, a bundle, or a folder with its seal. An encrypted bundle is known by
// the seal beside it: nothing is decrypted on the host of a collection.
func Continues(arg string) (string, error) {
	if arg == "" {
		return "", nil
	}
	if id, err := evidence.ParseDigest(arg); err == nil {
		return id.String(), nil
	}
	f, err := os.Open(arg)
	if err != nil {
		return "", command.Fail(command.Usage, continuesHint, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	folder := ""
	switch {
	case st.IsDir():
		folder = arg
	case envelope.Is(f, st.Size()):
		folder = arg + bundle.SealFolder
	}
	if folder != "" {
		return sealOf(folder)
	}
	r, err := bundle.Open(f, st.Size())
	if err != nil {
		return "", command.Fail(command.Failure, "exhibit verify "+arg+" says what is wrong with it", err)
	}
	if !r.Sealed() {
		return "", command.Failf(command.Failure, "only a sealed bundle has a seal id", "%s was never sealed", arg)
	}
	return r.Seal().ID.String(), nil
}

func sealOf(folder string) (string, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", command.Fail(command.Failure, continuesHint, err)
	}
	defer root.Close()
	s, _, err := bundle.ReadSealFolder(root.FS())
	if errors.Is(err, fs.ErrNotExist) {
		return "", command.Fail(command.Failure, continuesHint, err)
	}
	if err != nil {
		return "", command.Fail(command.Integrity, "take the seal id from paper or from the custody log instead", err)
	}
	return s.ID.String(), nil
}
