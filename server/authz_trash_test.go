package server_test

import "context"

func init() { rows = append(rows, trashRows...) }

const snapshotAfter = `{ snapshot { id pinnedAt deletedAt purgeAfter scheduled } }`

var trashRows = []row{
	{"Query.deletedSnapshots", `{ deletedSnapshots { id deletedAt purgeAfter } }`, noVars, fill(nil, "reader"), nil},
	{"Mutation.pinSnapshot", `mutation($input: PinSnapshotInput!) { pinSnapshot(input: $input) ` + snapshotAfter + ` }`, func(c *cast, _ string) map[string]any {
		s, _, _ := c.snapshot(c.laptop, 100)
		return input("id", s.ID, "pinned", true)
	}, fill(same(missing, other, admin, super), "person"), nil},
	{"Mutation.restoreDeletedSnapshot", `mutation($input: RestoreDeletedSnapshotInput!) { restoreDeletedSnapshot(input: $input) ` + snapshotAfter + ` }`, func(c *cast, _ string) map[string]any {
		s, _, _ := c.snapshot(c.laptop, 100)
		c.ok(c.catalog.DeleteSnapshot(context.Background(), c.ada.Actor, s.ID))
		return input("id", s.ID)
	}, fill(same(missing, other, admin, super), "person"), nil},
}
