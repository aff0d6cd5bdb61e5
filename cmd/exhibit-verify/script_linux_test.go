package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/exhibit-dfir/exhibit/cmd/internal/clitest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){program: main, "vectors": copyVectors})
}

func TestScripts(t *testing.T) { clitest.Run(t) }

// copyVectors is a program of the scripts: it puts the vectors where they run.
func copyVectors() {
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if err := os.CopyFS(".", os.DirFS(filepath.Join(root, "testdata", "vectors"))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
