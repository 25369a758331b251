// Command strongroom serves an encrypted store for integration data, and is its
// command line: see `strongroom help`.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
