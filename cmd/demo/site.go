package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/twinpanel/twinpanel/hub"
)

// handler serves the page, and all that is on it or beside it. It is no ServeMux, which would redirect what the hub
// refuses: a path such as twins//documents, made from a variable that isn't set.
func (d *demo) handler() http.Handler {
	house, web := d.house.Handler(), d.hub.WebSocket()
	rest := showREST(d.hub.REST(), d.wire, d.who)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch first, _, below := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); first {
		case "iot":
			rest.ServeHTTP(w, r)
		case "mqtt", "console":
			web.ServeHTTP(w, r)
		case "api":
			house.ServeHTTP(w, r)
		case "app", "house":
			if !below {
				http.Redirect(w, r, "/"+first+"/", http.StatusFound)
				return
			}
			http.StripPrefix("/"+first, map[string]http.Handler{"app": d.app, "house": house}[first]).ServeHTTP(w, r)
		case "wire":
			d.viewer.ServeHTTP(w, r)
		default:
			servePage(w, r)
		}
	})
}

// explain prints where to look and what to try, in the order in which it works.
func (d *demo) explain(w io.Writer) {
	host, port, _ := net.SplitHostPort(d.mqtt.Addr().String())
	fmt.Fprintf(w, `Open http://%[1]s/ and arm on the phone, then open the door.
Phone, house, panel and hub run in this process. Nothing is kept; Ctrl-C ends it.

The same from another terminal, while the page shows what is said:

  export IOT_API=http://%[1]s/iot/v1/regions/%[2]s SCW_SECRET_KEY=%[4]s PANEL_DEVICE_ID=%[5]s
  curl -sS -H "X-Auth-Token: $SCW_SECRET_KEY" -X PUT $IOT_API/twins/$PANEL_DEVICE_ID/documents/desired -d '{"data": {"alarm_armed": true}}'
  curl -sS -X PUT http://%[1]s/api/house/door -d '{"open": true}'
  curl -sS -H "X-Auth-Token: $SCW_SECRET_KEY" $IOT_API/twins/$PANEL_DEVICE_ID/documents/current
  curl -sS -H "X-Auth-Token: $SCW_SECRET_KEY" -X PUT $IOT_API/twins/$PANEL_DEVICE_ID/documents/desired -d '{"data": {"alarm_armed": false}}'

A second device is yours: whoever has its id is it.

  spare      %[6]s
  console    http://%[1]s/console#%[6]s
  WebSocket  ws://%[1]s/mqtt
  MQTT       mqtt://%[3]s

  mosquitto_rr -V mqttv311 -h %[7]s -p %[8]s -i %[6]s -t '$SCW/twins/me/hello/put' -e '$SCW/twins/me/hello/put/response/success' -m '{"data": {"hello": "twin"}}'

`, d.web.Addr(), hub.DefaultRegion, d.mqtt.Addr(), d.token, d.panel, d.spare, host, port)
}
