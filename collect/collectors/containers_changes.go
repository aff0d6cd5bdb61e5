package collectors

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// What a container changed is in the upper folder of its overlay, in the form
// that the kernel documents (Documentation/filesystems/overlayfs.rst): a
// deleted name is a character device 0:0, or an empty file with the attribute
// overlay.whiteout; a folder with overlay.opaque=y hides what is below it in
// the image; overlay.redirect says which name a renamed folder has there;
// overlay.metacopy that only metadata were changed. The attributes are in the
// namespace trusted, or in user for mounts of those who are not root.

// Limits of the content taken from one container.
const (
	maxChangedFile   = 256 << 20
	totalChanged     = 4 << 30
	maxChangedHashed = 512 << 20
)

// changes writes what every container changed.
func (l *containerLook) changes() error {
	lines := collect.NewRecords(l.ctx, l.out, evidence.Item{Path: record.ContainerChanges, Source: "file", Rule: "changes of containers"})
	var err error
	seen := map[string]bool{}
	for _, c := range l.list {
		if err = l.ctx.Err(); err != nil {
			break
		}
		if len(c.Upper) == 0 || c.Driver == "fuse-overlayfs" {
			if why := undiffed(c); why != "" {
				l.out.Problem(problemAt(evidence.Unsupported, string(c.Rootfs), fmt.Sprintf("changes of container %s %s are not told: %s", c.Engine, ruleID(c.ID), why)))
			}
			continue
		}
		if seen[string(c.Upper)] {
			continue // a second engine's word for the same
		}
		seen[string(c.Upper)] = true
		if err = l.changesOf(c, lines); err != nil {
			break
		}
	}
	return errors.Join(err, lines.Close())
}

// undiffed says why a container's changes are not told.
func undiffed(c *record.Container) string {
	switch c.Driver {
	case "":
		return "its layers were not found"
	case "overlay", "overlay2", "overlayfs":
		return "the folder of its topmost layer was not found"
	}
	return "layers of the driver " + ruleID(c.Driver) + " are not compared"
}

// ruleID is a name from an engine's file as far as it is plain: a rule is shown
// as it is.
func ruleID(s string) string {
	plain := strings.Map(func(r rune) rune {
		if r == '_' || r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '?'
	}, s)
	if len(plain) > 64 {
		plain = plain[:64]
	}
	return plain
}

// changeWalk goes through the upper folder of one container.
type changeWalk struct {
	*containerLook
	c     *record.Container
	upper string
	lower []string
	lines *collect.Records
	take  *pathWalk
	hash  *fileWalk
	rule  string
	left  int64 // bytes of content that still fit
	names int
	over  int // files whose content did not
	err   error
	// folders the walk is in, from the outermost: their path in the container,
	// their name in the image, and whether that is hidden.
	in []changedFolder

	folders map[string]layerFolder // by layer and name
}

type changedFolder struct {
	path, image string
	hides       bool // an opaque folder, or one in it
}

func (l *containerLook) changesOf(c *record.Container, lines *collect.Records) error {
	rule := "changes of container " + c.Engine + " " + ruleID(c.ID)
	if c.Name != "" {
		rule += " " + ruleID(c.Name)
	}
	w := &changeWalk{
		containerLook: l, c: c, upper: string(c.Upper), lines: lines, rule: rule, left: totalChanged,
		take: &pathWalk{pathRun: pathRun{collector: linuxContainersName, host: l.host, out: l.out, secrets: l.secrets}, tree: l.host},
		hash: &fileWalk{host: l.host, hashes: hashPolicy{maxProgram: maxChangedHashed}},
	}
	for _, dir := range c.Lower {
		w.lower = append(w.lower, string(dir))
	}
	if l.secrets == LeaveSecrets {
		secret, err := compile(hostSecrets())
		if err != nil {
			return err
		}
		w.take.secret = secret
	}
	err := l.host.WalkWith(l.ctx, w.upper, collect.Walker{
		Visit: w.visit,
		Failed: func(name string, err error) {
			l.out.Problem(evidence.Problem{Code: codeOf(err), Path: name, Detail: err.Error(), Ref: evidence.Ref{Offset: -1, Length: -1}})
		},
		LeftOut: func(name, why string) {
			if err := w.take.note(l.ctx, name, rule, why, nil); err != nil && w.err == nil {
				w.err = err
			}
		},
	})
	if w.over > 0 {
		l.out.Problem(problemAt(evidence.Skipped, w.upper, fmt.Sprintf("content of %d changed files did not fit into %d bytes for one container", w.over, int64(totalChanged))))
	}
	l.out.Seen(rule, w.names)
	return errors.Join(err, w.err)
}

