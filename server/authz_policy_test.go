package server_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/holdfast-backup/holdfast/wire/id"
)

var names atomic.Int64

// fresh is a name that nothing has yet.
func fresh(what string) string { return fmt.Sprint(what, " ", names.Add(1)) }

// staffGroup makes a group that ada is in.
func (c *cast) staffGroup() id.Group {
	c.t.Helper()
	g, err := c.policies.CreateGroup(context.Background(), c.boss.Actor, fresh("Staff"), []id.User{c.ada.ID})
	c.ok(err)
	return g.ID
}

// policyFields is a policy as the API takes it, for one of ada's devices.
func (c *cast) policyFields(name string) map[string]any {
	return map[string]any{
		"name": name, "targets": map[string]any{"devices": []any{c.laptop.ID}}, "roots": []any{"~documents"},
		"schedule": map[string]any{"kind": "DAILY", "times": []any{"02:00"}}, "zone": "Europe/Athens", "retention": map[string]any{"days": 30},
	}
}

// The rows about policies, groups, reports, settings and quotas.
func init() {
	one := func(make func(*cast) any) func(*cast, string) map[string]any {
		return func(c *cast, _ string) map[string]any { return map[string]any{"id": make(c)} }
	}
	aPolicy := func(c *cast) any { return c.nightly(c.boss, fresh("Nightly")).ID }
	aGroup := func(c *cast) any { return c.staffGroup() }
	period := map[string]any{"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "by": "DEVICE"}
	rows = append(rows,
		row{"Query.policies", `{ policies { id name targets { groups { id members { email } } devices { id } } next deviceCount } }`, noVars, fill(nil, "admin"), nil},
		row{"Query.policy", `query($id: ID!) { policy(id: $id) { id name } }`, one(aPolicy), fill(nil, "admin"), nil},
		row{"Query.groups", `{ groups { id name members { email } } }`, noVars, fill(nil, "admin"), nil},
		row{"Query.filePresets", `{ filePresets { name title extensions } }`, noVars, fill(nil, "reader"), nil},
		row{"Query.excludePresets", `{ excludePresets { name title patterns } }`, noVars, fill(nil, "reader"), nil},
		row{"Query.schedulePreview", `{ schedulePreview(schedule: {kind: DAILY, times: ["02:00"]}, zone: "UTC") { text next } }`, noVars, fill(nil, "admin"), nil},
		row{"Query.retentionPreview", `query($d: ID!) { retentionPreview(device: $d, retention: {days: 1}, zone: "UTC") { keep delete snapshots { snapshot } } }`, func(c *cast, _ string) map[string]any {
			c.snapshot(c.laptop, 100)
			return map[string]any{"d": c.laptop.ID}
		}, fill(same(missing, other), "reader"), nil},
		row{"Query.runReport", `query($input: RunReportInput!) { runReport(input: $input) { csv total { succeeded } } }`, func(*cast, string) map[string]any {
			return map[string]any{"input": period}
		}, fill(nil, "admin"), nil},
		row{"Query.storageReport", `{ storageReport { storedBytes spaces { user { email } } } }`, noVars, fill(nil, "admin"), nil},
		row{"Query.fleetOverview", `{ fleetOverview { users devices runsToday { label } recentFailures { id } stale { id } } }`, noVars, fill(nil, "admin"), nil},
		row{"Query.fleetDevices", `{ fleetDevices { totalCount edges { node { id name owner { email } } } } }`, noVars, fill(nil, "admin"), nil},
		row{"Query.myUsage", `{ myUsage { day storedBytes } }`, noVars, fill(nil, "reader"), nil},
		row{"Query.settings", `{ settings { productName mailFrom selfBackupConfigured selfBackupAt } }`, noVars, fill(nil, "admin"), nil},
		row{"Query.replicas", `{ replicas { url trouble } }`, noVars, fill(nil, "admin"), nil},
		row{"Query.branding", `{ branding { name logo } }`, noVars, fill(nil, "public"), nil},
		row{"Mutation.setLogo", `mutation($input: SetLogoInput!) { setLogo(input: $input) { branding { name } } }`, func(*cast, string) map[string]any {
			return input("picture", onePixel)
		}, fill(nil, "admin"), nil},
		row{"Mutation.removeLogo", `mutation { removeLogo { branding { name } } }`, noVars, fill(nil, "admin"), nil},

		row{"Mutation.createPolicy", `mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { id } } }`, func(c *cast, _ string) map[string]any {
			return map[string]any{"input": c.policyFields(fresh("New"))}
		}, fill(nil, "admin"), nil},
		row{"Mutation.updatePolicy", `mutation($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { revision } } }`, func(c *cast, _ string) map[string]any {
			name := fresh("Changed")
			return input("id", c.nightly(c.boss, name).ID, "revision", 1, "policy", c.policyFields(name))
		}, fill(nil, "admin"), nil},
		row{"Mutation.enablePolicy", `mutation($input: EnablePolicyInput!) { enablePolicy(input: $input) { policy { enabled } } }`, func(c *cast, _ string) map[string]any {
			return input("id", aPolicy(c), "enabled", false)
		}, fill(nil, "admin"), nil},
		row{"Mutation.deletePolicy", `mutation($input: DeletePolicyInput!) { deletePolicy(input: $input) { id } }`, func(c *cast, _ string) map[string]any {
			return input("id", aPolicy(c))
		}, fill(nil, "admin"), nil},
		row{"Mutation.runPolicy", `mutation($input: RunPolicyInput!) { runPolicy(input: $input) { runs } }`, func(c *cast, _ string) map[string]any {
			return input("id", aPolicy(c))
		}, fill(nil, "admin"), nil},
		row{"Mutation.createGroup", `mutation($input: CreateGroupInput!) { createGroup(input: $input) { group { id } } }`, func(c *cast, _ string) map[string]any {
			return input("name", fresh("Group"), "members", []any{c.ada.ID})
		}, fill(nil, "admin"), nil},
		row{"Mutation.updateGroup", `mutation($input: UpdateGroupInput!) { updateGroup(input: $input) { group { memberCount } } }`, func(c *cast, _ string) map[string]any {
			return input("id", aGroup(c), "add", []any{c.mallory.ID}, "remove", []any{c.ada.ID})
		}, fill(nil, "admin"), nil},
		row{"Mutation.deleteGroup", `mutation($input: DeleteGroupInput!) { deleteGroup(input: $input) { id } }`, func(c *cast, _ string) map[string]any {
			return input("id", aGroup(c))
		}, fill(nil, "admin"), nil},
		row{"Mutation.updateSettings", `mutation($input: UpdateSettingsInput!) { updateSettings(input: $input) { settings { staleDays } } }`, func(_ *cast, caller string) map[string]any {
			return input("staleDays", 10+len(caller))
		}, fill(nil, "admin"), nil},
		row{"Mutation.setQuota", `mutation($input: SetQuotaInput!) { setQuota(input: $input) { user { quota } } }`, func(c *cast, caller string) map[string]any {
			return input("user", c.ada.ID, "quota", 1_000_000_000+len(caller))
		}, fill(nil, "admin"), nil},

		node("policy", aPolicy, same(null, other, owner, apiToken)),
		node("group", aGroup, same(null, other, owner, apiToken)),
	)
}
