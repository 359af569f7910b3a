package docs_test

import "testing"

// TestSecurityPage: every promise of the page names a test, and that exists.
func TestSecurityPage(t *testing.T) {
	p := readPage(t, "security.md")
	for _, heading := range []string{"### Who isn't given a credential", "### A device that turns hostile", "### Floods, and clients that misbehave", "### Hubs on a database, and in front of a broker", "### Secrets"} {
		checkShown(t, p, heading, rules())
	}
}
