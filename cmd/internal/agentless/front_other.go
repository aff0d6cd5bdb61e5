//go:build !unix

package agentless

import "os/exec"

// apart does nothing where there are no process groups.
func apart(*exec.Cmd, bool) (back func()) { return func() {} }
