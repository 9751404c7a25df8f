// Package e2e holds the tests that need servers which are not part of the product. It is a module
// of its own so that those servers never become dependencies of the product; its path lies below
// the product's, so that it may use the internal packages.
package e2e
