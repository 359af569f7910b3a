package transcript

import "strings"

// Clean drops what a power cut can leave behind in a file: a half line at the end, and lines that are no transcript. It
// returns what is left, which can be played, and how many bytes are lost.
func Clean(text string) (clean string, lost int) {
	var b strings.Builder
	r := newReader()
	for line := range strings.SplitAfterSeq(text, "\n") {
		whole, ok := strings.CutSuffix(line, "\n")
		if _, err := r.read(whole); !ok || err != nil {
			lost += len(line)
			continue
		}
		b.WriteString(line)
	}
	return b.String(), lost
}
