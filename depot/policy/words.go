package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Policies in words, for the log.

// describe says what a policy is.
func (p *Policy) describe() string {
	return fmt.Sprintf("%s; for %s; saves %s of %s; keeps %s", p.Schedule, short(p.Targets.words()), short(p.files()), short(listed(p.Roots)), p.Retention)
}

// changes says what differs from what was before: "" if nothing does.
func (p *Policy) changes(was *Policy) string {
	var parts []string
	note := func(what, before, after string) {
		if before != after {
			parts = append(parts, fmt.Sprintf("%s: %s (was: %s)", what, short(after), short(before)))
		}
	}
	note("name", was.Name, p.Name)
	note("state", onOff(was.Enabled), onOff(p.Enabled))
	note("for", was.Targets.words(), p.Targets.words())
	note("folders", listed(was.Roots), listed(p.Roots))
	note("files", was.files(), p.files())
	note("excludes", listed(slices.Concat(was.ExcludePresets, was.Excludes)), listed(slices.Concat(p.ExcludePresets, p.Excludes)))
	note("largest file", bytes(was.MaxFileSize, ""), bytes(p.MaxFileSize, ""))
	note("schedule", was.Schedule.String(), p.Schedule.String())
	note("window", was.window(), p.window())
	note("deadline", minutes(was.DeadlineMinutes, "the next slot"), minutes(p.DeadlineMinutes, "the next slot"))
	note("spread", minutes(was.SpreadMinutes, "none"), minutes(p.SpreadMinutes, "none"))
	note("upload limit", bytes(was.UploadLimit, " a second"), bytes(p.UploadLimit, " a second"))
	note("compression", string(was.Level), string(p.Level))
	note("kept", was.Retention.String(), p.Retention.String())
	return strings.Join(parts, "; ")
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (p *Policy) files() string {
	if len(p.Presets)+len(p.Extensions) == 0 {
		return "every file"
	}
	return listed(slices.Concat(p.Presets, p.Extensions))
}

func (p *Policy) window() string {
	if p.Window == nil {
		return "at any time"
	}
	return p.Window.String()
}

func bytes(n int64, per string) string {
	if n == 0 {
		return "no limit"
	}
	return fmt.Sprintf("%d bytes%s", n, per)
}

func minutes(n int, zero string) string {
	if n == 0 {
		return zero
	}
	return fmt.Sprintf("%d minutes", n)
}

// words says whom a policy is for. Ids, because names change.
func (t *Targets) words() string {
	var parts []string
	if t.Everyone {
		parts = append(parts, "everyone")
	}
	for _, g := range t.Groups {
		parts = append(parts, g.String())
	}
	for _, d := range t.Devices {
		parts = append(parts, d.String())
	}
	text := listed(parts)
	var except []string
	for _, g := range t.ExceptGroups {
		except = append(except, g.String())
	}
	for _, d := range t.ExceptDevices {
		except = append(except, d.String())
	}
	if len(except) > 0 {
		text += " except " + listed(except)
	}
	return text
}

// listed joins words.
func listed(words []string) string {
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}

// short clips what is too long for a line of a log.
func short(s string) string {
	const most = 300
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}
