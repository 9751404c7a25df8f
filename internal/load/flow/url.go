package flow

import "net/url"

func queryEscape(s string) string { return url.QueryEscape(s) }

// appendTarget appends a path, perhaps with a query, and escapes what cannot stand in a request:
// spaces, control characters, everything beyond ASCII, a # and a % that begins no escape. Slashes,
// question marks and escapes stay, so that a saved link can be followed.
func appendTarget(dst, path []byte) []byte {
	for i, c := range path {
		if c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]) || isTarget(c) {
			dst = append(dst, c)
		} else {
			dst = appendEscape(dst, c)
		}
	}
	return dst
}

func isTarget(c byte) bool {
	switch c {
	case '"', '#', '%', '<', '>', '\\', '^', '`', '{', '|', '}':
		return false
	}
	return c > ' ' && c < 0x7f
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(dst, '%', hex[c>>4], hex[c&15])
}

// appendParameter appends a query parameter to a request target; the name is escaped already.
func appendParameter(target []byte, name string, value []byte) []byte {
	separator := byte('?')
	for _, c := range target {
		if c == '?' {
			separator = '&'
		}
	}
	return appendFormValue(append(append(append(target, separator), name...), '='), value)
}

// appendFormValue appends a value as it stands in a query or a form.
func appendFormValue(dst, value []byte) []byte {
	for _, c := range value {
		switch {
		case c == ' ':
			dst = append(dst, '+')
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == '~':
			dst = append(dst, c)
		default:
			dst = appendEscape(dst, c)
		}
	}
	return dst
}
