// Package stores tests the drivers for object stores against servers that are not ours.
package stores
