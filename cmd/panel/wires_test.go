package main

import "testing"

// TestOneLineByTwoNames has lines that the computer, but no comparison of texts, knows to be the same.
func TestOneLineByTwoNames(t *testing.T) {
	names := map[string]string{
		"GPIO17": "line 17", "pinctrl-bcm2711:17": "line 17", "pinctrl-:17": "line 17",
		"GPIO22": "line 22", "pinctrl-bcm2711:22": "line 22",
		"GPIO27": "line 27", "pinctrl-bcm2711:27": "line 27",
	}
	same := func(a, b string) bool { return names[a] != "" && names[a] == names[b] }
	for _, tt := range []struct {
		name string
		c    Config
		want string // "" = each line has one user
	}{
		{"two doors", Config{Siren: "GPIO27", Door: []string{"a=GPIO17", "b=GPIO22", "c=pinctrl-:17"}}, "--door a and --door c name the same line: GPIO17 is pinctrl-:17"},
		{"siren and door", Config{Siren: "GPIO27", Door: []string{"pinctrl-bcm2711:27"}}, "--siren and --door door name the same line: GPIO27 is pinctrl-bcm2711:27"},
		{"door and key", Config{Siren: "GPIO27", Door: []string{"GPIO17"}, Key: "pinctrl-bcm2711:17"}, "--door door and --key name the same line: GPIO17 is pinctrl-bcm2711:17"},
		{"key and buzzer", Config{Siren: "GPIO27", Door: []string{"GPIO17"}, Key: "GPIO22", Buzzer: "pinctrl-bcm2711:22"}, "--key and --buzzer name the same line: GPIO22 is pinctrl-bcm2711:22"},
		{"lines that are not there", Config{Siren: "GPIO99", Door: []string{"a=GPIO98", "b=GPIO97"}}, ""},
		{"mixed names", Config{Siren: "GPIO27", Door: []string{"a=GPIO17", "b=pinctrl-bcm2711:22"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.c.parseDoors(); err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := tt.c.usedTwice(same); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
