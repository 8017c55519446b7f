package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	takeApplication = `mutation { takeWork { runs { id kind state title part trigger application { id name } schedule { name } } lease order policy { level } application { level excludeLogs portable } } }`
	endApplication  = `mutation($input: EndRunsInput!) { endRuns(input: $input) { runs { id state code text snapshot { id label { title part origin application { name } } } safety { id } } } }`
	commitQuery     = `mutation($input: CommitSnapshotInput!) { commitSnapshot(input: $input) { snapshot { id label { part origin title application { id name } } } } }`
	changesOfApps   = `subscription { runChanges { id kind state application { id name } title } }`
)

// TestApplication is an application from its registration to a restore with a way back, as its device and its owner see it.
func TestApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, boss, eve := w.person("ada", actor.Staff), w.person("boss", actor.Admin), w.person("eve", actor.Staff)
	d := w.device(ada, "server")
	app := at(w.fine(d.Token, `mutation($input: RegisterApplicationInput!) { registerApplication(input: $input) { application { id name engine mediaFolders device { name } keepSafety notify } } }`,
		input("name", "Shop", "engine", "POSTGRES", "mediaFolders", 2)), "application").(map[string]any)
	if app["engine"] != "POSTGRES" || app["mediaFolders"] != 2.0 || at(app, "device", "name") != "server" || app["keepSafety"] != 5.0 || app["notify"] != "FAILURES" {
		t.Fatal(app)
	}
	known := `query($ids: [ID!]!) { thisDeviceApplications(ids: $ids) { name stats { lastSuccessAt } nextDueAt } }`
	if list := at(w.gql(d.Token, known, map[string]any{"ids": []any{app["id"], id.Application{}.New()}}).Data, "thisDeviceApplications").([]any); len(list) != 2 || at(list, 0, "name") != "Shop" || list[1] != nil {
		t.Error(list)
	}
	if list := at(w.gql(w.device(ada, "other").Token, known, map[string]any{"ids": []any{app["id"]}}).Data, "thisDeviceApplications").([]any); list[0] != nil {
		t.Error("one device is told of another's application")
	}
	live := w.follow(ada.Token, changesOfApps, nil)
	asked := w.fine(ada.Token, `mutation($input: BackUpApplicationInput!) { backUpApplication(input: $input) { run { id kind state trigger title part application { name } schedule { id } askedBy { email } safety { id } } } }`,
		input("application", app["id"], "part", "FULL", "title", "Before the sale", "level", "BETTER", "portable", true))
	if at(asked, "run", "state") != "WAITING" || at(asked, "run", "title") != "Before the sale" || at(asked, "run", "application", "name") != "Shop" || at(asked, "run", "schedule") != nil {
		t.Fatal(asked)
	}
	if e := live.until("WAITING"); at(e, "application", "id") != app["id"] || e["title"] != "Before the sale" {
		t.Fatal(e)
	}
	work := w.fine(d.Token, takeApplication, nil)
	if at(work, "application", "level") != "BETTER" || at(work, "application", "portable") != true || at(work, "application", "excludeLogs") != false || work["policy"] != nil ||
		at(work, "runs", 0, "application", "id") != app["id"] || at(work, "runs", 0, "part") != "FULL" {
		t.Fatal(work)
	}
	save := func(origin string) map[string]any {
		t.Helper()
		b := w.session(d)
		body, name, root, _ := smallPack(100)
		if r := w.upload(d.Token, b.ID, b.Fence, name.String(), body); r.code() != "" {
			t.Fatal(r.Raw)
		}
		return at(w.fine(d.Token, commitQuery, input("backup", b.ID, "fence", b.Fence, "root", b64(root[:]), "manifest", b64(random(100)), "files", 1, "bytes", 100, "problems", 0, "uploadedBytes", 10,
			"application", map[string]any{"id": app["id"], "part": "FULL", "origin": origin, "title": "Before the sale"})), "snapshot").(map[string]any)
	}
	sn := save("BACKUP")
	if at(sn, "label", "application", "name") != "Shop" || at(sn, "label", "title") != "Before the sale" || at(sn, "label", "part") != "FULL" || at(sn, "label", "origin") != "BACKUP" {
		t.Fatal(sn)
	}
	end := func(work map[string]any, more ...any) map[string]any {
		t.Helper()
		return w.fine(d.Token, endApplication, input(append([]any{"runs", []any{at(work, "runs", 0, "id")}, "lease", work["lease"], "outcome", "SUCCEEDED"}, more...)...))
	}
	if done := end(work, "snapshot", sn["id"]); at(done, "runs", 0, "snapshot", "label", "title") != "Before the sale" {
		t.Fatal(done)
	}
	live.until("SUCCEEDED")

	w.fine(ada.Token, `mutation($input: RestoreApplicationInput!) { restoreApplication(input: $input) { run { id kind part } } }`,
		input("application", app["id"], "snapshot", sn["id"], "part", "DATABASE", "order", b64([]byte("sealed"))))
	work = w.fine(d.Token, takeApplication, nil)
	if work["order"] != b64([]byte("sealed")) || work["application"] != nil || at(work, "runs", 0, "kind") != "RESTORE" || at(work, "runs", 0, "part") != "DATABASE" {
		t.Fatal(work)
	}
	safety := save("SAFETY")
	if done := end(work, "safety", safety["id"]); at(done, "runs", 0, "safety", "id") != safety["id"] {
		t.Fatal(done)
	}
	w.fine(boss.Token, `mutation($input: TestApplicationInput!) { testApplication(input: $input) { run { id } } }`, input("application", app["id"]))
	if work = w.fine(d.Token, takeApplication, nil); at(work, "runs", 0, "kind") != "PROBE" || work["application"] != nil {
		t.Fatal(work)
	}
	end(work)

	// What its owner sees of it, and an administrator.
	const all = `query($id: ID!) { application(id: $id) { stats { backups failed restores snapshots bytes lastSuccessAt lastRun { id state } trend { at part bytes uploadedBytes } }
		snapshots { totalCount edges { node { id label { origin } } } } safety: snapshots(origin: SAFETY, part: FULL) { totalCount }
		runs { totalCount edges { node { kind safety { id } snapshot { id } } } } restores: runs(kind: RESTORE, first: 1) { totalCount pageInfo { hasNextPage } } nextDueAt } }`
	mine := w.fine(ada.Token, all, map[string]any{"id": app["id"]})
	if s := at(mine, "stats"); at(s, "backups") != 1.0 || at(s, "failed") != 0.0 || at(s, "restores") != 1.0 || at(s, "snapshots") != 2.0 || at(s, "bytes") != 200.0 || at(s, "lastRun", "state") != "SUCCEEDED" ||
		at(s, "trend", 0, "bytes") != 100.0 || at(s, "trend", 0, "part") != "FULL" {
		t.Error(s)
	}
	if at(mine, "snapshots", "totalCount") != 2.0 || at(mine, "safety", "totalCount") != 1.0 || at(mine, "runs", "totalCount") != 3.0 || at(mine, "restores", "totalCount") != 1.0 ||
		at(mine, "runs", "edges", 1, "node", "safety", "id") != safety["id"] || mine["nextDueAt"] != nil {
		t.Error(mine)
	}
	theirs := w.fine(boss.Token, all, map[string]any{"id": app["id"]})
	if at(theirs, "snapshots", "totalCount") != 0.0 || at(theirs, "runs", "totalCount") != 3.0 || at(theirs, "runs", "edges", 1, "node", "safety") != nil || at(theirs, "runs", "edges", 2, "node", "snapshot") != nil {
		t.Error(theirs)
	}
	for query, want := range map[string]float64{
		`query($id: ID!) { snapshots(application: $id) { totalCount } }`: 2, `query($id: ID!) { snapshots { totalCount } application(id: $id) { id } }`: 0,
		`query($id: ID!) { runs(filter: {application: $id, kind: PROBE}) { totalCount } }`: 1,
	} {
		r := w.gql(ada.Token, query, map[string]any{"id": app["id"]})
		got := at(r.Data, "snapshots", "totalCount")
		if strings.Contains(query, "runs(") {
			got = at(r.Data, "runs", "totalCount")
		}
		if got != want {
			t.Errorf("%s: %s", query, r.Raw)
		}
	}
	if r := w.gql(eve.Token, `query($id: ID!) { snapshots(application: $id) { totalCount } }`, map[string]any{"id": app["id"]}); at(r.Data, "snapshots", "totalCount") != 0.0 {
		t.Error(r.Raw)
	}
	// The label is gone from a snapshot of an application that nobody knows any more; the snapshot is not.
	_, err := w.db.Exec(`DELETE FROM applications`)
	w.ok(err)
	if r := w.gql(ada.Token, `{ snapshots { totalCount edges { node { label { title } } } } }`, nil); at(r.Data, "snapshots", "totalCount") != 2.0 || at(r.Data, "snapshots", "edges", 0, "node", "label") != nil {
		t.Error(r.Raw)
	}
}

