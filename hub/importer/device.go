package importer

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A vendorDevice is a device of the source: what of it can be had here, but for its certificate.
type vendorDevice struct {
	id     string // as it came
	name   string // likewise
	status string // likewise
	cut    bool   // its description is longer at the source
	device registry.Device
}

// label is what findings call a device.
func label(name string, id twin.ID) string { return fmt.Sprintf("device %q (%s)", excerpt(name), id) }

func (d vendorDevice) label() string {
	if d.device.ID != "" {
		return label(d.name, d.device.ID)
	}
	return fmt.Sprintf("device %q with id %q", excerpt(d.name), excerpt(d.id))
}

// parseDevice reads an entry of the list of a hub's devices. What it returns has a label also when there is an error.
func parseDevice(e entry, hub string) (d vendorDevice, err error) {
	var v struct {
		ID                       string          `json:"id"`
		Name                     string          `json:"name"`
		Description              string          `json:"description"`
		Status                   string          `json:"status"`
		HubID                    string          `json:"hub_id"`
		LastActivityAt           *time.Time      `json:"last_activity_at"`
		AllowInsecure            bool            `json:"allow_insecure"`
		AllowMultipleConnections bool            `json:"allow_multiple_connections"`
		MessageFilters           json.RawMessage `json:"message_filters"`
		HasCustomCertificate     bool            `json:"has_custom_certificate"`
		CreatedAt                *time.Time      `json:"created_at"`
		UpdatedAt                *time.Time      `json:"updated_at"`
	}
	var named struct{ ID, Name string }
	_ = json.Unmarshal(e.text, &named) // the label of whatever is wrong
	d.id, d.name = named.ID, named.Name
	if err := json.Unmarshal(e.text, &v); err != nil {
		return d, err
	}
	d.status = v.Status
	id, err := twin.ParseID(v.ID)
	if err != nil {
		return d, err
	}
	d.device = registry.Device{
		ID:                       id,
		Name:                     v.Name,
		Description:              v.Description,
		Disabled:                 v.Status != "enabled",
		AllowInsecure:            v.AllowInsecure,
		AllowMultipleConnections: v.AllowMultipleConnections,
		CustomCertificate:        v.HasCustomCertificate,
		Created:                  vendorTime(v.CreatedAt),
		Updated:                  vendorTime(v.UpdatedAt),
		LastActivity:             vendorTime(v.LastActivityAt),
	}
	if text := []rune(v.Description); len(text) > registry.MaxDescriptionLen {
		d.cut, d.device.Description = true, string(text[:registry.MaxDescriptionLen])
	}
	if err := registry.CheckName(v.Name); err != nil {
		return d, err
	}
	if other, err := twin.ParseID(v.HubID); err != nil || string(other) != hub {
		return d, fmt.Errorf("the source lists it, but it is of another hub, %q", excerpt(v.HubID))
	}
	d.device.MessageFilters, err = parseFilters(v.MessageFilters)
	return d, err
}

// defaultFilters are the vendor's: nothing is kept from anybody. They are not stored.
const defaultFilters = `{"publish":{"policy":"reject","topics":[]},"subscribe":{"policy":"reject","topics":[]}}`

// parseFilters reads message filters. Nothing is routed here that they could filter, but they may be asked for.
func parseFilters(text json.RawMessage) (json.RawMessage, error) {
	type rule struct {
		Policy string   `json:"policy"`
		Topics []string `json:"topics"`
	}
	var filters struct {
		Publish   rule `json:"publish"`
		Subscribe rule `json:"subscribe"`
	}
	if err := json.Unmarshal(orNull(text), &filters); err != nil {
		return nil, fmt.Errorf("message_filters: %w", err)
	}
	for _, r := range []*rule{&filters.Publish, &filters.Subscribe} {
		switch r.Policy {
		case "accept", "reject":
		case "", "unknown": // what the vendor's SDKs send where nothing is set
			r.Policy = "reject"
		default:
			return nil, fmt.Errorf("message_filters: unknown policy %q", excerpt(r.Policy))
		}
		if r.Topics == nil {
			r.Topics = []string{}
		}
	}
	made, err := json.Marshal(filters)
	if err != nil {
		return nil, fmt.Errorf("message_filters: %w", err)
	}
	if string(made) == defaultFilters {
		return nil, nil
	}
	return made, nil
}

// device brings a device, and then its twin. An error ends the import; what is wrong with the device
// alone is a finding.
func (p *pass) device(ctx context.Context, d vendorDevice) error {
	text, err := p.source.client.certificate(ctx, d.device.ID)
	if err != nil {
		return err
	}
	cert, err := leaf(text)
	if err == nil {
		if cert != nil {
			d.device.Certificate = cert.Raw
		}
		err = p.certificateTaken(ctx, d)
	}
	as := &p.report.Devices.LeftBehind
	if err == nil {
		as, err = p.bringDevice(ctx, d)
	}
	if isUnfit(err) {
		p.countDevice(as)
		kind := LeftBehind
		if as == &p.report.Devices.Conflicts {
			kind = Conflict
		}
		p.find(kind, "%s: %v", d.label(), err)
		return nil
	}
	if err != nil {
		return err
	}
	p.countDevice(as)
	if err := p.remark(ctx, d, cert); err != nil {
		return err
	}
	return p.documents(ctx, d.device)
}

