package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"strongroom/internal/config"
	"strongroom/internal/tlsconf"
	"strongroom/store"
)

// openTLS reads the certificates that both listeners show and ask for.
func (a *App) openTLS() (err error) {
	a.keeper, err = tlsconf.Open(TLSOptions(a.config, a.dev, a.logger))
	return err
}

// clientAuth says what each way to treat certificates of clients means in a
// handshake. With any, whoever is asked proves that he holds the key of the
// certificate he shows, and nothing more: what it is worth is decided by whom
// it is registered for.
var clientAuth = map[string]tls.ClientAuthType{
	config.ClientAuthNone:     tls.NoClientCert,
	config.ClientAuthOptional: tls.VerifyClientCertIfGiven,
	config.ClientAuthAny:      tls.RequestClientCert,
}

// certificateReasons tells what is wrong with the server's certificate. Requests
// are answered all the same.
func (a *App) certificateReasons(now time.Time) (reasons []store.Reason) {
	s := a.keeper.Status()
	add := func(code, detail string) {
		reasons = append(reasons, store.Reason{Code: code, Detail: detail, Degraded: true})
	}
	if s.Problem != "" {
		add("certificate_not_taken", s.Problem)
	}
	end := s.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case s.NotAfter.IsZero():
		add("certificate_missing", "there is no certificate yet: no connection can be made")
	case s.Level(now) == tlsconf.Over:
		add("certificate_expired", "the server certificate is not valid now; its end is "+end)
	case s.Level(now) == tlsconf.Soon:
		add("certificate_expires_soon", "the server certificate ends on "+end)
	case s.Level(now) == tlsconf.Ending:
		add("certificate_expires", "the server certificate ends on "+end)
	}
	return reasons
}

// Ready tells why the server is not as well as it should be.
func (a *App) Ready() []store.Reason {
	return slices.Concat(a.Store.Ready(), a.certificateReasons(time.Now()), a.Jobs.Reasons(), a.Erasures.Reasons())
}

// certificateExpiry is the metric of what is left.
func (a *App) certificateExpiry() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "strongroom_certificate_expiry_seconds",
		Help: "Time until the server's certificate runs out; negative when it has, or when there is none.",
	}, func() float64 {
		s := a.keeper.Status()
		if s.NotAfter.IsZero() {
			return -1
		}
		return time.Until(s.NotAfter).Seconds()
	})
}

// watchTLS takes new certificates over while the server runs.
func (a *App) watchTLS(ctx context.Context) {
	if err := a.keeper.Watch(ctx); err != nil {
		a.logger.Error("the certificates are not watched", "error", fmt.Errorf("app: %w", err))
	}
}
