package http2load

// referencesOnly reports whether a header block consists of references to whole fields and of nothing else (RFC 7541,
// section 6.1), so that it is short, and the same whenever the table is.
func referencesOnly(b []byte) bool {
	for i := 0; i < len(b); {
		if b[i] <= 0x80 {
			return false
		}
		if _, i = readInteger(b, i, 7); i < 0 {
			return false
		}
	}
	return true
}

// leavesTable reports whether a header block has nothing that changes the table: references, and fields that are
// written out and not to be remembered (RFC 7541, sections 6.1, 6.2.2 and 6.2.3). A block that is cut off does not
// count, whatever it has.
func leavesTable(b []byte) bool {
	for i := 0; i >= 0 && i < len(b); {
		var name int
		switch {
		case b[i] == 0x80:
			return false
		case b[i] > 0x80:
			if _, i = readInteger(b, i, 7); i < 0 {
				return false
			}
			continue
		case b[i] >= 0x20: // to be remembered, or another size of the table
			return false
		}
		if name, i = readInteger(b, i, 4); name == 0 {
			i = skipString(b, i)
		}
		if i = skipString(b, i); i < 0 {
			return false
		}
	}
	return true
}

// readInteger reads an integer whose first byte, at i, has it in so many bits, or its beginning (RFC 7541, section
// 5.1). next is what stands behind it; -1: nothing does, it is cut off or far too large.
func readInteger(b []byte, i, bits int) (n, next int) {
	if i < 0 || i >= len(b) {
		return 0, -1
	}
	most := 1<<bits - 1
	if n = int(b[i]) & most; n < most {
		return n, i + 1
	}
	for shift := 0; shift <= 21; shift += 7 {
		if i++; i >= len(b) {
			return 0, -1
		}
		n += int(b[i]&0x7f) << shift
		if b[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, -1
}

// skipString returns what stands behind the string at i; -1: it is cut off.
func skipString(b []byte, i int) int {
	n, next := readInteger(b, i, 7)
	if next < 0 || n > len(b)-next {
		return -1
	}
	return next + n
}