func TestApplicationSchedules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("ada", actor.Staff)
	d := w.device(ada, "server")
	app := w.shop(d, "Shop")
	const fields = `{ id name enabled revision part level excludeLogs portable zone next(count: 2) schedule { text } retention { days } application { name } }`
	made := w.fine(ada.Token, `mutation($input: CreateApplicationScheduleInput!) { createApplicationSchedule(input: $input) { schedule `+fields+` } }`, input("application", app.ID, "schedule", scheduleFields("weekly")))
	s := at(made, "schedule")
	if at(s, "enabled") != true || at(s, "revision") != 1.0 || at(s, "part") != "FULL" || at(s, "level") != "DEFAULT" || at(s, "next", 1) == nil || at(s, "application", "name") != "Shop" {
		t.Fatal(made)
	}
	seen := w.fine(ada.Token, `query($id: ID!) { application(id: $id) { nextDueAt schedules `+fields+` } }`, map[string]any{"id": app.ID})
	if seen["nextDueAt"] != at(s, "next", 0) || at(seen, "schedules", 0, "id") != at(s, "id") {
		t.Fatal(seen)
	}
	const update = `mutation($input: UpdateApplicationScheduleInput!) { updateApplicationSchedule(input: $input) { schedule ` + fields + ` } }`
	changed := scheduleFields("monthly")
	changed["part"], changed["excludeLogs"], changed["level"] = "MEDIA", true, "FAST"
	after := at(w.fine(ada.Token, update, input("id", at(s, "id"), "revision", 1, "schedule", changed)), "schedule")
	if at(after, "name") != "monthly" || at(after, "part") != "MEDIA" || at(after, "excludeLogs") != true || at(after, "level") != "FAST" || at(after, "revision") != 2.0 {
		t.Fatal(after)
	}
	bad := func(change func(map[string]any)) map[string]any {
		f := scheduleFields("bad")
		change(f)
		return f
	}
	for name, tt := range map[string]struct {
		query string
		vars  map[string]any
		want  fault.Kind
	}{
		"an older revision":   {update, input("id", at(s, "id"), "revision", 1, "schedule", changed), fault.Conflict},
		"no such schedule":    {update, input("id", id.ApplicationSchedule{}.New(), "revision", 1, "schedule", changed), fault.NotFound},
		"a mistyped id":       {update, input("id", "sch_x", "revision", 1, "schedule", changed), fault.Invalid},
		"another kind of id":  {update, input("id", app.ID, "revision", 1, "schedule", changed), fault.Invalid},
		"no time of day":      {update, input("id", at(s, "id"), "revision", 2, "schedule", bad(func(f map[string]any) { f["schedule"].(map[string]any)["times"] = []any{"25:00"} })), fault.Invalid},
		"no zone of ours":     {update, input("id", at(s, "id"), "revision", 2, "schedule", bad(func(f map[string]any) { f["zone"] = "Mars" })), fault.Invalid},
		"a count too large":   {`{ applicationSchedulePreview(schedule: {kind: DAILY, times: ["02:00"]}, zone: "UTC", count: 51) { text } }`, nil, fault.Invalid},
		"mistyped times":      {`{ applicationSchedulePreview(schedule: {kind: DAILY, times: ["2"]}, zone: "UTC") { text } }`, nil, fault.Invalid},
		"create: mistyped id": {`mutation($input: CreateApplicationScheduleInput!) { createApplicationSchedule(input: $input) { schedule { id } } }`, input("application", "x", "schedule", changed), fault.Invalid},
		"create: no time": {`mutation($input: CreateApplicationScheduleInput!) { createApplicationSchedule(input: $input) { schedule { id } } }`,
			input("application", app.ID, "schedule", bad(func(f map[string]any) { f["schedule"].(map[string]any)["times"] = []any{"25:00"} })), fault.Invalid},
		"enable":      {`mutation($input: EnableApplicationScheduleInput!) { enableApplicationSchedule(input: $input) { schedule { id } } }`, input("id", "x", "enabled", true), fault.Invalid},
		"delete":      {`mutation($input: DeleteApplicationScheduleInput!) { deleteApplicationSchedule(input: $input) { id } }`, input("id", "x"), fault.Invalid},
		"delete none": {`mutation($input: DeleteApplicationScheduleInput!) { deleteApplicationSchedule(input: $input) { id } }`, input("id", id.ApplicationSchedule{}.New()), fault.NotFound},
		"back up":     {`mutation($input: BackUpApplicationInput!) { backUpApplication(input: $input) { run { id } } }`, input("application", "x"), fault.Invalid},
		"test":        {`mutation($input: TestApplicationInput!) { testApplication(input: $input) { run { id } } }`, input("application", "x"), fault.Invalid},
		"restore":     {`mutation($input: RestoreApplicationInput!) { restoreApplication(input: $input) { run { id } } }`, input("application", "x", "snapshot", "x", "part", "FULL", "order", ""), fault.Invalid},
		"restore of":  {`mutation($input: RestoreApplicationInput!) { restoreApplication(input: $input) { run { id } } }`, input("application", app.ID, "snapshot", "x", "part", "FULL", "order", ""), fault.Invalid},
		"import":      {`mutation($input: BeginImportInput!) { beginImport(input: $input) { token } }`, input("application", "x"), fault.Invalid},
		"import none": {`mutation($input: BeginImportInput!) { beginImport(input: $input) { token } }`, input("application", id.Application{}.New()), fault.NotFound},
		"update":      {`mutation($input: UpdateApplicationInput!) { updateApplication(input: $input) { application { id } } }`, input("id", "x"), fault.Invalid},
		"keep none":   {`mutation($input: UpdateApplicationInput!) { updateApplication(input: $input) { application { id } } }`, input("id", app.ID, "keepSafety", 0), fault.Invalid},
		"one":         {`{ application(id: "x") { id } }`, nil, fault.Invalid},
		"snapshots":   {`{ snapshots(application: "x") { totalCount } }`, nil, fault.Invalid},
		"runs":        {`{ runs(filter: {application: "x"}) { totalCount } }`, nil, fault.Invalid},
		"page":        {`query($id: ID!) { application(id: $id) { snapshots(first: 0) { totalCount } } }`, map[string]any{"id": app.ID}, fault.Invalid},
		"runs' page":  {`query($id: ID!) { application(id: $id) { runs(first: 201) { totalCount } } }`, map[string]any{"id": app.ID}, fault.Invalid},
		"next":        {`query($id: ID!) { application(id: $id) { schedules { next(count: 0) } } }`, map[string]any{"id": app.ID}, fault.Invalid},
	} {
		if r := w.gql(ada.Token, tt.query, tt.vars); r.code() != tt.want {
			t.Errorf("%s: %s, want %s", name, r.Raw, tt.want)
		}
	}
	if r := w.gql(d.Token, `mutation($input: RemoveApplicationInput!) { removeApplication(input: $input) { application { id } } }`, input("id", "x")); r.code() != fault.Invalid {
		t.Error(r.Raw)
	}
	gone := w.fine(d.Token, `mutation($input: RemoveApplicationInput!) { removeApplication(input: $input) { application { removedAt nextDueAt } } }`, input("id", app.ID))
	if at(gone, "application", "removedAt") == nil || at(gone, "application", "nextDueAt") != nil {
		t.Error(gone)
	}
}

