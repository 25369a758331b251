// Command oldtink makes and checks test vectors with github.com/google/tink/go
// v1.7.0, the archived home of Tink's Go library. It is a module of its own,
// because one binary cannot link both homes: they register the same protobuf
// messages.
//
//	go run . make  > vectors.json    what the old library writes
//	go run . check < vectors.json    reads what the new library wrote; silent when all is well
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "oldtink:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one argument: make or check")
	}
	switch args[0] {
	case "make":
		v, err := makeVectors()
		if err != nil {
			return err
		}
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(v)
	case "check":
		var v Vectors
		if err := json.NewDecoder(os.Stdin).Decode(&v); err != nil {
			return err
		}
		return check(&v)
	}
	return fmt.Errorf("unknown argument %q", args[0])
}
