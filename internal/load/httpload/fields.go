package httpload

// Fields are header fields that many responses have in common. The empty ones are ready for use.
type Fields struct {
	head   []byte
	places []field
}

// Add adds a field.
func (f *Fields) Add(name, value string) {
	f.head, f.places = appendField(f.head, f.places, name, value)
}

// Clear drops all of them, and keeps their memory.
func (f *Fields) Clear() { f.head, f.places = f.head[:0], f.places[:0] }

// SetFields gives r copies of the fields in the place of those that it has.
func (r *Response) SetFields(f *Fields) {
	r.head, r.fields = append(r.head[:0], f.head...), append(r.fields[:0], f.places...)
}

func appendField(head []byte, places []field, name, value string) ([]byte, []field) {
	at := int32(len(head))
	head = append(append(head, name...), value...)
	mid := at + int32(len(name))
	return head, append(places, field{name: at, nameEnd: mid, value: mid, valueEnd: mid + int32(len(value))})
}
