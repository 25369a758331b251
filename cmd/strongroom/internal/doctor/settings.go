package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"strongroom/cmd/strongroom/internal/app"
	"strongroom/internal/config"
)

func (r *Report) configuration(in Input) {
	if in.Dev != nil {
		r.add("configuration", Warn, "development mode: the keys are not sealed, whoever reads the folder reads every record")
		return
	}
	err := in.Config.Check()
	var bad *config.Invalid
	switch {
	case err == nil:
		r.add("configuration", OK, "every member is right")
	case errors.As(err, &bad):
		for _, issue := range bad.Issues {
			r.add("configuration", Fail, issue.String())
		}
	default:
		r.add("configuration", Fail, err.Error())
	}
}

// doors looks at what the configuration opens further than it must.
func (r *Report) doors(in Input) {
	c := in.Config
	if c.TLS.MinVersion == "1.2" {
		r.add("tls", Warn, "TLS 1.2 is spoken: no post-quantum key exchange protects the connections of such clients")
	} else {
		r.add("tls", OK, "TLS 1.3 alone")
	}
	if host, _, err := net.SplitHostPort(c.OpsListen); err == nil && !isLoopback(host) {
		r.add("operations listener", Warn, "ops_listen is not a loopback address: whoever reaches it reads metrics and reasons without a token")
	} else {
		r.add("operations listener", OK, "on loopback alone")
	}
	if len(c.Outbound.Allow) > 0 {
		r.add("outbound", Warn, "addresses that users name may lead into "+networks(c.Outbound.Allow))
	} else {
		r.add("outbound", OK, "addresses that users name lead to public addresses alone")
	}
	if len(c.TrustedProxies) > 0 {
		r.add("proxies", OK, c.TrustedProxyHeader+" is believed from "+networks(c.TrustedProxies))
	}
	if c.Issuer == "" && in.Dev == nil {
		r.add("issuer", Warn, "issuer is not set: tokens name the listen address, and end when that changes")
	}
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

func networks(all config.Networks) string {
	texts := make([]string, len(all))
	for i, n := range all {
		texts[i] = n.String()
	}
	return strings.Join(texts, ", ")
}

// keys opens the provider of keys as the server would; a keyring as a copy, so
// that a server which has it is not disturbed.
func (r *Report) keys(ctx context.Context, in Input) {
	name, err := app.CheckKeys(ctx, in.Config, in.Dev != nil)
	if err != nil {
		r.add("key service", Fail, err.Error())
		return
	}
	r.add("key service", OK, fmt.Sprintf("%s answers", name))
}
