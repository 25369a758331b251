package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"strongroom/cmd/strongroom/internal/app"
	"strongroom/cmd/strongroom/internal/doctor"
	"strongroom/internal/config"
)

func (c *cli) doctorCommand() *cobra.Command {
	var f storeFlags
	var listen string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look at an installation and tell what is not as it should be", Args: exactly(0),
		Long: `Look at an installation and tell what is not as it should be: configuration,
certificate, key service, clock, disks, file modes, core dumps, and what the
running server finds open. Nothing is changed. The exit code is 1 when anything
fails, and 0 when there are warnings alone.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := f.patient()
			if err != nil {
				return err
			}
			if listen != "" {
				in.Config.OpsListen = listen
			}
			return c.diagnosis(doctor.Run(cmd.Context(), in))
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&listen, "ops-listen", "", "where the running server's operations listener is, if not as configured")
	return cmd
}

// patient reads what is to be looked at. A configuration that is wrong is a
// finding; one that cannot be read leaves nothing to look at.
func (f *storeFlags) patient() (doctor.Input, error) {
	in := doctor.Input{Now: time.Now()}
	base, err := config.Read(f.config, os.Environ())
	if bad := (*config.Invalid)(nil); errors.As(err, &bad) {
		return in, fmt.Errorf("the configuration is not right:\n%w", bad)
	}
	if err != nil {
		return in, err
	}
	in.Config = *base
	if !f.dev {
		return in, nil
	}
	if _, err := os.Stat(f.home); err != nil {
		return in, fmt.Errorf("there is no store in %s", f.home)
	}
	in.Dev, in.Config, err = app.OpenDev(f.home, *base)
	return in, err
}

func (c *cli) diagnosis(r *doctor.Report) error {
	err := c.show(r, func() *table {
		t := &table{head: []string{"LEVEL", "CHECK", "DETAIL"}}
		for _, f := range r.Findings {
			t.add(string(f.Level), f.Check, f.Detail)
		}
		return t
	})
	if err != nil {
		return err
	}
	if c.output == "text" {
		fmt.Fprintf(c.out, "%d checks, %d warnings, %d failures\n", len(r.Findings), r.Warnings, r.Failures)
	}
	if r.Failures > 0 {
		return silent(exitFailed)
	}
	return nil
}
