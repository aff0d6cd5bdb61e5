package command

import "github.com/urfave/cli/v2"

// ExitHelp is the table as every help text shows it.
const ExitHelp = `EXIT CODES:
   0 success · 1 failure · 2 usage · 3 partial: something was unreadable or lost (listed)
   4 integrity failure · 5 integrity fine, trust incomplete (unknown signer, time unproven)
   6 findings at or above --fail-on · 7 case missing, locked or of a newer schema
   8 wrong key or passphrase · 9 privilege missing · 10 limit reached, resumable · 130/143 interrupted
`

// The help texts. The library's own say of every switch that it is off, name
// the category of every command, and list "help" as a command of each group.
const (
	helpHead    = "NAME:\n   {{template \"helpNameTemplate\" .}}\n\nUSAGE:\n   "
	helpAbout   = "{{if .Description}}\n\nDESCRIPTION:\n   {{template \"descriptionTemplate\" .}}{{end}}"
	helpCommand = "{{if ne .Name \"help\"}}\n   {{.Name | printf \"%-12s\"}} {{.Usage}}{{end}}"
	helpFlags   = "{{if .VisibleFlags}}\n\nFLAGS:{{template \"visibleFlagTemplate\" .}}{{end}}\n"
	helpMore    = "\nThe global flags (--json, --quiet, --case, --key …) may stand anywhere as well: exhibit --help\n\n"
	programHelp = helpHead + "{{.UsageText}}" + helpAbout + "{{if .VisibleCommands}}{{$many := false}}{{range .VisibleCategories}}{{if .Name}}{{$many = true}}{{end}}{{end}}{{if $many}}\n\nCOMMANDS:{{range .VisibleCategories}}{{if .Name}}\n {{.Name}}{{range .VisibleCommands}}" + helpCommand + "{{end}}{{end}}{{end}}{{end}}{{end}}" + helpFlags + "\n" + ExitHelp
	groupHelp   = helpHead + "{{.HelpName}} COMMAND [flags] [arguments]" + helpAbout + "\n\nCOMMANDS:{{range .VisibleCommands}}" + helpCommand + "{{end}}" + helpFlags + helpMore + ExitHelp
	commandHelp = helpHead + "{{.HelpName}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}} [flags]" + helpAbout + helpFlags + helpMore + ExitHelp
)

func setHelp(app *cli.App) {
	app.CustomAppHelpTemplate = programHelp
	withoutZeroes(app.Flags)
	var down func(commands []*cli.Command)
	down = func(commands []*cli.Command) {
		for _, c := range commands {
			c.CustomHelpTemplate = commandHelp
			if len(c.Subcommands) > 0 {
				c.CustomHelpTemplate = groupHelp
			}
			withoutZeroes(c.Flags)
			down(c.Subcommands)
		}
	}
	down(app.Commands)
}

// withoutZeroes keeps the help from saying of every switch that it is off.
func withoutZeroes(flags []cli.Flag) {
	for _, f := range flags {
		if b, ok := f.(*cli.BoolFlag); ok {
			b.DisableDefaultText = !b.Value
		}
	}
}
