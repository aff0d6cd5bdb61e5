package frame

import (
	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
)

// The help texts. The library's own say of every switch that it is off, name
// the category of every command, and list "help" as a command of each group.
const (
	helpHead    = "NAME:\n   {{template \"helpNameTemplate\" .}}\n\nUSAGE:\n   "
	helpAbout   = "{{if .Description}}\n\nDESCRIPTION:\n   {{template \"descriptionTemplate\" .}}{{end}}"
	helpCommand = "{{if ne .Name \"help\"}}\n   {{.Name | printf \"%-12s\"}} {{.Usage}}{{end}}"
	helpFlags   = "{{if .VisibleFlags}}\n\nFLAGS:{{template \"visibleFlagTemplate\" .}}{{end}}\n"
	helpMore    = "\nThe global flags (--json, --quiet, --case, --key …) may stand anywhere as well: exhibit --help\n\n"
	programHelp = helpHead + "{{.UsageText}}" + helpAbout + "{{if .VisibleCommands}}{{$many := false}}{{range .VisibleCategories}}{{if .Name}}{{$many = true}}{{end}}{{end}}{{if $many}}\n\nCOMMANDS:{{range .VisibleCategories}}{{if .Name}}\n {{.Name}}{{range .VisibleCommands}}" + helpCommand + "{{end}}{{end}}{{end}}{{end}}{{end}}" + helpFlags + "\n" + command.ExitHelp
	groupHelp   = helpHead + "{{.HelpName}} COMMAND [flags] [arguments]" + helpAbout + "\n\nCOMMANDS:{{range .VisibleCommands}}" + helpCommand + "{{end}}" + helpFlags + helpMore + command.ExitHelp
	commandHelp = helpHead + "{{.HelpName}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}} [flags]" + helpAbout + helpFlags + helpMore + command.ExitHelp
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
