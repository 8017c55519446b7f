package main

import (
	"fmt"
	"path/filepath"

	"github.com/holdfast-backup/holdfast/agent/service"
	"github.com/holdfast-backup/holdfast/agent/state"
)

func serviceCommand() *command {
	return &command{
		name: "service", args: "install|uninstall|start|stop|status", summary: "have the system run the agent", min: 1, max: 1,
		long: `install makes the service, which runs with the machine, or, unless root installs it, with your login, and starts it.
It runs as whoever enrolled this machine, with low priority. uninstall leaves the state directory alone.`,
		run: func(c *call) error {
			m := service.New()
			switch c.args[0] {
			case "install":
				return c.install(m)
			case "uninstall":
				return c.managed(m.Uninstall(), "removed")
			case "start":
				return c.managed(m.Start(), "started")
			case "stop":
				return c.managed(m.Stop(), "stopped")
			case "status":
				st, err := m.Status()
				if err != nil {
					return err
				}
				if c.json {
					err = c.print(map[string]any{"state": st.State, "scope": st.Scope})
				} else if st.Scope == "" {
					_, err = fmt.Fprintf(c.out, "The service is %s.\n", st.State)
				} else {
					_, err = fmt.Fprintf(c.out, "The service of the %s is %s.\n", map[service.Scope]string{service.System: "machine", service.User: "user"}[st.Scope], st.State)
				}
				if err == nil && st.State != service.Running {
					return failed{}
				}
				return err
			}
			return usagef("%q is none of install, uninstall, start, stop, status", c.args[0])
		},
	}
}

// install makes the service for the enrolled device and starts it.
func (c *call) install(m *service.Manager) error {
	path, err := c.dirPath()
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	if dir, err := state.Find(path); err != nil {
		return err
	} else if _, err := dir.Load(); err != nil {
		return err
	}
	made, err := m.Install(service.Program{State: path})
	if err != nil {
		return err
	}
	if err := m.Start(); err != nil {
		return err
	}
	if c.json {
		return c.print(map[string]any{"scope": made.Scope, "runsAs": made.RunsAs, "hints": append([]string{}, made.Hints...)})
	}
	as := ""
	if made.RunsAs != "" {
		as = " as " + made.RunsAs
	}
	fmt.Fprintf(c.out, "The service is installed and runs%s.\n", as)
	for _, h := range made.Hints {
		c.remark("%s", h)
	}
	return nil
}

// managed reports what the service manager did.
func (c *call) managed(err error, what string) error {
	if err != nil {
		return err
	}
	if c.json {
		return c.print(map[string]any{"done": what})
	}
	fmt.Fprintf(c.out, "The service is %s.\n", what)
	return nil
}
