package hub

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Reasons for ending the connections of a device that somebody has changed.
var (
	errDisabled    = errors.New("device was disabled")
	errNarrowed    = errors.New("device may no longer connect as it did")
	errCertificate = errors.New("device has another certificate")
)

// A restDevice is a device as the vendor's API shows it.
type restDevice struct {
	ID                       twin.ID        `json:"id"`
	Name                     string         `json:"name"`
	Description              string         `json:"description"`
	Status                   string         `json:"status"` // enabled or disabled
	HubID                    string         `json:"hub_id"`
	LastActivityAt           restTime       `json:"last_activity_at"`
	IsConnected              bool           `json:"is_connected"`
	AllowInsecure            bool           `json:"allow_insecure"`
	AllowMultipleConnections bool           `json:"allow_multiple_connections"`
	MessageFilters           messageFilters `json:"message_filters"`
	HasCustomCertificate     bool           `json:"has_custom_certificate"`
	CreatedAt                restTime       `json:"created_at"`
	UpdatedAt                restTime       `json:"updated_at"`
	Region                   string         `json:"region"`
}

// A restTime is a time as the vendor's API shows it: in UTC, to the millisecond. 1970 is never.
type restTime time.Time

// MarshalText implements [encoding.TextMarshaler].
func (t restTime) MarshalText() ([]byte, error) {
	if time.Time(t).IsZero() {
		return []byte("1970-01-01T00:00:00Z"), nil
	}
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z"), nil
}

// restDevices shows devices, with what the hub knows of their connections.
func (h *Hub) restDevices(ctx context.Context, devices ...registry.Device) ([]restDevice, error) {
	record, err := h.registry.Hub(ctx)
	if err != nil {
		return nil, err
	}
	elsewhere := h.elsewhere(ctx, devices)
	answer := make([]restDevice, len(devices))
	for i, d := range devices {
		filters, err := filtersOf(d)
		if err != nil {
			h.log.error(string(d.ID), "message filters of a device can't be read: the default is shown", "device", d.Name, "id", shortID(d.ID), "error", err)
		}
		connected, last := h.endpoint.presence(d.ID)
		if last.Before(d.LastActivity) {
			last = d.LastActivity
		}
		answer[i] = restDevice{
			ID:                       d.ID,
			Name:                     d.Name,
			Description:              d.Description,
			Status:                   statusOf(d),
			HubID:                    record.ID,
			LastActivityAt:           restTime(last),
			IsConnected:              connected || elsewhere[d.ID],
			AllowInsecure:            d.AllowInsecure,
			AllowMultipleConnections: d.AllowMultipleConnections,
			MessageFilters:           filters,
			HasCustomCertificate:     d.CustomCertificate,
			CreatedAt:                restTime(d.Created),
			UpdatedAt:                restTime(updated(d)),
			Region:                   h.region,
		}
	}
	return answer, nil
}