// leaf is the certificate that a device shows, of a text in PEM that may have the whole chain; nil = there is none.
func leaf(text string) (*x509.Certificate, error) {
	if text == "" {
		return nil, nil
	}
	chain, err := parseCertificates(text)
	if err != nil {
		return nil, err
	}
	// TLS has it first, but files are put together in any order.
	if i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return !c.IsCA }); i >= 0 {
		return chain[i], nil
	}
	return chain[0], nil // it may have signed itself
}

// certificateTaken refuses the certificate of another device.
func (p *pass) certificateTaken(ctx context.Context, d vendorDevice) error {
	if len(d.device.Certificate) == 0 {
		return nil
	}
	sum := d.device.Fingerprint()
	other, err := p.target.Registry.DeviceByFingerprint(ctx, sum)
	switch {
	case err == nil && other.ID != d.device.ID:
		return &unfitError{fmt.Errorf("%s has the same certificate", label(other.Name, other.ID))}
	case err != nil && !errors.Is(err, registry.ErrNoDevice):
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first, taken := p.fingerprints[sum]; taken {
		return &unfitError{fmt.Errorf("%s has the same certificate", first)}
	}
	p.fingerprints[sum] = d.label()
	return nil
}

// bringDevice adds or updates a device and returns what it counts as.
func (p *pass) bringDevice(ctx context.Context, d vendorDevice) (as *int, err error) {
	counts := &p.report.Devices
	have, err := p.target.Registry.Device(ctx, d.device.ID)
	if errors.Is(err, registry.ErrNoDevice) {
		return p.addDevice(ctx, d)
	}
	if err != nil {
		return nil, err
	}
	want := wantDevice(have, d.device)
	switch {
	case have.Name != d.device.Name:
		return &counts.Conflicts, &unfitError{fmt.Errorf("here it has the name %q", have.Name)}
	case sameDevice(have, want):
		if p.mode.write && want.LastActivity.After(have.LastActivity) {
			err = p.target.Registry.Seen(ctx, map[twin.ID]time.Time{have.ID: want.LastActivity}, nil)
		}
		return &counts.Unchanged, err
	case have.Updated.After(d.device.Updated):
		p.find(Kept, "%s: it was changed here later than at the source", d.label())
		return &counts.Kept, nil
	case !p.mode.write:
		p.changed("%s", d.label())
		return &counts.Updated, nil
	}
	_, err = p.target.Registry.UpdateDevice(ctx, have.ID, func(to *registry.Device) error { *to = wantDevice(*to, d.device); return nil })
	return &counts.Updated, err
}

// addDevice adds a device and returns what it counts as.
func (p *pass) addDevice(ctx context.Context, d vendorDevice) (as *int, err error) {
	other, err := p.target.Registry.DeviceByName(ctx, d.device.Name)
	switch {
	case err == nil:
		return &p.report.Devices.LeftBehind, &unfitError{fmt.Errorf("device %s here has the same name", other.ID)}
	case !errors.Is(err, registry.ErrNoDevice):
		return nil, err
	case !p.mode.write:
		p.changed("%s: it is new", d.label())
		return &p.report.Devices.Added, nil
	}
	add := d.device
	if add.Created.IsZero() {
		add.Created = time.Now().UTC().Truncate(time.Microsecond)
	}
	return &p.report.Devices.Added, p.target.Registry.AddDevice(ctx, add)
}

// wantDevice is a device as it is here with what the source says of it. The source knows no secrets and no
// read-only documents.
func wantDevice(have, source registry.Device) registry.Device {
	have.Description = source.Description
	have.Disabled = source.Disabled
	have.AllowInsecure = source.AllowInsecure
	have.AllowMultipleConnections = source.AllowMultipleConnections
	have.Certificate = source.Certificate
	have.CustomCertificate = source.CustomCertificate
	have.MessageFilters = source.MessageFilters
	have.Updated = source.Updated
	if source.LastActivity.After(have.LastActivity) {
		have.LastActivity = source.LastActivity
	}
	return have
}

// sameDevice compares what an import changes, but for the times.
func sameDevice(a, b registry.Device) bool {
	return a.Description == b.Description && a.Disabled == b.Disabled && a.AllowInsecure == b.AllowInsecure &&
		a.AllowMultipleConnections == b.AllowMultipleConnections && bytes.Equal(a.Certificate, b.Certificate) &&
		a.CustomCertificate == b.CustomCertificate && bytes.Equal(a.MessageFilters, b.MessageFilters)
}

// remark notes what the device's owner has to know.
func (p *pass) remark(ctx context.Context, d vendorDevice, cert *x509.Certificate) error {
	if d.status != "enabled" && d.status != "disabled" {
		p.find(Note, "%s has the status %q at the source, and is disabled here: hub device enable changes that", d.label(), excerpt(d.status))
	}
	if d.cut {
		p.find(Note, "%s has a description of more than %d characters: its end is cut off here", d.label(), registry.MaxDescriptionLen)
	}
	if cert != nil && time.Now().After(cert.NotAfter) {
		p.find(Note, "%s has a certificate that expired on %s, which a hub refuses", d.label(), cert.NotAfter.UTC().Format(time.DateOnly))
	}
	here, err := p.target.Registry.Device(ctx, d.device.ID) // which may have got a credential since
	if errors.Is(err, registry.ErrNoDevice) {               // it would be added
		here, err = d.device, nil
	}
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case here.AllowInsecure:
		p.insecure++
	case len(here.Certificate) == 0 && !here.HasSecret():
		p.bare = append(p.bare, fmt.Sprintf("%q", excerpt(here.Name)))
	}
	return nil
}
