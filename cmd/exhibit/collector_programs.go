package main

import (
	"bufio"
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// kitPrograms reads the collector of each system, as make dist built it, and
// compares it with the checksums beside it. By itself it is called
// exhibit-collector in the kit; several keep the names of dist.
func kitPrograms(c *cli.Context, systems []string) (map[string][]byte, error) {
	dirs, err := programFolders(c)
	if err != nil {
		return nil, err
	}
	flavour := "exhibit-collector"
	if to := c.String("to"); strings.HasPrefix(to, "https://") || strings.HasPrefix(to, "s3://") {
		flavour = "exhibit-collector-web" // the other cannot send there
	}
	out := map[string][]byte{}
	for _, system := range systems {
		suffix := ""
		if strings.HasPrefix(system, "windows/") {
			suffix = ".exe"
		}
		file := flavour + "-" + strings.ReplaceAll(system, "/", "-") + suffix
		program, err := findProgram(dirs, file, system)
		if err != nil {
			return nil, err
		}
		name := "exhibit-collector" + suffix
		if len(systems) > 1 {
			name = "exhibit-collector-" + strings.ReplaceAll(system, "/", "-") + suffix
		}
		out[name] = program
	}
	return out, nil
}

func programFolders(c *cli.Context) ([]string, error) {
	if dir := c.String("binaries"); dir != "" {
		return []string{dir}, nil
	}
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	beside := filepath.Dir(own)
	return []string{beside, filepath.Join(beside, "dist"), filepath.Join(filepath.Dir(beside), "dist")}, nil
}

func findProgram(dirs []string, file, system string) ([]byte, error) {
	for _, dir := range dirs {
		program, err := os.ReadFile(filepath.Join(dir, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sums, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
		if err != nil {
			return nil, command.Fail(command.Failure, "copy SHA256SUMS of make dist beside the programs", fmt.Errorf("%s has no checksum: %w", file, err))
		}
		want, ok := checksumOf(sums, file)
		if !ok {
			return nil, command.Failf(command.Failure, "take program and SHA256SUMS of one make dist", "%s does not list %s", filepath.Join(dir, "SHA256SUMS"), file)
		}
		if got := evidence.Sum(program); got != want {
			return nil, command.Failf(command.Integrity, "this is not the collector that was published: find out why before you use it", "%s has the SHA-256 %s, not %s", filepath.Join(dir, file), got, want)
		}
		if is := systemOf(program); is != system {
			return nil, command.Failf(command.Integrity, "run make dist again", "%s is a program for %s", filepath.Join(dir, file), is)
		}
		return program, nil
	}
	return nil, command.Failf(command.Failure, "make dist builds it; --binaries DIR says where it is", "no %s in %s", file, strings.Join(dirs, ", "))
}

// checksumOf reads a line of sha256sum.
func checksumOf(sums []byte, file string) (evidence.Digest, bool) {
	lines := bufio.NewScanner(bytes.NewReader(sums))
	for lines.Scan() {
		sum, name, _ := strings.Cut(lines.Text(), " ")
		if strings.TrimPrefix(strings.TrimLeft(name, " *"), "./") != file {
			continue
		}
		d, err := evidence.ParseDigest(sum)
		return d, err == nil
	}
	return evidence.Digest{}, false
}

// systemOf is the system a program is for, as GOOS/GOARCH, by its header.
// Which of the systems with ELF it is, Linux or FreeBSD, is said by a note or
// OS/ABI.
func systemOf(program []byte) string {
	r := bytes.NewReader(program)
	if f, err := elf.NewFile(r); err == nil {
		system := "linux"
		if f.OSABI == elf.ELFOSABI_FREEBSD {
			system = "freebsd"
		}
		return system + "/" + map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm"}[f.Machine]
	}
	if f, err := pe.NewFile(r); err == nil {
		return "windows/" + map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64", pe.IMAGE_FILE_MACHINE_I386: "386"}[f.Machine]
	}
	if f, err := macho.NewFile(r); err == nil {
		return "darwin/" + map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[f.Cpu]
	}
	return "no known system"
}
