package limits

import "testing"

func TestWhatLoosensABudget(t *testing.T) {
	const budget = `{"per":"client","roles":["support","clerks"],"exposure":{"records":[{"limit":50,"window":"1h"},{"limit":200,"window":"24h"}],"when_exhausted":"mask"}}`
	for name, tt := range map[string]struct {
		next string
		want bool
	}{
		"the same":                 {budget, false},
		"fewer":                    {`{"per":"client","roles":["support","clerks"],"exposure":{"records":[{"limit":40,"window":"1h"},{"limit":200,"window":"24h"}],"when_exhausted":"mask"}}`, false},
		"for everybody":            {`{"per":"client","exposure":{"records":[{"limit":50,"window":"1h"},{"limit":200,"window":"24h"}],"when_exhausted":"mask"}}`, false},
		"fields as well":           {`{"per":"client","roles":["support","clerks"],"exposure":{"records":[{"limit":50,"window":"1h"},{"limit":200,"window":"24h"}],"fields":[{"limit":1,"window":"1h"}],"when_exhausted":"mask"}}`, false},
		"refused instead":          {`{"per":"client","roles":["support","clerks"],"exposure":{"records":[{"limit":50,"window":"1h"},{"limit":200,"window":"24h"}],"when_exhausted":"refuse"}}`, false},
		"nothing":                  {"", true},
		"disabled":                 {`{"disabled":true,"per":"client","roles":["support","clerks"],"exposure":{"records":[{"limit":50,"window":"1h"},{"limit":200,"window":"24h"}],"when_exhausted":"mask"}}`, true},
		"requests instead":         {`{"per":"client","roles":["support","clerks"],"requests":[{"limit":1,"window":"1h"}]}`, true},
		"more":                     {`{"per":"client","roles":["support","clerks"],"exposure":{"records":[{"limit":51,"window":"1h"},{"limit":200,"window":"24h"}],"when_exhausted":"mask"}}`, true},
		"a window less":            {`{"per":"client","roles":["support","clerks"],"exposure":{"records":[{"limit":50,"window":"1h"}],"when_exhausted":"mask"}}`, true},
		"a window that begins new": {`{"per":"client","roles":["support","clerks"],"exposure":{"records":[{"limit":50,"window":"1h"},{"limit":200,"window":"25h"}],"when_exhausted":"mask"}}`, true},
		"fields for records":       {`{"per":"client","roles":["support","clerks"],"exposure":{"fields":[{"limit":50,"window":"1h"},{"limit":200,"window":"24h"}],"when_exhausted":"mask"}}`, true},
		"a role less":              {`{"per":"client","roles":["support"],"exposure":{"records":[{"limit":50,"window":"1h"},{"limit":200,"window":"24h"}],"when_exhausted":"mask"}}`, true},
		"one client of the role":   {`{"per":"client","clients":["ann"],"roles":["support","clerks"],"exposure":{"records":[{"limit":50,"window":"1h"},{"limit":200,"window":"24h"}],"when_exhausted":"mask"}}`, true},
		"throttled instead":        {`{"per":"client","roles":["support","clerks"],"exposure":{"records":[{"limit":50,"window":"1h"},{"limit":200,"window":"24h"}],"when_exhausted":"throttle"}}`, true},
	} {
		old, err := Parse([]byte(budget))
		if err != nil {
			t.Fatal(err)
		}
		var next *Definition
		if tt.next != "" {
			if next, err = Parse([]byte(tt.next)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if got := Loosens(old, next); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
		if next != nil && Loosens(nil, next) {
			t.Errorf("%s: a new limit loosens", name)
		}
	}
}
