package local

import (
	"reflect"
	"unsafe"

	"github.com/parquet-go/parquet-go"

	"github.com/exhibit-dfir/exhibit/timeline"
)

type columnKind uint8

const (
	kindInt columnKind = iota
	kindDict
	kindText
)

type specialColumn uint8

const (
	specialNone specialColumn = iota
	specialState
	specialFlags
	specialAttrs
	specialAttrTypes
)

// schemaColumn is one column of a segment besides event_id and content_id,
// with how its value is reached in an event: one of int, text, source and
// special.
type schemaColumn struct {
	name    string
	kind    columnKind
	int     func(*timeline.Event) *int64
	text    func(*timeline.Event) *string
	source  func(*timeline.Source) string
	special specialColumn
	digest  bool // 64 hexadecimal digits, stored as 32 bytes
	bloom   bool
}

// bloomed are the columns that are searched for single values.
var bloomed = map[string]bool{"sha256": true, "src_ip": true, "dst_ip": true, "user": true}

// schema lists the columns of a segment from the third on. Its order is the
// order in the file.
var schema = func() []schemaColumn {
	var out []schemaColumn
	for i := range timeline.Columns {
		c := &timeline.Columns[i]
		s := schemaColumn{name: c.Name, int: c.Int, text: c.Str, bloom: bloomed[c.Name], digest: c.Name == "sha256"}
		switch {
		case c.Str != nil && c.Dict:
			s.kind = kindDict
		case c.Str != nil:
			s.kind = kindText
		}
		out = append(out, s)
		if c.Name == "ts" {
			out = append(out, schemaColumn{name: "ts_state", kind: kindDict, special: specialState})
		}
	}
	out = append(out, schemaColumn{name: "flags", kind: kindDict, special: specialFlags})
	names, _ := timeline.FieldNames()
	for _, name := range names {
		if f := timeline.FieldOf(name); f.Kind == timeline.FieldSource {
			out = append(out, schemaColumn{name: name, kind: kindDict, source: f.Source})
		}
	}
	return append(out,
		schemaColumn{name: "attrs", kind: kindText, special: specialAttrs},
		schemaColumn{name: "attr_types", kind: kindDict, special: specialAttrTypes},
	)
}()

// The two columns before those of schema.
const (
	idLeaf       = 0
	contentLeaf  = 1
	leavesBefore = 2
)

var (
	columnAt = func() map[string]int {
		m := make(map[string]int)
		for i := range schema {
			m[schema[i].name] = i
		}
		return m
	}()
	tsColumn     = columnAt["ts"]
	attrsColumn  = columnAt["attrs"]
	sourceColumn = columnAt["source_id"]
)

// ordered is a group whose fields keep the order given.
type ordered struct {
	parquet.Group
	fields []parquet.Field
}

func (o ordered) Fields() []parquet.Field { return o.fields }

type orderedField struct {
	parquet.Node
	name string
}

func (f orderedField) Name() string                           { return f.name }
func (f orderedField) Value(base reflect.Value) reflect.Value { return base.FieldByName(f.name) }

// parquetSchema describes a segment to Parquet.
var parquetSchema = newSchema(func(int) bool { return false })

// newSchema describes a segment in which the columns that plain names have no
// dictionary though they usually do.
func newSchema(plain func(column int) bool) *parquet.Schema {
	o := ordered{Group: parquet.Group{}}
	add := func(name string, node parquet.Node) {
		o.Group[name] = node
		o.fields = append(o.fields, orderedField{node, name})
	}
	fixed := func(n int) parquet.Node {
		return parquet.Compressed(parquet.Leaf(parquet.FixedLenByteArrayType(n)), &parquet.Uncompressed)
	}
	add("event_id", fixed(16))
	add("content_id", fixed(16))
	for i := range schema {
		s := &schema[i]
		var node parquet.Node
		switch {
		case s.digest:
			node = fixed(32)
		case s.kind == kindInt:
			node = parquet.Encoded(parquet.Leaf(parquet.Int64Type), &parquet.DeltaBinaryPacked)
		case s.kind == kindDict && !plain(i):
			node = parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
		case s.special == specialAttrs:
			node = parquet.Encoded(parquet.JSON(), &parquet.Plain)
		default:
			node = parquet.Encoded(parquet.String(), &parquet.Plain)
		}
		add(s.name, parquet.Optional(node))
	}
	return parquet.NewSchema("event", o)
}

func bytesAsString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
func stringAsBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
