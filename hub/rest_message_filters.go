package hub

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// maxFilterTopics is how many topics a message filter may name.
const maxFilterTopics = 100

// messageFilters say which topics a device may publish and subscribe to at the vendor's hub. Here they are
// kept for those who ask for them: nothing is passed on that they could hold back, and twins
// are not their business.
type messageFilters struct {
	Publish   messageFilter `json:"publish"`
	Subscribe messageFilter `json:"subscribe"`
}

type messageFilter struct {
	Policy string   `json:"policy"` // accept = only the topics, reject = all but the topics
	Topics []string `json:"topics"`
}

// filtersOf are a device's: those that were set, or the vendor's default, which holds nothing back.
func filtersOf(d registry.Device) (f messageFilters, err error) {
	if d.MessageFilters != nil {
		err = json.Unmarshal(d.MessageFilters, &f)
	}
	for _, m := range []*messageFilter{&f.Publish, &f.Subscribe} {
		if m.Policy != "accept" {
			m.Policy = "reject"
		}
		if m.Topics == nil {
			m.Topics = []string{}
		}
	}
	return f, err
}

// A filtersChange is what a request says about filters.
type filtersChange struct{ publish, subscribe filterChange }

// The zero value leaves a filter as it is.
type filterChange struct {
	policy string
	topics *[]string
}

// filters reads message_filters.
func (a restArguments) filters() *filtersChange {
	o := a.object("message_filters")
	if o == nil {
		return nil
	}
	return &filtersChange{publish: o.filter("publish"), subscribe: o.filter("subscribe")}
}

func (a restArguments) filter(name string) (c filterChange) {
	o := a.object(name)
	if o == nil {
		return c
	}
	// The vendor's SDKs send unknown where nothing is set.
	if policy := o.choice("policy", "accept", "reject", "unknown"); policy != nil && *policy != "unknown" {
		c.policy = *policy
	}
	c.topics = argument[[]string](*o, "topics", "not an array of texts")
	if c.topics == nil {
		return c
	}
	if len(*c.topics) > maxFilterTopics {
		o.refuse("topics", "constraint", fmt.Sprintf("more than %d topics", maxFilterTopics))
	}
	for i, topic := range *c.topics {
		if _, ok := parseFilter([]byte(topic)); !ok || strings.ContainsRune(topic, 0) {
			o.refuse(fmt.Sprintf("topics[%d]", i), "format",
				fmt.Sprintf("no topic filter: write 1 to %d bytes, + alone in its level and # alone in the last", maxFilterLen))
		}
	}
	return c
}

// apply changes a device's filters.
func (c *filtersChange) apply(d *registry.Device) error {
	f, err := filtersOf(*d)
	if err != nil {
		return fmt.Errorf("reading message filters: %w", err)
	}
	c.publish.apply(&f.Publish)
	c.subscribe.apply(&f.Subscribe)
	d.MessageFilters, err = json.Marshal(f)
	return err
}

func (c filterChange) apply(f *messageFilter) {
	if c.policy != "" {
		f.Policy = c.policy
	}
	if c.topics != nil {
		f.Topics = *c.topics
	}
}
