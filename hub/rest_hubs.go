package hub

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/hub/graphite"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Limits of what a hub is told about itself, in characters.
const (
	maxHubName     = 255 // the vendor's
	maxTopicPrefix = 255
	maxPushURI     = 2048
)

// hubPlan is the vendor's plan whose rules this hub has.
const hubPlan = "plan_shared"

// A restHub is a hub as the vendor's API shows it.
type restHub struct {
	ID                           string       `json:"id"`
	Name                         string       `json:"name"`
	Status                       string       `json:"status"`
	ProductPlan                  string       `json:"product_plan"`
	Enabled                      bool         `json:"enabled"`
	DeviceCount                  int          `json:"device_count"`
	ConnectedDeviceCount         int          `json:"connected_device_count"`
	Endpoint                     string       `json:"endpoint"` // the host that devices connect to
	DisableEvents                bool         `json:"disable_events"`
	EventsTopicPrefix            string       `json:"events_topic_prefix"`
	Region                       string       `json:"region"`
	CreatedAt                    restTime     `json:"created_at"`
	UpdatedAt                    restTime     `json:"updated_at"`
	ProjectID                    string       `json:"project_id"`
	OrganizationID               string       `json:"organization_id"`
	EnableDeviceAutoProvisioning bool         `json:"enable_device_auto_provisioning"`
	HasCustomCA                  bool         `json:"has_custom_ca"`
	Graphite                     *restPushURI `json:"twins_graphite_config,omitempty"`
}

type restPushURI struct {
	PushURI string `json:"push_uri"`
}

// restHub shows the hub. Who may not write sees of the push URI only what holds no secret.
func (h *Hub) restHub(ctx context.Context, token registry.Token, record registry.Hub) (restHub, error) {
	all, err := h.registry.Authorities(ctx)
	if err != nil {
		return restHub{}, err
	}
	devices, err := h.registry.Devices(ctx)
	if err != nil {
		return restHub{}, err
	}
	answer := restHub{
		ID:                           record.ID,
		Name:                         record.Name,
		Status:                       "ready",
		ProductPlan:                  hubPlan,
		Enabled:                      true,
		DeviceCount:                  len(devices),
		ConnectedDeviceCount:         h.connectedDevices(ctx),
		Endpoint:                     "localhost",
		DisableEvents:                record.DisableEvents,
		EventsTopicPrefix:            record.EventsTopicPrefix,
		Region:                       h.region,
		CreatedAt:                    restTime(record.Created),
		UpdatedAt:                    restTime(record.Updated),
		ProjectID:                    cmp.Or(record.ProjectID, record.ID),
		OrganizationID:               cmp.Or(record.OrganizationID, record.ID),
		EnableDeviceAutoProvisioning: record.AutoProvisioning,
		HasCustomCA:                  customAuthority(all) != nil,
	}
	if len(h.names) > 0 {
		answer.Endpoint = h.names[0]
	}
	if record.Updated.IsZero() {
		answer.UpdatedAt = answer.CreatedAt
	}
	if uri := cmp.Or(h.graphite, record.Graphite); uri != "" {
		if token.ReadOnly {
			uri = graphite.Config{URI: uri}.Server()
		}
		answer.Graphite = &restPushURI{uri}
	}
	return answer, nil
}

// hubRecord is the hub with this id, which there is only one of.
func (h *Hub) hubRecord(ctx context.Context, id twin.ID) (registry.Hub, error) {
	record, err := h.registry.Hub(ctx)
	if err == nil && string(id) != record.ID {
		err = &notFoundError{"hub", string(id)}
	}
	return record, err
}

// checkHub refuses an argument hub_id that is not this hub's.
func (h *Hub) checkHub(ctx context.Context, text string) error {
	id, err := restID("hub_id", text)
	if err == nil {
		_, err = h.hubRecord(ctx, id)
	}
	return err
}

type restHubList struct {
	TotalCount int       `json:"total_count"`
	Hubs       []restHub `json:"hubs"`
}

// hubOrders are what a list of hubs can be sorted by. One hub is always sorted.
var hubOrders = []restOrder[restHub]{{key: "name"}, {key: "status"}, {key: "product_plan"}, {key: "created_at"}, {key: "updated_at"}}

