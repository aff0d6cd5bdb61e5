//go:build !linux && !windows && !darwin && !freebsd

package collect

import (
	"context"
	"os"

	"github.com/exhibit-dfir/exhibit/evidence"
)

type hostSystem struct{}

// OpenHost returns ErrUnsupported: this program was built for a system whose
// hosts it cannot collect, so that no Host exists and the methods below are
// never reached.
func OpenHost(string, bool) (*Host, error) { return nil, ErrUnsupported }

// Close returns ErrUnsupported, as do all methods that touch the host.
func (h *Host) Close() error { return ErrUnsupported }

// Open returns ErrUnsupported.
func (h *Host) Open(string) (*os.File, error) { return nil, ErrUnsupported }

// OpenLink returns ErrUnsupported.
func (h *Host) OpenLink(int, string) (*os.File, error) { return nil, ErrUnsupported }

// ReadFile returns ErrUnsupported.
func (h *Host) ReadFile(string, int64) ([]byte, error) { return nil, ErrUnsupported }

// Readlink returns ErrUnsupported.
func (h *Host) Readlink(string) (string, error) { return "", ErrUnsupported }

// Stat returns ErrUnsupported.
func (h *Host) Stat(string) (*evidence.Stat, error) { return nil, ErrUnsupported }

// StatNames returns ErrUnsupported.
func (h *Host) StatNames(string, []string) ([]*evidence.Stat, error) { return nil, ErrUnsupported }

// StatFile returns ErrUnsupported.
func (h *Host) StatFile(interface{ Fd() uintptr }) (*evidence.Stat, error) {
	return nil, ErrUnsupported
}

// Xattrs returns ErrUnsupported.
func (h *Host) Xattrs(string) (map[string][]byte, error) { return nil, ErrUnsupported }

// ReadDir returns ErrUnsupported.
func (h *Host) ReadDir(string) ([]DirEntry, error) { return nil, ErrUnsupported }

// ListDir returns ErrUnsupported.
func (h *Host) ListDir(string, func([]DirEntry) error) error { return ErrUnsupported }

// WalkWith returns ErrUnsupported.
func (h *Host) WalkWith(context.Context, string, Walker) error { return ErrUnsupported }

// Mounts returns ErrUnsupported.
func (h *Host) Mounts() ([]MountPoint, error) { return nil, ErrUnsupported }

// MountOf finds nothing.
func (h *Host) MountOf(string) (MountPoint, bool) { return MountPoint{}, false }

// IsNetworkOrPseudo returns ErrUnsupported.
func (h *Host) IsNetworkOrPseudo(string) (bool, string, error) { return false, "", ErrUnsupported }

// StatFS returns ErrUnsupported.
func (h *Host) StatFS(string) (total, free int64, err error) { return 0, 0, ErrUnsupported }

func (h *Host) fileXattrs(*os.File, string) (map[string][]byte, error) { return nil, ErrUnsupported }

func (h *Host) streamNames(string) ([]string, error) { return nil, ErrUnsupported }

func (h *Host) openLocked(string) (lockedFile, error) { return nil, ErrUnsupported }

func holesOf(_ uintptr, size int64) ([]evidence.Extent, int64) { return nil, size }
