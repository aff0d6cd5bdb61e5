package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/exhibit-dfir/exhibit/cmd/internal/clitest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"exhibit": main})
}

func TestScripts(t *testing.T) { clitest.Run(t) }
