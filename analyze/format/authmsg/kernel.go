package authmsg

import "bytes"

// parseKernel reads the kernel messages that matter to an investigation.
func parseKernel(msg []byte, f *Fields) bool {
	if len(msg) > 0 && msg[0] == '[' { // [seconds since boot]
		if _, rest, ok := cut(msg, "] "); ok {
			msg = trimSpace(rest)
		}
	}
	if rest, ok := cutPrefix(msg, "usb "); ok {
		return parseUSB(rest, f)
	}
	if index(msg, "promiscuous mode") >= 0 {
		return parsePromiscuous(msg, f)
	}
	if rest, ok := cutPrefix(msg, "oom-kill:"); ok {
		return parseOOMSummary(rest, f)
	}
	if i := index(msg, "ut of memory: Kill"); i >= 0 && i < 20 {
		return parseOOM(msg, f)
	}
	if parseTaint(msg, f) {
		return true
	}
	return parseFault(msg, f)
}

// parseUSB reads "PORT: New USB device found, ..." and "PORT: USB disconnect".
func parseUSB(b []byte, f *Fields) bool {
	port, text, ok := cut(b, ": ")
	if !ok || bytes.IndexByte(port, ' ') >= 0 {
		return false
	}
	f.Device = port
	switch {
	case hasPrefix(text, "New USB device found"):
		return f.is("usb-attached", "", Driver)
	case hasPrefix(text, "USB disconnect"):
		return f.is("usb-detached", "", Driver)
	}
	return true
}

// parsePromiscuous reads "[device ]IF[:] entered|left promiscuous mode".
func parsePromiscuous(msg []byte, f *Fields) bool {
	b, _ := cutPrefix(msg, "device ")
	dev, rest := word(b)
	dev, _ = cutSuffix(dev, ":")
	switch string(rest) {
	case "entered promiscuous mode":
		f.Device = dev
		return f.is("promiscuous-mode", "", Network)
	case "left promiscuous mode":
		f.Device = dev
		return f.is("promiscuous-mode-ended", "", Network)
	}
	// A driver's name and bus address come before the interface: "e1000
	// 0000:00:03.0 eth0: entered promiscuous mode".
	if head, ok := cutSuffix(msg, ": entered promiscuous mode"); ok {
		if _, last, found := cutLast(head, " "); found {
			f.Device = last
			return f.is("promiscuous-mode", "", Network)
		}
	}
	return false
}

// parseOOM reads "[Memory cgroup o|O]ut of memory: Kill[ed] process PID (NAME)".
func parseOOM(msg []byte, f *Fields) bool {
	_, rest, ok := cut(msg, " process ")
	if !ok {
		return false
	}
	pid, rest, ok := number(rest)
	if !ok {
		return false
	}
	f.PID = pid
	if rest, ok = cutPrefix(rest, " ("); ok {
		f.Process, _, _ = cut(rest, ")")
	}
	return f.is("oom-kill", "", Process)
}

// parseOOMSummary reads "constraint=...,task=NAME,pid=PID,uid=UID".
func parseOOMSummary(b []byte, f *Fields) bool {
	for len(b) > 0 {
		var part []byte
		part, b, _ = cut(b, ",")
		key, value, _ := cut(part, "=")
		switch string(key) {
		case "task":
			f.Process = value
		case "pid":
			f.PID = whole(value)
		case "uid":
			f.UID = whole(value)
		}
	}
	return f.is("oom-kill", "", Process)
}

// parseTaint reads what the module loader says of a module that taints the
// kernel: "NAME: ...".
func parseTaint(msg []byte, f *Fields) bool {
	mod, text, ok := cut(msg, ": ")
	if !ok || !isHostName(mod) {
		return false
	}
	if hasPrefix(text, "module verification failed") || hasPrefix(text, "loading out-of-tree module") ||
		hasPrefix(text, "module license ") {
		f.Module, f.Reason = mod, text
		return f.is("module-loaded", "", Driver)
	}
	return false
}

// parseFault reads "NAME[PID]: segfault at ..." and "traps: NAME[PID] general
// protection fault".
func parseFault(msg []byte, f *Fields) bool {
	action := "segfault"
	head, _, ok := cut(msg, ": segfault at ")
	if !ok {
		if head, _, ok = cut(msg, " general protection fault"); !ok {
			if head, _, ok = cut(msg, " general protection ip:"); !ok {
				return false
			}
		}
		action = "general-protection-fault"
		head, _ = cutPrefix(head, "traps: ")
	}
	process, pid, ok := cutLast(head, "[")
	if !ok {
		return false
	}
	pid, ok = cutSuffix(pid, "]")
	if n := whole(pid); ok && n != None {
		f.Process, f.PID = process, n
		return f.is(action, Failure, Process)
	}
	return false
}
