package config

import (
	"errors"
	"net/netip"
	"strings"
)

// Networks is a list of networks, written as a YAML list or with commas between
// them. An address alone is the network of just that one.
type Networks []netip.Prefix

// UnmarshalText reads what stands between commas.
func (n *Networks) UnmarshalText(text []byte) error {
	*n = nil
	for _, item := range items(text) {
		network, err := netip.ParsePrefix(item)
		if err != nil {
			address, err := netip.ParseAddr(item)
			if err != nil || address.Zone() != "" {
				return errors.New("config: not a network")
			}
			network = netip.PrefixFrom(address, address.BitLen())
		}
		if network != network.Masked() {
			return errors.New("config: a network whose address has bits behind its length")
		}
		*n = append(*n, network)
	}
	return nil
}

// Names is a list of names, written as a YAML list or with commas between them.
type Names []string

// UnmarshalText reads what stands between commas.
func (n *Names) UnmarshalText(text []byte) error {
	*n = items(text)
	return nil
}

// items splits at commas; an empty text has none.
func items(text []byte) []string {
	if strings.TrimSpace(string(text)) == "" {
		return nil
	}
	all := strings.Split(string(text), ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}
