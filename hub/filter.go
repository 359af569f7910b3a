package hub

import (
	"slices"
	"strings"
)

// Limits of the subscriptions of one connection.
const (
	maxFilters   = 100
	maxFilterLen = 1024 // bytes; the longest topic of a well-formed request has 198
)

// A filter is a valid topic filter of MQTT 3.1.1, section 4.7.
type filter string

// parseFilter checks a filter: not empty, + alone in its level, # alone in the
// last one. It reports false for anything else.
func parseFilter(b []byte) (f filter, ok bool) {
	if len(b) == 0 || len(b) > maxFilterLen {
		return "", false
	}
	for i, c := range b {
		if c != '+' && c != '#' {
			continue
		}
		if i > 0 && b[i-1] != '/' {
			return "", false
		}
		if last := i == len(b)-1; !last && (c == '#' || b[i+1] != '/') {
			return "", false
		}
	}
	return filter(b), true
}

// matches tells whether a topic is one of those the filter means. A filter
// that begins with a wildcard means no topic that begins with $ [MQTT-4.7.2-1].
func (f filter) matches(topic string) bool {
	pattern := string(f)
	if topic[0] == '$' && (pattern[0] == '+' || pattern[0] == '#') {
		return false
	}
	for {
		level, pattern2, moreLevels := strings.Cut(pattern, "/")
		if level == "#" {
			return true
		}
		name, topic2, moreTopic := strings.Cut(topic, "/")
		if level != "+" && level != name {
			return false
		}
		switch {
		case moreLevels && moreTopic:
			pattern, topic = pattern2, topic2
		case moreLevels:
			return pattern2 == "#" // which means its parent as well
		default:
			return !moreTopic
		}
	}
}

// inTwins tells whether the filter means topics below $SCW/twins/. The hub
// grants no other, since it sends nothing else: neither "#", which by the rule
// about $ never means a twin's topic, nor "$SCW/twins" itself.
func (f filter) inTwins() bool {
	rest, ok := strings.CutPrefix(string(f), "$SCW/")
	if !ok {
		return false
	}
	level, _, more := strings.Cut(rest, "/")
	return level == "#" || more && (level == "twins" || level == "+")
}

// filters are the subscriptions of a connection, each once.
type filters []filter

// add subscribes to f and reports whether it is among the filters now.
func (fs *filters) add(f filter) bool {
	if slices.Contains(*fs, f) {
		return true
	}
	if len(*fs) == maxFilters {
		return false
	}
	*fs = append(*fs, f)
	return true
}

// remove ends the subscription that is f to the letter [MQTT-3.10.4-1].
func (fs *filters) remove(f filter) {
	*fs = slices.DeleteFunc(*fs, func(g filter) bool { return g == f })
}

// match tells whether any subscription means the topic.
func (fs filters) match(topic string) bool {
	return slices.ContainsFunc(fs, func(f filter) bool { return f.matches(topic) })
}
