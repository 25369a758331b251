//go:build !linux

package app

func notDumpable() error { return nil } // the limit counts there