func (w *changeWalk) visit(name string, st *evidence.Stat) error {
	if w.err != nil {
		return w.err
	}
	inside := strings.TrimPrefix(name, w.upper)
	if inside == "" {
		w.in = []changedFolder{{path: "", image: "", hides: w.overlayAttributes(name)["opaque"] == "y"}}
		return nil
	}
	for len(w.in) > 1 && path.Dir(inside) != orRoot(w.in[len(w.in)-1].path) {
		w.in = w.in[:len(w.in)-1]
	}
	at := w.in[len(w.in)-1]
	w.names++
	line := record.ContainerChange{Engine: w.c.Engine, Container: w.c.ID, Path: record.Bytes(inside), File: fileRecord(name, st)}
	image := at.image + "/" + path.Base(inside)
	switch st.Mode & modeType {
	case modeChar:
		if st.Rdev == "0:0" {
			line.Change = "deleted"
			return w.lines.Write(line)
		}
	case modeDir:
		return w.folder(line, name, inside, image, at)
	case modeLink:
		target, err := w.host.Readlink(name)
		if err != nil {
			line.File.HashNote = "link not read: " + withoutPath(err)
		}
		line.File.Link = record.Bytes(target)
	}
	line.Change = w.change(image)
	if st.Mode&modeType == modeRegular {
		attrs := w.overlayAttributes(name)
		if _, gone := attrs["whiteout"]; gone && st.Size == 0 {
			line.Change = "deleted"
			return w.lines.Write(line)
		}
		if _, meta := attrs["metacopy"]; meta {
			line.MetaOnly, line.Content = true, "the image's"
			return w.lines.Write(line)
		}
		if err := w.content(&line, name, inside, st); err != nil {
			return err
		}
	}
	return w.lines.Write(line)
}

// modeChar is S_IFCHR.
const modeChar = 0o020000

// folder records a folder, and what an opaque one hides.
func (w *changeWalk) folder(line record.ContainerChange, name, inside, image string, at changedFolder) error {
	attrs := w.overlayAttributes(name)
	line.Opaque = attrs["opaque"] == "y"
	if to := attrs["redirect"]; to != "" {
		line.Redirect = record.Bytes(to)
		if image = at.image + "/" + to; strings.HasPrefix(to, "/") {
			image = path.Clean(to)
		}
	}
	line.Change = w.change(image)
	if line.Redirect != nil {
		line.Change = "added" // under this name
	}
	hides := line.Opaque || at.hides && line.Redirect == nil
	w.in = append(w.in, changedFolder{inside, image, hides})
	if err := w.lines.Write(line); err != nil || !hides {
		return err
	}
	return w.hidden(name, inside, image)
}

// hidden records the names that the image has in a folder and the container
// does not see.
func (w *changeWalk) hidden(name, inside, image string) error {
	here := map[string]bool{}
	entries, err := w.host.ReadDir(name)
	w.lost(name, err)
	for _, e := range entries {
		here[e.Name] = true
	}
	for _, lower := range w.lower {
		found, whole := w.lookup(lower, image)
		if found == nil {
			if whole {
				continue
			}
			break // this layer hides those below it
		}
		if found.Mode&modeType != modeDir {
			break
		}
		entries, err := w.host.ReadDir(lower + image)
		w.lost(lower+image, err)
		for _, e := range entries {
			if here[e.Name] {
				continue
			}
			here[e.Name] = true
			st, err := w.host.Stat(lower + image + "/" + e.Name)
			if err != nil || isWhiteout(st) {
				continue
			}
			line := record.ContainerChange{
				Engine: w.c.Engine, Container: w.c.ID, Path: record.Bytes(inside + "/" + e.Name), Change: "deleted",
				File: fileRecord(lower+image+"/"+e.Name, st), Content: "the image's, hidden by an opaque folder",
			}
			if err := w.lines.Write(line); err != nil {
				return err
			}
		}
		if w.overlayAttributes(lower + image)["opaque"] == "y" {
			break
		}
	}
	return nil
}

func isWhiteout(st *evidence.Stat) bool { return st.Mode&modeType == modeChar && st.Rdev == "0:0" }

// change says whether the image has a name: then it was changed, else added.
func (w *changeWalk) change(image string) string {
	for _, lower := range w.lower {
		st, whole := w.lookup(lower, image)
		switch {
		case st != nil && isWhiteout(st):
			return "added"
		case st != nil:
			return "changed"
		case !whole:
			return "added"
		}
	}
	return "added"
}

// lookup returns what one layer has under a name, nil for nothing. whole is
// false when the layer hides what those below it have there. Every folder on
// the way must be one: what a link in an image leads to is not in the layer,
// and may be the host's.
func (w *changeWalk) lookup(lower, image string) (st *evidence.Stat, whole bool) {
	dir := w.folderOf(lower, path.Dir(image))
	if !dir.there {
		return nil, !dir.hides
	}
	st, err := w.host.Stat(lower + image)
	if err != nil {
		w.lost(lower+image, err)
		return nil, !dir.hides
	}
	return st, true
}