// restDevice shows a device, unless there was an error already.
func (h *Hub) restDevice(ctx context.Context, d registry.Device, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	all, err := h.restDevices(ctx, d)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func statusOf(d registry.Device) string {
	if d.Disabled {
		return "disabled"
	}
	return "enabled"
}

func updated(d registry.Device) time.Time {
	if d.Updated.IsZero() {
		return d.Created
	}
	return d.Updated
}

// deviceOrders are what a list of devices can be sorted by. They all have the same hub.
var deviceOrders = []restOrder[registry.Device]{
	{"name", func(a, b registry.Device) int { return cmp.Compare(a.Name, b.Name) }},
	{"status", func(a, b registry.Device) int { return cmp.Compare(statusOf(a), statusOf(b)) }},
	{"hub_id", func(registry.Device, registry.Device) int { return 0 }},
	{"created_at", func(a, b registry.Device) int { return a.Created.Compare(b.Created) }},
	{"updated_at", func(a, b registry.Device) int { return updated(a).Compare(updated(b)) }},
	{"allow_insecure", func(a, b registry.Device) int { return compareFlags(a.AllowInsecure, b.AllowInsecure) }},
}

// compareFlags has false before true.
func compareFlags(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

type restDeviceList struct {
	TotalCount int          `json:"total_count"` // of all pages
	Devices    []restDevice `json:"devices"`
}

// restListDevices lists devices; to a token for one device there is no other.
func (h *Hub) restListDevices(ctx context.Context, r restRequest) (any, error) {
	q := parseQuery(r.query)
	status := q.choice("status", "unknown", "enabled", "disabled", "error")
	insecure := q.flag("allow_insecure")
	name, hubID := q.text("name"), q.id("hub_id")
	if q.err != nil {
		return nil, q.err
	}
	record, err := h.registry.Hub(ctx)
	if err != nil {
		return nil, err
	}
	devices, err := h.registry.Devices(ctx)
	if err != nil {
		return nil, err
	}
	devices = slices.DeleteFunc(devices, func(d registry.Device) bool {
		return r.token.Device != "" && d.ID != r.token.Device ||
			hubID != "" && string(hubID) != record.ID ||
			name != "" && d.Name != name ||
			insecure != nil && d.AllowInsecure != *insecure ||
			status != "unknown" && statusOf(d) != status
	})
	total := len(devices)
	devices = restPage(q, devices, deviceOrders...)
	if q.err != nil {
		return nil, q.err
	}
	answer, err := h.restDevices(ctx, devices...)
	if err != nil {
		return nil, err
	}
	return restDeviceList{total, answer}, nil
}

// A deviceChange is what a request says about a device.
type deviceChange struct {
	description *string
	insecure    *bool
	multiple    *bool
	filters     *filtersChange
}

func (a restArguments) device() deviceChange {
	return deviceChange{
		description: a.shortText("description", registry.MaxDescriptionLen),
		insecure:    a.flag("allow_insecure"),
		multiple:    a.flag("allow_multiple_connections"),
		filters:     a.filters(),
	}
}

func (c deviceChange) apply(d *registry.Device) error {
	setIf(&d.Description, c.description)
	setIf(&d.AllowInsecure, c.insecure)
	setIf(&d.AllowMultipleConnections, c.multiple)
	if c.filters != nil {
		return c.filters.apply(d)
	}
	return nil
}

func setIf[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

type restCertifiedDevice struct {
	Device      any              `json:"device"`
	Certificate *restCertificate `json:"certificate,omitempty"`
}

// restCreateDevice adds a device with a certificate of the hub's. Where somebody else's authority vouches
// for devices, it has none.
func (h *Hub) restCreateDevice(ctx context.Context, r restRequest) (any, error) {
	a := parseArguments(r.body)
	change := a.device()
	name := a.text("name")
	hubID := a.required("hub_id", "missing: name the hub, see GET …/hubs")
	if a.failed() {
		return nil, *a.err
	}
	if err := h.checkHub(ctx, hubID); err != nil {
		return nil, err
	}
	if name == nil {
		name = new("")
	}
	d, err := registry.NewDevice(*name)
	if err != nil {
		return nil, err
	}
	if err := change.apply(&d); err != nil {
		return nil, err
	}
	all, err := credential.Ensure(ctx, h.registry)
	if err != nil {
		return nil, err
	}
	var certificate *restCertificate
	if customAuthority(all) == nil {
		certificate = new(restCertificate)
		var cert, key []byte
		if d.Certificate, cert, key, err = credential.Issue(all, d); err != nil {
			return nil, err
		}
		certificate.Cert, certificate.Key = string(cert), string(key)
	}
	err = h.registry.AddDevice(ctx, d)
	if errors.Is(err, registry.ErrNameTaken) {
		err = &twin.InvalidError{Argument: "name", Reason: "constraint", Help: "another device has this name: choose another one"}
	}
	answer, err := h.restDevice(ctx, d, err)
	if err != nil {
		return nil, err
	}
	h.noteChange(r, "device added", d)
	return restCertifiedDevice{answer, certificate}, nil
}

func (h *Hub) restGetDevice(ctx context.Context, r restRequest) (any, error) {
	d, err := h.registry.Device(ctx, r.id)
	return h.restDevice(ctx, d, err)
}

func (h *Hub) restUpdateDevice(ctx context.Context, r restRequest) (any, error) {
	a := parseArguments(r.body)
	change := a.device()
	hubID := a.text("hub_id")
	if a.failed() {
		return nil, *a.err
	}
	if hubID != nil {
		if err := h.checkHub(ctx, *hubID); err != nil {
			return nil, err
		}
	}
	var before registry.Device
	d, err := h.registry.UpdateDevice(ctx, r.id, func(d *registry.Device) error {
		before = *d
		d.Updated = stamp(time.Now())
		return change.apply(d)
	})
	if err == nil && d.Narrows(before) {
		h.kick(ctx, d.ID, errNarrowed)
	}
	answer, err := h.restDevice(ctx, d, err)
	if err != nil {
		return nil, err
	}
	h.noteChange(r, "device changed", d)
	return answer, nil
}

// restEnableDevice lets a device connect, or no longer.
func (h *Hub) restEnableDevice(enable bool) func(context.Context, restRequest) (any, error) {
	return func(ctx context.Context, r restRequest) (any, error) {
		d, err := h.registry.UpdateDevice(ctx, r.id, func(d *registry.Device) error {
			d.Disabled, d.Updated = !enable, stamp(time.Now())
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !enable {
			h.kick(ctx, d.ID, errDisabled)
		}
		h.noteChange(r, "device "+statusOf(d), d)
		return h.restDevice(ctx, d, nil)
	}
}

func (h *Hub) restDeleteDevice(ctx context.Context, r restRequest) (any, error) {
	d, err := h.registry.Device(ctx, r.id)
	if err == nil {
		err = h.raise(ctx, r.id) // while it has an epoch
	}
	if err == nil {
		err = h.registry.RemoveDevice(ctx, r.id)
	}
	if err != nil {
		return nil, err
	}
	h.endpoint.kick(r.id, errRemoved)
	h.noteChange(r, "device removed", d)
	return nil, nil
}

// noteChange logs what somebody has changed about a device.
func (h *Hub) noteChange(r restRequest, msg string, d registry.Device) {
	h.log.info(string(d.ID), msg, "device", d.Name, "id", shortID(d.ID), "token", r.token.Name)
}
