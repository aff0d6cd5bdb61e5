package collectors

import "github.com/exhibit-dfir/exhibit/collect"

// windowsProcesses writes record.WindowsProcesses. Executables are hashed once
// each. What another process hides from a handle with few rights is told by
// what is missing, in Errors.
var windowsProcesses = register(collect.Collector{
	Name: "windows_processes",
	Doc:  "Windows: processes with command lines, owners, modules and hashes of their executables",
	Tier: collect.TierProcesses,
	Live: true,
	Run:  collectWindowsProcesses,
})

// windowsSockets writes record.WindowsSockets.
var windowsSockets = register(collect.Collector{
	Name: "windows_sockets",
	Doc:  "Windows: TCP and UDP endpoints of both families with their processes",
	Tier: collect.TierNetwork,
	Live: true,
	Run:  collectWindowsSockets,
})

// windowsUsers writes record.WindowsProfiles and record.WindowsSessions.
var windowsUsers = register(collect.Collector{
	Name: "windows_users",
	Doc:  "Windows: accounts with profiles, and sessions",
	Tier: collect.TierSessions,
	Live: true,
	Run:  collectWindowsUsers,
})

// windowsServices writes record.WindowsServices.
var windowsServices = register(collect.Collector{
	Name: "windows_services",
	Doc:  "Windows: services and drivers as the registry has them",
	Tier: collect.TierKernel,
	Live: true,
	Run:  collectWindowsServices,
})