// layerFolder is a folder in one layer of an image. hides says that the layers
// below it do not show there, for it or one on the way is opaque or no folder.
type layerFolder struct{ there, hides bool }

// maxLayerFolders bounds the folders that are remembered.
const maxLayerFolders = 50000

func (w *changeWalk) folderOf(lower, dir string) layerFolder {
	if dir == "." || dir == "" {
		dir = "/"
	}
	key := lower + "\x00" + dir
	if f, ok := w.folders[key]; ok {
		return f
	}
	f := layerFolder{there: true}
	name := lower
	if dir != "/" {
		f, name = w.folderOf(lower, path.Dir(dir)), lower+dir
	}
	if f.there {
		st, err := w.host.Stat(name)
		w.lost(name, err)
		switch {
		case err != nil:
			f.there = false
		case st.Mode&modeType != modeDir:
			f = layerFolder{hides: true}
		case w.overlayAttributes(name)["opaque"] == "y":
			f.hides = true
		}
	}
	if len(w.folders) >= maxLayerFolders || w.folders == nil {
		w.folders = map[string]layerFolder{}
	}
	w.folders[key] = f
	return f
}

// overlayAttributes returns the overlay's attributes of a path without their
// prefix.
func (l *containerLook) overlayAttributes(name string) map[string]string {
	attrs, err := l.host.Xattrs(name)
	l.lost(name, err)
	var out map[string]string
	for key, value := range attrs {
		short, ok := strings.CutPrefix(key, "trusted.overlay.")
		if !ok {
			if short, ok = strings.CutPrefix(key, "user.overlay."); !ok {
				continue
			}
		}
		if out == nil {
			out = map[string]string{}
		}
		out[short] = string(value)
	}
	return out
}

// content takes or hashes a changed file.
func (w *changeWalk) content(line *record.ContainerChange, name, inside string, st *evidence.Stat) error {
	if !w.wanted(inside, name, st) {
		line.File.SHA256, line.File.HashNote = w.sum(name, st)
		line.Content = "hashed"
		if line.File.SHA256 == "" {
			line.Content = "neither taken nor hashed"
		}
		return nil
	}
	size := onDisk(st)
	if size > w.left {
		w.over++
		line.Content = "no room for more of this container"
		line.File.SHA256, line.File.HashNote = w.sum(name, st)
		return nil
	}
	w.left -= size
	if w.take.secret != nil && w.take.secret.wants(inside) {
		line.Content = "left out: secrets need an order"
		return takeSecret(w.ctx, w.take, name, w.rule)
	}
	line.Content = "taken, unless its item says why not"
	return takeUnlessSecret(w.ctx, w.take, name, w.rule)
}

func (w *changeWalk) sum(name string, st *evidence.Stat) (sum, note string) {
	if st.Size > maxChangedHashed {
		return "", fmt.Sprintf("larger than %d bytes", int64(maxChangedHashed))
	}
	return w.hash.hash(w.ctx, name, st)
}

// wanted says whether a changed file is worth its content: it can run, is a
// script or configuration, or was written after the container started.
func (w *changeWalk) wanted(inside, name string, st *evidence.Stat) bool {
	if onDisk(st) > maxChangedFile {
		return false
	}
	started := w.c.Started
	if started == 0 {
		started = w.c.Created
	}
	if started == 0 || st.Mode&(modeExec|modeSetID) != 0 || nanoseconds(st.Modified) >= started || nanoseconds(st.Changed) >= started {
		return true
	}
	if strings.HasPrefix(inside, "/etc/") || textLike[strings.ToLower(path.Ext(inside))] {
		return true
	}
	head, _, err := w.take.head(name)
	return err != nil || strings.HasPrefix(string(head), "#!") || strings.HasPrefix(string(head), "\x7fELF")
}

// textLike are the extensions of scripts and configuration.
var textLike = map[string]bool{
	".sh": true, ".bash": true, ".py": true, ".pl": true, ".rb": true, ".php": true, ".phtml": true, ".jsp": true, ".jspx": true, ".asp": true, ".aspx": true,
	".js": true, ".mjs": true, ".cjs": true, ".ts": true, ".lua": true, ".go": true, ".war": true, ".jar": true, ".so": true, ".ko": true,
	".conf": true, ".cfg": true, ".cnf": true, ".ini": true, ".yaml": true, ".yml": true, ".json": true, ".toml": true, ".xml": true, ".env": true,
	".properties": true, ".service": true, ".timer": true, ".cron": true, ".htaccess": true, ".sql": true,
}
