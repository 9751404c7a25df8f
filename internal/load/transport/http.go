package transport

// HTTP1 is what every answer of HTTP/1 begins with.
const HTTP1 = "HTTP/1."

// BeginsHTTP reports whether an answer that begins with p can be one of HTTP/1.
func BeginsHTTP(p []byte) bool {
	n := min(len(p), len(HTTP1))
	return string(p[:n]) == HTTP1[:n]
}
