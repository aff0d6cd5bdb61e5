package evtx

import "slices"

// A place is where in an event's XML an element stands, as far as its name for
// the analyst depends on it.
type place uint8

const (
	atRoot      place = iota // outside of any element
	inEvent                  // in Event
	inSystem                 // in System
	inSystemOne              // in an element of System
	inEventData              // in EventData
	inUserData               // in UserData
	inUserOne                // in the one element that UserData has
	inNamed                  // anywhere else: path names it
)

// context is a place with the key under which its text goes.
type context struct {
	place place
	path  string
}

// systemText and systemAttr say which element and attribute of System is which
// field.
var (
	systemText = map[string]Field{
		"EventID": EventID, "Version": Version, "Level": Level, "Task": Task, "Opcode": Opcode, "Keywords": Keywords,
		"EventRecordID": EventRecordID, "Channel": Channel, "Computer": Computer,
	}
	systemAttr = map[string]Field{
		"Provider.Name": Provider, "Provider.Guid": ProviderGUID, "Provider.EventSourceName": EventSourceName,
		"EventID.Qualifiers": Qualifiers, "TimeCreated.SystemTime": TimeCreated,
		"Correlation.ActivityID": ActivityID, "Correlation.RelatedActivityID": RelatedActivityID,
		"Execution.ProcessID": ProcessID, "Execution.ThreadID": ThreadID, "Security.UserID": UserID,
	}
)

// enter returns the context inside of an element named name that stands in c.
func (c context) enter(k *compiler, name string) context {
	switch c.place {
	case atRoot:
		if name == "Event" {
			return context{inEvent, ""}
		}
	case inEvent:
		switch name {
		case "System":
			return context{inSystem, ""}
		case "EventData":
			return context{inEventData, name}
		case "UserData":
			return context{inUserData, name}
		}
	case inSystem:
		return context{inSystemOne, name}
	case inUserData:
		return context{inUserOne, name}
	case inSystemOne, inNamed:
		return context{inNamed, k.join(c.path, name)}
	case inEventData, inUserOne:
	}
	return context{inNamed, name}
}

// part is a piece of a value: literal text, or a value of the instance.
type part struct {
	sub      int32 // index of the value, -1 for literal text
	optional bool
	from, to int32 // of literal text, in template.text
}

// leaf is a value of the event: its name and what it is made of.
type leaf struct {
	key    string
	field  Field  // of System, else -1
	name   pieces // overrides key where there is one
	parts  pieces
	inside context // of what a binary XML value holds
}

// pieces are parts from one index to another, in template.parts.
type pieces struct{ from, to int32 }

// template is binary XML made ready: the values of an event in their order.
type template struct {
	leaves []leaf
	parts  []part
	text   []byte
	err    error
}

func (t *template) clear() {
	t.leaves, t.parts, t.text, t.err = t.leaves[:0], t.parts[:0], t.text[:0], nil
}

func (t *template) clone() *template {
	return &template{leaves: slices.Clone(t.leaves), parts: slices.Clone(t.parts), text: slices.Clone(t.text)}
}

// templateKey is a template's offset in its chunk or, for those kept for the
// file, the first number of its GUID.
type templateKey struct {
	at      uint32
	context context
}

// compiler holds what compiling needs again and again.
type compiler struct {
	names   map[string]string
	kept    map[templateKey]*template // by id, for records whose own template is gone
	scratch []byte
	stack   []part // of the elements that are being read
	spare   []*template
	used    int
}

func (k *compiler) init() {
	k.names = make(map[string]string)
	k.kept = make(map[templateKey]*template)
}

// Limits of what is kept for a file.
const (
	maxNames = 10_000
	maxKept  = 2_000
)

// keep remembers a template for the rest of the file.
func (k *compiler) keep(id uint32, ctx context, t *template) {
	key := templateKey{id, ctx}
	if _, ok := k.kept[key]; !ok && len(k.kept) < maxKept {
		k.kept[key] = t.clone()
	}
}

func (k *compiler) reset() {
	k.used = 0
	if len(k.names) > maxNames {
		clear(k.names)
	}
}

func (k *compiler) intern(b []byte) string {
	if s, ok := k.names[string(b)]; ok {
		return s
	}
	s := string(b)
	k.names[s] = s
	return s
}

func (k *compiler) join(a, b string) string {
	if a == "" {
		return b
	}
	k.scratch = append(append(append(k.scratch[:0], a...), '.'), b...)
	return k.intern(k.scratch)
}

// template returns an empty one, of an earlier chunk where there is one.
func (k *compiler) template() *template {
	if k.used == len(k.spare) {
		k.spare = append(k.spare, new(template))
	}
	t := k.spare[k.used]
	k.used++
	t.clear()
	return t
}
