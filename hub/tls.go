package hub

import (
	"context"
	"crypto/tls"

	"github.com/twinpanel/twinpanel/hub/credential"
)

// TLS is how the hub speaks TLS on any of its listeners, as in
//
//	config, err := h.TLS(ctx)
//	err = h.ServeMQTT(tls.NewListener(l, config))
//
// with the certificate that [Config.Certificate] or [Config.Names] say. The first call makes the
// hub's authorities where there are none. From then on until Close the log says once a day what will expire within thirty days.
func (h *Hub) TLS(ctx context.Context) (*tls.Config, error) {
	h.tlsOnce.Lock()
	defer h.tlsOnce.Unlock()
	if h.server == nil {
		s, err := credential.NewServer(ctx, h.registry, h.names, h.certificate, h.log.logger)
		if err != nil {
			return nil, err
		}
		h.server = s
		h.expiry.start()
	}
	return h.server.TLS(), nil
}
