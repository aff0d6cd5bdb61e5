// Command exhibit collects evidence, keeps its custody, builds timelines and
// finds root causes. Each command reads flags, makes one call and prints.
package main

import (
	"os"
	_ "time/tzdata" // zones of evidence must not depend on the analyst's machine

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(frame.Main(newApp(), os.Args, os.Stdout, os.Stderr)) }

// Categories of the help text, in the order of an investigation.
const (
	catCollect  = "1 COLLECT"
	catEvidence = "2 EVIDENCE"
	catCustody  = "3 CUSTODY"
	catAnalyze  = "4 ANALYZE"
	catOther    = "5 OTHER"
)

func newApp() *cli.App {
	return &cli.App{
		Name:      "exhibit",
		Usage:     "collect evidence, prove it, explain it",
		UsageText: "exhibit [global flags] COMMAND [flags] [arguments]",
		Description: "Everything happens in a case, a plain folder. For example:\n" +
			"   exhibit key new ~/.ssh/exhibit --id you@lab      (once)\n" +
			"   exhibit case init CASE-7 && cd CASE-7\n" +
			"   sudo exhibit collect                             (this machine; or --root /mnt/image)\n" +
			"   exhibit verify EX-001\n" +
			"   exhibit timeline build\n" +
			"   exhibit timeline query 'action:user-login AND outcome:success'\n" +
			"   exhibit why EVENT; exhibit prove EVENT           (ids stand in the first column of the query)\n" +
			"   exhibit report EX-001",
		Flags: append(frame.GlobalFlags(),
			&cli.StringFlag{Name: "case", Usage: "case `DIR` (default: the one around the current directory)", EnvVars: []string{"EXHIBIT_CASE"}},
			&cli.StringFlag{Name: "key", Usage: "sign with this SSH private key `FILE`, or agent:FINGERPRINT", EnvVars: []string{"EXHIBIT_KEY"}},
			&cli.StringFlag{Name: "id", Usage: "sign as `WHO`, for example alice@lab", EnvVars: []string{"EXHIBIT_ID"}},
			&cli.StringSliceFlag{Name: "identity", Usage: "open encrypted bundles with the age identity or SSH private key in `FILE` (repeatable)", EnvVars: []string{"EXHIBIT_IDENTITY"}},
			&cli.StringFlag{Name: "identity-passphrase-file", Usage: "read the identity's passphrase from `FILE`", EnvVars: []string{"EXHIBIT_IDENTITY_PASSPHRASE_FILE"}},
			&cli.StringFlag{Name: "passphrase-file", Usage: "read the key's passphrase from `FILE`", EnvVars: []string{"EXHIBIT_PASSPHRASE_FILE"}},
		),
		After: giveBack,
		Commands: []*cli.Command{
			collectCommand(), planCommand(), resumeCommand(), collectorsCommand(), collectorCommand(), artifactCommand(), volumesCommand(),
			verifyCommand(), recoverCommand(), convertCommand(), lsCommand(), catCommand(), extractCommand(), memoryCommand(),
			importCommand(), discloseCommand(), deriveCommand(), eraseCommand(),
			keyCommand(), orderCommand(), caseCommand(), custodyCommand(), listenCommand(), reportCommand(),
			certificateCommand(), privilegeCommand(), formCommand(),
			timelineCommand(), whyCommand(), proveCommand(),
			versionCommand(), completionCommand(),
		},
	}
}
