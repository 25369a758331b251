package main

import "github.com/hashicorp/vault/sdk/helper/consts"

// noPlugins is the registry of a server whose engines are all given by factory.
type noPlugins struct{}

func (noPlugins) Contains(string, consts.PluginType) bool { return false }

func (noPlugins) Get(string, consts.PluginType) (func() (interface{}, error), bool) {
	return nil, false
}

func (noPlugins) Keys(consts.PluginType) []string { return nil }

func (noPlugins) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, true
}
