package bench

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of /proc/PID/stat on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpu returns the processor time that the server has taken; 0 when it is not
// ours or the system does not tell.
func (t *target) cpu() time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", t.process))
	if t.process == 0 || err != nil {
		return 0
	}
	// The second member is the command in parentheses, which can hold anything.
	_, rest, _ := strings.Cut(string(raw), ") ")
	members := strings.Fields(rest)
	if len(members) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(members[11], 10, 64)
	system, _ := strconv.ParseInt(members[12], 10, 64)
	return time.Duration(user+system) * clockTick
}

// memory returns the server's resident bytes now and at most: VmRSS and VmHWM
// of proc_pid_status(5). RssAnon is what is the process's own; the rest is the
// mapped data file, which the system takes back when it needs to.
type memory struct {
	Resident  int64 `json:"resident_bytes"`
	Peak      int64 `json:"peak_bytes"`
	Anonymous int64 `json:"anonymous_bytes"`
}

func (b *Bench) memory() (m memory) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", b.o.Process))
	if b.o.Process == 0 || err != nil {
		return m
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		into := map[string]*int64{"VmRSS": &m.Resident, "VmHWM": &m.Peak, "RssAnon": &m.Anonymous}[name]
		if into == nil {
			continue
		}
		kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		*into = kb << 10
	}
	return m
}
