package schema

import (
	"embed"
	"slices"
	"strings"
)

//go:embed presets/*.json
var presetFiles embed.FS

// Preset returns the schema of a preset by its name, such as "api_key".
func Preset(name string) ([]byte, bool) {
	if strings.ContainsAny(name, "/.") {
		return nil, false
	}
	raw, err := presetFiles.ReadFile("presets/" + name + ".json")
	return raw, err == nil
}

// Presets lists the names of the presets, sorted.
func Presets() []string {
	entries, _ := presetFiles.ReadDir("presets") // the directory is embedded
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = strings.TrimSuffix(entry.Name(), ".json")
	}
	slices.Sort(names)
	return names
}
