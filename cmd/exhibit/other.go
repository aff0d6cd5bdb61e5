package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
)

func versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "which program this is", Category: catOther,
		Description: "Example:\n   exhibit version --json",
		Action: func(c *cli.Context) error {
			digest := command.OwnDigest().String()
			if c.Bool("json") {
				return command.JSON(c.App.Writer, map[string]string{
					"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "sha256": digest,
				})
			}
			fmt.Fprintf(c.App.Writer, "exhibit %s (%s, %s/%s)\nSHA-256 %s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, digest)
			return nil
		},
	}
}

// completions are small scripts that ask the program itself what fits.
var completions = map[string]string{
	"bash": `_exhibit() {
	local words
	words=$("${COMP_WORDS[@]:0:$COMP_CWORD}" --generate-bash-completion 2>/dev/null)
	COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _exhibit exhibit
`,
	"zsh": `#compdef exhibit
_exhibit() {
	local -a words
	words=("${(@f)$(${words[@]:0:#words[@]-1} --generate-bash-completion 2>/dev/null)}")
	compadd -a words
}
compdef _exhibit exhibit
`,
	"fish": "complete -c exhibit -f -a '(eval (commandline -opc) --generate-bash-completion 2>/dev/null)'\n",
}

func completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print the completion script of a shell", ArgsUsage: "bash|zsh|fish", Category: catOther,
		Description: "Example:\n   exhibit completion bash > /etc/bash_completion.d/exhibit",
		Action: func(c *cli.Context) error {
			shell, err := oneArgument(c, "shell")
			if err != nil {
				return err
			}
			script, ok := completions[strings.ToLower(shell)]
			if !ok {
				return command.Failf(command.Usage, "choose bash, zsh or fish", "no completion for %q", shell)
			}
			if c.Bool("json") {
				return command.JSON(c.App.Writer, map[string]string{"shell": strings.ToLower(shell), "script": script})
			}
			_, err = fmt.Fprint(c.App.Writer, script)
			return err
		},
	}
}
