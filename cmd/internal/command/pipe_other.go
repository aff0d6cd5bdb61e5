//go:build !unix

package command

func ignoreBrokenPipe() {} // no such signal there
