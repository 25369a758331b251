package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"strongroom/store"
)

// server asks the running server what it finds open.
func (r *Report) server(ctx context.Context, in Input) {
	config, same := trusting(in)
	transport := &http.Transport{TLSClientConfig: config, Proxy: nil, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+in.Config.OpsListen+"/readyz", nil)
	if err != nil {
		r.add("server", Warn, "ops_listen is not an address that can be asked")
		return
	}
	response, err := client.Do(request)
	if err != nil {
		r.add("server", Warn, "does not answer on ops_listen: what it finds open is not known")
		return
	}
	defer response.Body.Close()
	if !*same {
		r.add("server", Warn, "shows another certificate than the file holds: it has not taken the new one, or is another server")
	}
	var health struct {
		Status  string         `json:"status"`
		Reasons []store.Reason `json:"reasons"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&health); err != nil || health.Status == "" {
		r.add("server", Warn, "what answers on ops_listen is not this server")
		return
	}
	r.add("server", levelOf(response.StatusCode), fmt.Sprintf("says that it is %s", health.Status))
	for _, reason := range health.Reasons {
		level := Fail
		if reason.Degraded {
			level = Warn
		}
		r.add("open: "+reason.Code, level, reason.Detail)
	}
}

func levelOf(status int) Level {
	if status == http.StatusOK {
		return OK
	}
	return Fail
}
