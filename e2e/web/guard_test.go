//go:build linux

package web

// unsaved has what was typed and not saved kept from being lost: by links, by steps in the browser's history, by a reload.
func (x *scenario) unsaved() {
	a := x.ada
	const back, forward = `history.back()`, `history.forward()`
	const question = "Leave without saving?"
	at := func(what, path string) {
		x.Helper()
		x.ok(a.Until("be at "+what, `location.pathname === "`+path+`"`))
	}
	// The browser itself asks before it reloads a page that wants to be kept.
	kept := func(want bool) {
		x.Helper()
		var got bool
		x.ok(a.Run(`!dispatchEvent(new Event("beforeunload", {cancelable: true}))`, &got))
		if got != want {
			x.Errorf("the page is kept from being reloaded: %v, want %v", got, want)
		}
	}

	a.press("Policies", "Papers and pictures")
	const limit = "Upload limit in KiB/s"
	a.holds(limit, "")
	var policy string
	x.ok(a.Run(`location.pathname`, &policy))
	asked := func(step string) {
		x.Helper()
		x.ok(a.Run(step+`, true`, nil))
		a.sees(question)
		at("the policy", policy)
	}
	kept(false)
	a.types(limit, "77")
	a.lacks("Nothing changed")
	kept(true)
	asked(back)
	a.press("Stay here")
	a.lacks(question)
	a.holds(limit, "77")
	asked(back) // a second time, too
	a.press("Leave")
	at("the policies", "/admin/policies")
	a.lacks(question, limit)

	// Nothing is unsaved: nobody is asked, and the history is as long as it was.
	x.ok(a.Run(forward+`, true`, nil))
	at("the policy", policy)
	a.holds(limit, "")
	a.press("Devices")
	at("the devices", "/devices")
	x.ok(a.Run(back+`, true`, nil))
	at("the policy", policy)
	a.holds(limit, "")
	a.types(limit, "78")
	a.lacks("Nothing changed")
	asked(forward)
	a.press("Leave")
	at("the devices", "/devices")
	a.lacks(question)

	a.press("Settings")
	const days = "Days in which a deleted snapshot can be taken back"
	a.types(days, "31")
	a.press("Activity")
	a.sees(question)
	at("the settings", "/admin/settings")
	a.press("Stay here")
	a.lacks(question)
	a.holds(days, "31")
	a.press("Activity", "Leave")
	at("the activity", "/runs")
	kept(false)
}

// holds waits until a field holds a text.
func (p person) holds(field, text string) {
	p.t.Helper()
	p.ok(p.Until("see “"+text+"” in “"+field+"”", `[...document.querySelectorAll("label")].some((l) => l.textContent.startsWith("`+field+`") && l.control?.value === "`+text+`")`))
}
