// Package hungfs gives tests a file system that stops answering, as a dead
// server, a dying disk or an intruder makes one do. It is FUSE spoken directly
// (linux/fuse.h, version 7.31): no library and no other program.
package hungfs