func (h *Hub) restListHubs(ctx context.Context, r restRequest) (any, error) {
	q := parseQuery(r.query)
	record, err := h.registry.Hub(ctx)
	if err != nil {
		return nil, err
	}
	hub, err := h.restHub(ctx, r.token, record)
	if err != nil {
		return nil, err
	}
	hubs := []restHub{hub}
	name, project, organization := q.text("name"), q.id("project_id"), q.id("organization_id")
	if name != "" && name != hub.Name || project != "" && string(project) != hub.ProjectID || organization != "" && string(organization) != hub.OrganizationID {
		hubs = []restHub{}
	}
	total := len(hubs)
	hubs = restPage(q, hubs, hubOrders...)
	if q.err != nil {
		return nil, q.err
	}
	return restHubList{total, hubs}, nil
}

func (h *Hub) restGetHub(ctx context.Context, r restRequest) (any, error) {
	record, err := h.hubRecord(ctx, r.id)
	if err != nil {
		return nil, err
	}
	return h.restHub(ctx, r.token, record)
}

// A hubChange is what a request says about the hub; nil = that stays.
type hubChange struct {
	name         *string
	events       *bool
	eventsPrefix *string
	provisioning *bool
	pushURI      *string // empty = nothing is pushed
}

func (a restArguments) hub() hubChange {
	c := hubChange{
		name:         a.shortText("name", maxHubName),
		events:       a.flag("disable_events"),
		eventsPrefix: a.shortText("events_topic_prefix", maxTopicPrefix),
		provisioning: a.flag("enable_device_auto_provisioning"),
	}
	if c.name != nil && *c.name == "" {
		a.refuse("name", "required", "empty: give a name")
	}
	if c.eventsPrefix != nil && strings.ContainsAny(*c.eventsPrefix, "+#\x00") {
		a.refuse("events_topic_prefix", "constraint", "no topic: leave out + and #")
	}
	// The vendor's SDKs send plan_unknown where none is set.
	a.choice("product_plan", hubPlan, "plan_unknown")
	o := a.object("twins_graphite_config")
	if o == nil {
		return c
	}
	if c.pushURI = o.shortText("push_uri", maxPushURI); c.pushURI == nil {
		o.refuse("push_uri", "required", "missing: send a URI, or an empty text for none")
	} else if *c.pushURI != "" {
		if err := (graphite.Config{URI: *c.pushURI}).Validate(); err != nil {
			o.refuse("push_uri", "format", err.Error()) // which doesn't repeat the URI
		}
	}
	return c
}

// restUpdateHub changes what the hub knows about itself, and where time series go from now on.
func (h *Hub) restUpdateHub(ctx context.Context, r restRequest) (any, error) {
	if _, err := h.hubRecord(ctx, r.id); err != nil {
		return nil, err
	}
	a := parseArguments(r.body)
	c := a.hub()
	if a.failed() {
		return nil, *a.err
	}
	all, err := h.registry.Authorities(ctx)
	switch {
	case err != nil:
		return nil, err
	case c.provisioning != nil && *c.provisioning && customAuthority(all) == nil:
		return nil, &preconditionError{"attribute_must_be_set",
			"only an authority of your own can vouch for devices that the hub doesn't know: set it first, with POST …/hubs/" + string(r.id) + "/ca"}
	case c.pushURI != nil && h.graphite != "":
		return nil, &preconditionError{"unknown_precondition",
			"the hub was started with --graphite (HUB_GRAPHITE), which wins over twins_graphite_config: start it without to set this"}
	}
	// One at a time, so that series go where the record says.
	h.changing <- struct{}{}
	defer func() { <-h.changing }()
	record, err := h.registry.UpdateHub(ctx, func(record *registry.Hub) error {
		setIf(&record.Name, c.name)
		setIf(&record.DisableEvents, c.events)
		setIf(&record.EventsTopicPrefix, c.eventsPrefix)
		setIf(&record.AutoProvisioning, c.provisioning)
		setIf(&record.Graphite, c.pushURI)
		record.Updated = stamp(time.Now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	if h.peers != nil {
		h.peers.HubChanged()
	}
	if c.pushURI != nil {
		if err := h.series.pushTo(record.Graphite); err != nil {
			return nil, err
		}
	}
	h.log.info("", "hub changed", "token", r.token.Name)
	return h.restHub(ctx, r.token, record)
}

// restOnlyHub refuses what would make more hubs or fewer.
func (h *Hub) restOnlyHub(ctx context.Context, r restRequest) (any, error) {
	if r.id != "" {
		if _, err := h.hubRecord(ctx, r.id); err != nil {
			return nil, err
		}
	}
	return nil, &permissionError{"write", "hub", "this hub is the only one here, and always enabled: start another one with hub --data"}
}
