package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrSchema says that a document is of another kind or of another major version.
var ErrSchema = errors.New("schema is not " + Schema)

// WriteJSON writes d as report.json, indented, with a final newline.
func WriteJSON(w io.Writer, d *Document) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(d); err != nil {
		return fmt.Errorf("write report %s as JSON: %w", d.Run.ID, err)
	}
	return nil
}

// ReadJSON reads what WriteJSON wrote, of this version or a later one: unknown fields and unknown
// members of enumerations are accepted. It does not Check the document.
func ReadJSON(r io.Reader) (*Document, error) {
	var d Document
	if err := json.NewDecoder(r).Decode(&d); err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	if d.Schema != Schema {
		return nil, fmt.Errorf("read report: %w: %q", ErrSchema, d.Schema)
	}
	return &d, nil
}
