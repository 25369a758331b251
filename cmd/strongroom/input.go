package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"strongroom/client"
)

// maxInput bounds what is read whole from stdin or a file.
const maxInput = 64 << 20

// connect returns a client of the server that the environment names.
func (c *cli) connect() (*client.Client, error) {
	config, err := client.FromEnv()
	if err != nil {
		return nil, err
	}
	config.UserAgent = "strongroom-cli/" + version()
	return client.New(config)
}

// source opens where a value comes from: @FILE, or - for stdin. A value itself
// is refused: arguments stand in the history and in everybody's process list.
func (c *cli) source(arg string) (io.ReadCloser, error) {
	if arg == "-" {
		return io.NopCloser(c.in), nil
	}
	name, ok := strings.CutPrefix(arg, "@")
	if !ok {
		return nil, usagef("values come from stdin (-) or a file (@FILE), never from an argument")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("the input: %w", err)
	}
	return f, nil
}

func (c *cli) read(arg string) ([]byte, error) {
	r, err := c.source(arg)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = fmt.Errorf("it is over %d MiB", maxInput>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("the input: %w", err)
	}
	return text, nil
}

// readJSON reads a JSON text and leaves it as it is: what is wrong inside, the
// server says.
func (c *cli) readJSON(arg string) (json.RawMessage, error) {
	text, err := c.read(arg)
	if err == nil && !json.Valid(text) {
		err = fmt.Errorf("the input is not JSON")
	}
	return text, err
}

// inputArg is the argument that names the input; stdin when there is none.
func inputArg(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return "-"
}

// fieldsOf reads an object of fields: the whole of the input, or the members
// that --field names, each from a source of its own.
func (c *cli) fieldsOf(input string, members []string) (client.Fields, error) {
	if len(members) == 0 {
		raw, err := c.readJSON(input)
		return client.NewFields(raw), err
	}
	object := map[string]string{}
	for _, m := range members {
		name, from, ok := strings.Cut(m, "=")
		if !ok || name == "" {
			return client.Fields{}, usagef("--field goes NAME=@FILE or NAME=-")
		}
		value, err := c.read(from)
		if err != nil {
			return client.Fields{}, err
		}
		if from == "-" {
			value = bytes.TrimSuffix(value, []byte("\n")) // a terminal's, or echo's
		}
		object[name] = string(value)
	}
	raw, err := json.Marshal(object)
	return client.NewFields(raw), err
}

// labelsOf reads NAME=VALUE pairs.
func labelsOf(pairs []string) (map[string]string, error) {
	if pairs == nil {
		return nil, nil
	}
	labels := map[string]string{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usagef("--label goes NAME=VALUE")
		}
		labels[name] = value
	}
	return labels, nil
}

// timeOf reads a time of RFC 3339, or a duration from now.
func timeOf(flag, text string) (*time.Time, error) {
	switch text {
	case "":
		return nil, nil
	case "none":
		return &time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		t := time.Now().Add(d)
		return &t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, usagef("--%s goes 2026-01-31T12:00:00Z, or a duration like 720h, or none", flag)
	}
	return &t, nil
}

func collectionRef(arg string) (client.CollectionRef, error) {
	parts := strings.Split(arg, "/")
	if len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return client.CollectionRef{}, usagef("a collection goes INTEGRATION/COLLECTION")
	}
	return client.CollectionRef{Integration: parts[0], Collection: parts[1]}, nil
}

func recordRef(arg string) (client.RecordRef, error) {
	parts := strings.Split(arg, "/")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return client.RecordRef{}, usagef("a record goes INTEGRATION/COLLECTION/RECORD")
	}
	return client.RecordRef{Integration: parts[0], Collection: parts[1], Record: parts[2]}, nil
}

// fieldRef reads INTEGRATION/COLLECTION/RECORD#FIELD.
func fieldRef(arg string) (client.RecordRef, string, error) {
	record, field, ok := strings.Cut(arg, "#")
	if !ok || field == "" {
		return client.RecordRef{}, "", usagef("a field goes INTEGRATION/COLLECTION/RECORD#FIELD")
	}
	ref, err := recordRef(record)
	return ref, field, err
}
