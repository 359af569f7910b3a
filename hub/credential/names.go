package credential

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// CheckHost says whether a certificate can be for a host: a name such as hub.example or *.hub.example, or an IP
// address. The error says how to write it.
func CheckHost(host string) error {
	invalid := func(help string) error {
		return fmt.Errorf("host %q: %s", host, help)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		switch {
		case ip.Zone() != "":
			return invalid("leave out the zone: " + ip.WithZone("").String())
		case ip.IsUnspecified():
			return invalid("nobody connects to " + host + ": name the address that others see")
		}
		return nil
	}
	if u, err := url.Parse(host); err == nil && u.Host != "" {
		return invalid("write the host alone: " + u.Hostname())
	}
	if h, _, err := net.SplitHostPort(host); err == nil && h != "" {
		return invalid("leave out the port: " + h)
	}
	if h, ok := strings.CutPrefix(host, "["); ok {
		return invalid("leave out the brackets: " + strings.TrimSuffix(h, "]"))
	}
	if h, ok := strings.CutSuffix(host, "."); ok {
		return invalid("leave out the dot at the end: " + h)
	}
	if len(host) > 253 {
		return invalid("a host's name has at most 253 characters")
	}
	name, wild := strings.CutPrefix(host, "*.")
	labels := strings.Split(name, ".")
	for _, label := range labels {
		switch {
		case label == "":
			return invalid("name a host as in hub.example, or an IP address")
		case len(label) > 63:
			return invalid("a part of a host's name has at most 63 characters")
		case strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-"):
			return invalid("no part of a host's name begins or ends with -")
		}
		for _, r := range label {
			switch {
			case r == '*':
				return invalid("* stands for the whole first part of a name alone, as in *.hub.example")
			case r > 0x7f:
				return invalid("write the name as DNS has it, in ASCII with xn--: a browser copies it so")
			case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
			default:
				return invalid(fmt.Sprintf("remove %q: letters, digits, - and dots make a host's name", r))
			}
		}
	}
	// What ends in a number is read as an address by most programs, and this is none.
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return invalid("write all of the IP address, without leading zeros, or a name")
	}
	if wild && len(labels) < 2 {
		return invalid("* needs two more parts behind it, as in *.hub.example")
	}
	return nil
}

// hosts are what the hub's certificate is for, each once and in lower case. None were given: this computer.
func hosts(names []string) ([]string, error) {
	if len(names) == 0 {
		names = []string{"localhost", "127.0.0.1", "::1"}
		if host, err := os.Hostname(); err == nil && CheckHost(host) == nil {
			names = append(names, host)
			if !strings.Contains(host, ".") {
				names = append(names, host+".local") // how its own network finds it, by mDNS
			}
		}
	}
	var found []string
	seen := make(map[string]bool)
	for _, name := range names {
		if err := CheckHost(name); err != nil {
			return nil, err
		}
		if name = strings.ToLower(name); !seen[name] {
			seen[name] = true
			found = append(found, name)
		}
	}
	return found, nil
}
