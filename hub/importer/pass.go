package importer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/twinpanel/twinpanel/twin"
)

// workers are the devices that are brought over at the same time: the store commits together what they write.
const workers = 16

// maxNamed are the networks, routes or devices that a finding names.
const maxNamed = 10

// progressEvery is how many devices make a line of progress.
const progressEvery = 100

// A mode is what a pass does where the source has something that isn't here.
type mode struct {
	write bool
	look  bool   // it is a change since it was brought
	doing string // for progress
}

var (
	writing   = mode{write: true, doing: "imported"}
	verifying = mode{look: true, doing: "verified"}
	planning  = mode{doing: "looked at"}
)

// A pass reads the whole source once and holds it against the target.
type pass struct {
	source *Source
	target Target
	mode   mode

	mu           sync.Mutex
	report       Report
	fingerprints map[[sha256.Size]byte]string // of the source's certificates, and whose they are
	done         int
	insecure     int      // devices that may connect with nothing but their id
	bare         []string // names of devices that have nothing to show on record
	vouchers     []string // names of the CAs that came along
}

// pass reads the source once.
func (s *Source) pass(ctx context.Context, t Target, m mode) (Report, error) {
	p := &pass{
		source: s, target: t, mode: m,
		report:       Report{Hub: s.id, DryRun: m == planning},
		fingerprints: make(map[[sha256.Size]byte]string),
	}
	err := p.run(ctx)
	p.report.finish()
	return p.report, err
}

func (p *pass) run(ctx context.Context) error {
	h, err := p.source.hub(ctx)
	if err != nil {
		return err
	}
	p.report.Name = h.Name
	p.source.client.progress("reading the list of devices")
	entries, err := p.source.client.devices(ctx, h.ID)
	if err != nil {
		return err
	}
	if err := p.hub(ctx, h); err != nil {
		return err
	}
	if err := p.devices(ctx, entries); err != nil {
		return err
	}
	// After the devices, since a folder without any may become another hub's, where this CA has no business.
	if err := p.authorities(ctx, h); err != nil {
		return err
	}
	return p.notes(ctx, h)
}

// find notes a finding.
func (p *pass) find(kind Kind, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report.add(kind, fmt.Sprintf(format, args...))
}

// countDevice counts a device, and as what.
func (p *pass) countDevice(as *int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report.Devices.Found++
	*as++
}

// countDocuments counts documents, and as what.
func (p *pass) countDocuments(as *int, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report.Documents.Found += n
	*as += n
}

// changed notes what a verifying pass would have to bring.
func (p *pass) changed(format string, args ...any) {
	if p.mode.look {
		p.find(Changed, format, args...)
	}
}

// devices brings all devices with their twins, several at a time.
func (p *pass) devices(ctx context.Context, entries []entry) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	queue := make(chan vendorDevice)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for d := range queue {
				if err := p.device(ctx, d); err != nil {
					fail(err)
				}
				p.progress(len(entries))
			}
		})
	}
	names := make(map[string]twin.ID)
	here := make(map[twin.ID]bool)
	for _, e := range entries {
		d, err := parseDevice(e, p.source.id)
		here[d.device.ID] = true
		if err == nil {
			if other, taken := names[d.device.Name]; taken {
				err = fmt.Errorf("device %s has the same name", other)
			}
		}
		if err != nil {
			p.countDevice(&p.report.Devices.LeftBehind)
			p.find(LeftBehind, "%s: %v", d.label(), err)
			p.progress(len(entries))
			continue
		}
		names[d.device.Name] = d.device.ID
		select {
		case queue <- d:
		case <-ctx.Done():
		}
	}
	close(queue)
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return p.onlyHere(ctx, here)
}

func (p *pass) progress(total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done++; p.done%progressEvery == 0 || p.done == total {
		p.source.client.progress(fmt.Sprintf("%s %d of %d devices", p.mode.doing, p.done, total))
	}
}

// onlyHere finds the devices that the source doesn't have.
func (p *pass) onlyHere(ctx context.Context, here map[twin.ID]bool) error {
	devices, err := p.target.Registry.Devices(ctx)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if !here[d.ID] {
			p.find(Kept, "%s: it is here, and not at the source", label(d.Name, d.ID))
		}
	}
	return nil
}

// notes says what an import can't bring.
func (p *pass) notes(ctx context.Context, h vendorHub) error {
	if h.Enabled != nil && !*h.Enabled {
		p.find(Note, "the hub is disabled at the source; this one serves whenever it runs")
	}
	for _, kind := range []string{"networks", "routes"} {
		names, err := p.source.client.names(ctx, kind, h.ID)
		e, refused := errors.AsType[*statusError](err)
		switch {
		case refused && e.status < 500 && !e.again():
			if e.kind != "" { // it knows the path
				p.find(Note, "%s can't be looked at: %v", kind, err)
			}
		case err != nil:
			return err
		case len(names) > 0:
			list := strings.Join(names[:min(len(names), maxNamed)], ", ")
			p.find(Note, "%s stay behind, since nothing is routed here: %d of them, such as %s", kind, len(names), list)
		}
	}
	if p.insecure > 0 {
		p.find(Note, "devices that may connect with nothing but their id, as whoever learns it may: %d; give them a certificate or a secret", p.insecure)
	}
	p.noteBare()
	p.find(Note, "the private keys of devices stay with them: nothing needs to be done")
	p.find(Note, "tokens stay behind: make new ones with hub token add")
	p.find(Note, "secrets of devices and the documents that they may not write are shown by no API: hub device renew and hub device set give them; from a hub of this kind, hub backup brings all")
	return nil
}

// noteBare names the devices that have nothing on record to show. The source doesn't say whether they have a secret there.
func (p *pass) noteBare() {
	if len(p.bare) == 0 {
		return
	}
	slices.Sort(p.bare)
	names := strings.Join(p.bare[:min(len(p.bare), maxNamed)], ", ")
	if len(p.bare) > maxNamed {
		names += ", …"
	}
	help := "hub device renew gives one, or a secret"
	if len(p.vouchers) > 0 {
		help = "they need one that " + strings.Join(p.vouchers, " or ") + " has signed, or hub device renew"
	}
	p.find(Note, "devices without a certificate on record: %d (%s); %s", len(p.bare), names, help)
}
