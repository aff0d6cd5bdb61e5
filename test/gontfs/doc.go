// Package gontfs holds our reader of $MFT to Velociraptor's, go-ntfs, over the
// tables of the corpus. It is a module of its own because nothing else needs
// that reader.
package gontfs