// TestImportOverHTTP is an import as a browser makes it: by the bearer of the import, from our own page, with the login's cookie beside it.
func TestImportOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("ada", actor.Staff)
	d := w.device(ada, "server")
	app := w.shop(d, "Shop")
	begun := w.fine(ada.Token, `mutation($input: BeginImportInput!) { beginImport(input: $input) { token session { id fence ttl chunkMin maxPack spaceEmpty } } }`, input("application", app.ID))
	token := begun["token"].(string)
	backup, fence := at(begun, "session", "id"), at(begun, "session", "fence")
	page := header{"Origin": w.web.URL, "Sec-Fetch-Site": "same-origin", "Cookie": "holdfast=" + ada.Token}
	send := func(query string, more ...any) *reply {
		t.Helper()
		return w.gql(token, query, input(append([]any{"backup", backup, "fence", fence}, more...)...), page)
	}
	body, name, root, chunk := smallPack(1000)
	if r := send(`mutation($input: MissingObjectsInput!) { missingObjects(input: $input) { missing } }`, "ids", b64(chunk[:])); r.code() != "" || at(r.Data, "missingObjects", "missing") != b64([]byte{1}) {
		t.Fatal(r.Raw)
	}
	var b id.Backup
	w.ok(b.UnmarshalText([]byte(backup.(string))))
	own := w.session(d) // its own session goes on beside it
	form, contentType := uploadForm(b, int64(fence.(float64)), name.String(), body)
	r, err := http.NewRequest(http.MethodPost, w.web.URL+"/graphql/upload", strings.NewReader(string(form)))
	w.ok(err)
	r.Header.Set("Content-Type", contentType)
	if got := w.send(r, token, page); got.code() != "" || at(got.Data, "uploadPack", "existed") != false {
		t.Fatal(got.Raw)
	}
	if got := w.upload(token, own.ID, own.Fence, name.String(), body); got.code() != fault.NotFound {
		t.Error(got.Raw)
	}
	if r := send(`mutation($input: ReportProgressInput!) { reportProgress(input: $input) { ok } }`, "phase", "upload", "files", 1, "bytes", 1, "totalFiles", 1, "totalBytes", 1, "uploadedBytes", 1, "problems", 0); r.code() != "" {
		t.Fatal(r.Raw)
	}
	// A manifest lists what could not be read: that of an import may be as large as a device's.
	commit := []any{"root", b64(root[:]), "manifest", b64(random(2 << 20)), "files", 1, "bytes", 100, "problems", 0, "uploadedBytes", 10}
	label := func(kv ...any) map[string]any {
		m := input(append([]any{"id", app.ID, "part", "DATABASE", "origin", "IMPORT", "title", "shop.sql.gz"}, kv...)...)
		return m["input"].(map[string]any)
	}
	for name, tt := range map[string]struct {
		application any
		want        fault.Kind
	}{
		"no application": {nil, fault.Invalid}, "a mistyped one": {label("id", "x"), fault.Invalid}, "a mistyped schedule": {label("schedule", "x"), fault.Invalid},
		"as a backup": {label("origin", "BACKUP"), fault.Forbidden}, "a long title": {label("title", strings.Repeat("x", catalog.MaxTitle+1)), fault.Invalid},
	} {
		if r := send(commitQuery, append(commit, "application", tt.application)...); r.code() != tt.want {
			t.Errorf("%s: %s, want %s", name, r.Raw, tt.want)
		}
	}
	done := send(commitQuery, append(commit, "application", label())...)
	if done.code() != "" {
		t.Fatal(done.Raw)
	}
	listed := w.fine(ada.Token, `query($id: ID!) { application(id: $id) { snapshots(origin: IMPORT) { edges { node { id label { title part } device { name } } } } } }`, map[string]any{"id": app.ID})
	if n := at(listed, "snapshots", "edges", 0, "node"); at(n, "id") != at(done.Data, "commitSnapshot", "snapshot", "id") || at(n, "label", "title") != "shop.sql.gz" || at(n, "device", "name") != "server" {
		t.Error(listed)
	}
	if r := send(`mutation($input: AbortBackupInput!) { abortBackup(input: $input) { ok } }`); r.code() != fault.SessionExpired {
		t.Error(r.Raw)
	}
	if !strings.Contains(w.log.String(), "caller="+b.String()) && !strings.Contains(w.log.String(), b.String()) {
		t.Error("the log does not say who asked")
	}
	_, err = w.db.Exec(`UPDATE backups SET ended_at = now() - interval '2 hours' WHERE id = $1`, b)
	w.ok(err)
	if r := send(`mutation($input: AbortBackupInput!) { abortBackup(input: $input) { ok } }`); r.code() != fault.Unauthenticated {
		t.Error(r.Raw)
	}
	if got := w.upload(token, b, 1, name.String(), body); got.code() != fault.Unauthenticated || got.Status != http.StatusUnauthorized {
		t.Error(got.Status, got.Raw)
	}
}
