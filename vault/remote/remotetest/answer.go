package remotetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

func input(req request) map[string]any { m, _ := req.Variables["input"].(map[string]any); return m }

func raw(v any) []byte {
	s, _ := v.(string)
	b, _ := base64.StdEncoding.DecodeString(s)
	return b
}

func text(v any) string { s, _ := v.(string); return s }

// answer answers every operation of vault/remote/operations.graphql but UploadPack.
func (s *Server) answer(req request, token string) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.nextFailure(req.OperationName); ok {
		return nil, &f
	}
	in := input(req)
	switch req.OperationName {
	case "Server":
		return map[string]any{"server": map[string]any{
			"product": "holdfast", "version": s.Version, "minProtocol": s.MinProtocol, "protocol": max(proto.Protocol, s.MinProtocol),
			"time": time.Now().Add(s.Skew), "fingerprint": s.Fingerprint,
		}}, nil
	case "LoginParams":
		p := map[string]any{"salt": make([]byte, 16), "time": 3, "memory": 64 << 10, "threads": 4}
		if u := s.users[text(req.Variables["email"])]; u != nil {
			p = u.params
		}
		return map[string]any{"loginParams": p}, nil
	case "Invitation":
		i, ok := s.invites[text(req.Variables["token"])]
		if !ok {
			return nil, fault.New(fault.NotFound, "this invitation does not exist, was used, or has expired: ask for a new one")
		}
		return map[string]any{"invitation": map[string]any{"email": optional(i.Email), "name": optional(i.Name), "role": "STAFF", "expiresAt": time.Now().Add(time.Hour)}}, nil
	case "Join":
		return s.join(in)
	case "Login", "LoginWithRecovery":
		return s.login(req.OperationName, in)
	case "Enrolment":
		sum := sha256.Sum256([]byte(text(req.Variables["token"])))
		o, ok := s.offers[hex.EncodeToString(sum[:])]
		if !ok {
			return nil, fault.New(fault.NotFound, "no such enrolment")
		}
		return map[string]any{"enrolment": map[string]any{"sealed": o.sealed, "email": o.user.email, "expiresAt": time.Now().Add(time.Minute)}}, nil
	case "RegisterDevice":
		return s.register(in, token)
	case "BeginBackup", "MissingObjects", "ReportProgress", "CommitSnapshot", "AbortBackup", "ThisDevice", "ThisDeviceLatest", "ThisDevicePolicy":
		return s.byDevice(req.OperationName, in, token)
	}
	u := s.tokens[token]
	if u == nil {
		return nil, unauthenticated()
	}
	return s.byPerson(req, in, token, u)
}

func unauthenticated() error {
	return fault.New(fault.Unauthenticated, "this login is unknown, has expired or was revoked")
}

func optional(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (s *Server) join(in map[string]any) (any, error) {
	i, ok := s.invites[text(in["token"])]
	if !ok {
		return nil, fault.New(fault.NotFound, "this invitation does not exist, was used, or has expired: ask for a new one")
	}
	delete(s.invites, text(in["token"]))
	u := &user{email: i.Email, name: text(in["name"]), identity: raw(in["identityPublic"])}
	if u.email == "" {
		u.email = text(in["email"])
	}
	u.setKeys(in["keys"].(map[string]any))
	r := in["recovery"].(map[string]any)
	u.recovery, u.recoBundle = raw(r["authKey"]), raw(r["bundle"])
	s.users[u.email] = u
	return map[string]any{"join": s.begin(u, u.bundle)}, nil
}

func (u *user) setKeys(k map[string]any) {
	u.params = k["params"].(map[string]any)
	u.auth, u.bundle = raw(k["authKey"]), raw(k["bundle"])
}

func (s *Server) begin(u *user, bundle []byte) any {
	token := s.token(proto.TokenSession)
	s.tokens[token] = u
	return map[string]any{"token": token, "expiresAt": time.Now().Add(time.Hour), "bundle": bundle, "user": map[string]any{
		"id": "usr_x", "email": u.email, "name": u.name, "role": "STAFF", "identityPublic": u.identity}}
}

func (s *Server) login(op string, in map[string]any) (any, error) {
	u := s.users[text(in["email"])]
	wrong := fault.New(fault.WrongPassword, "e-mail and password do not match")
	if op == "Login" {
		if u == nil || !bytes.Equal(u.auth, raw(in["authKey"])) {
			return nil, wrong
		}
		if err := u.second(in); err != nil {
			return nil, err
		}
		return map[string]any{"login": s.begin(u, u.bundle)}, nil
	}
	if u == nil || !bytes.Equal(u.recovery, raw(in["recoveryAuthKey"])) {
		return nil, wrong
	}
	if err := u.second(in); err != nil {
		return nil, err
	}
	return map[string]any{"loginWithRecovery": s.begin(u, u.recoBundle)}, nil
}

// second asks for the next code of the account's second factor, if there are any.
func (u *user) second(in map[string]any) error {
	switch code := text(in["code"]); {
	case len(u.codes) == 0:
		return nil
	case code == "":
		return fault.New(fault.SecondFactor, "type the code that your device shows")
	case code != u.codes[0]:
		return fault.New(fault.SecondFactor, "this code is wrong")
	}
	u.codes = u.codes[1:]
	return nil
}

func (s *Server) register(in map[string]any, token string) (any, error) {
	u := s.tokens[token]
	if t := text(in["enrolmentToken"]); t != "" {
		sum := sha256.Sum256([]byte(t))
		key := hex.EncodeToString(sum[:])
		o, ok := s.offers[key]
		if !ok {
			return nil, fault.New(fault.NotFound, "no such enrolment")
		}
		delete(s.offers, key)
		u = o.user
	}
	if u == nil {
		return nil, unauthenticated()
	}
	d := &device{id: id.Device{}.New(), token: s.token(proto.TokenDevice), owner: u, input: in, seen: time.Now()}
	s.devices = append(s.devices, d)
	return map[string]any{"registerDevice": map[string]any{"device": s.show(d), "token": d.token}}, nil
}

func (s *Server) show(d *device) map[string]any {
	v := map[string]any{"id": d.id, "createdAt": d.seen, "lastSeenAt": d.seen}
	for _, k := range []string{"name", "hostname", "os", "arch", "agentVersion", "publicKey", "mac"} {
		v[k] = d.input[k]
	}
	if !d.revoked.IsZero() {
		v["revokedAt"] = d.revoked
	}
	for _, k := range s.snaps {
		if k.device == d {
			v["latestSnapshot"] = k.show()
		}
	}
	for _, b := range s.sessions {
		if b.device == d && b.done == nil && b.progress != nil {
			v["activeBackup"] = map[string]any{"id": b.id, "startedAt": time.Now(), "progress": b.progress}
		}
	}
	return v
}

func (k *snapshot) show() map[string]any {
	return map[string]any{
		"id": k.id, "device": map[string]any{"id": k.device.id, "name": k.device.input["name"]}, "createdAt": k.at,
		"root": k.root, "manifest": k.manifest, "files": k.input["files"], "bytes": k.input["bytes"],
		"problems": k.input["problems"], "uploadedBytes": k.input["uploadedBytes"],
	}
}

func (s *Server) byPerson(req request, in map[string]any, token string, u *user) (any, error) {
	switch req.OperationName {
	case "Logout":
		delete(s.tokens, token)
		return map[string]any{"logout": map[string]any{"ok": true}}, nil
	case "ChangePassword":
		if old := raw(in["oldAuthKey"]); len(old) > 0 && !bytes.Equal(old, u.auth) {
			return nil, fault.New(fault.WrongPassword, "the old password is wrong")
		}
		u.setKeys(in["keys"].(map[string]any))
		return map[string]any{"changePassword": map[string]any{"user": map[string]any{"id": "usr_x"}}}, nil
	case "RenewRecovery":
		if !bytes.Equal(raw(in["authKey"]), u.auth) {
			return nil, fault.New(fault.WrongPassword, "the password is wrong")
		}
		r := in["recovery"].(map[string]any)
		u.recovery, u.recoBundle = raw(r["authKey"]), raw(r["bundle"])
		return map[string]any{"renewRecovery": map[string]any{"user": map[string]any{"id": "usr_x"}}}, nil
	case "CreateEnrolment":
		s.offers[hex.EncodeToString(raw(in["tokenHash"]))] = offer{raw(in["sealed"]), u}
		return map[string]any{"createEnrolment": map[string]any{"id": "enr_x", "expiresAt": time.Now().Add(15 * time.Minute)}}, nil
	case "Devices":
		list := []any{}
		for _, d := range s.devices {
			if d.owner == u {
				list = append(list, s.show(d))
			}
		}
		return map[string]any{"devices": list}, nil
	case "Applications": // this server knows none
		return map[string]any{"applications": []any{}}, nil
	case "RevokeDevice":
		for _, d := range s.devices {
			if d.owner == u && d.id.String() == text(in["id"]) {
				d.revoked = time.Now()
				return map[string]any{"revokeDevice": map[string]any{"device": s.show(d)}}, nil
			}
		}
		return nil, fault.New(fault.NotFound, "no such device")
	case "Snapshot":
		for _, k := range s.snaps {
			if k.device.owner == u && k.id.String() == text(req.Variables["id"]) {
				return map[string]any{"snapshot": k.show()}, nil
			}
		}
		return map[string]any{"snapshot": nil}, nil
	case "Snapshots":
		return s.page(req, u), nil
	case "ObjectLocations":
		return map[string]any{"objectLocations": s.locations(raw(in["ids"]))}, nil
	}
	return nil, fault.New("GRAPHQL_VALIDATION_FAILED", "unknown operation %s", req.OperationName)
}

// page gives two snapshots at a time, whatever was asked for, so that paging is tried by every test.
func (s *Server) page(req request, u *user) any {
	var list []*snapshot
	for i := len(s.snaps) - 1; i >= 0; i-- {
		if k := s.snaps[i]; k.device.owner == u && (req.Variables["device"] == nil || k.device.id.String() == req.Variables["device"]) {
			list = append(list, k)
		}
	}
	total := len(list)
	if after := text(req.Variables["after"]); after != "" {
		for i, k := range list {
			if k.id.String() == after {
				list = list[i+1:]
				break
			}
		}
	}
	more := len(list) > 2
	list = list[:min(len(list), 2)]
	edges := []any{}
	var end any
	for _, k := range list {
		edges = append(edges, map[string]any{"node": k.show()})
		end = k.id.String()
	}
	return map[string]any{"snapshots": map[string]any{"edges": edges, "pageInfo": map[string]any{"hasNextPage": more, "endCursor": end}, "totalCount": total}}
}

func (s *Server) byDevice(op string, in map[string]any, token string) (any, error) {
	var d *device
	for _, x := range s.devices {
		if x.token == token && x.revoked.IsZero() {
			d = x
		}
	}
	if d == nil {
		return nil, unauthenticated()
	}
	switch op {
	case "ThisDevice", "ThisDeviceLatest":
		return map[string]any{"thisDevice": s.show(d)}, nil
	case "ThisDevicePolicy":
		return map[string]any{"thisDevice": map[string]any{"effectivePolicy": map[string]any{"policies": []any{}, "next": []any{}}}}, nil
	case "BeginBackup":
		b := &session{id: id.Backup{}.New(), device: d}
		s.sessions[b.id.String()] = b
		usable := false
		for _, k := range s.snaps {
			usable = usable || k.id.String() == text(in["parent"])
		}
		return map[string]any{"beginBackup": map[string]any{
			"id": b.id, "fence": 1, "ttl": 120, "parentUsable": usable, "spaceEmpty": len(s.objects) == 0,
			"chunkMin": 256 << 10, "chunkAvg": 1 << 20, "chunkMax": 4 << 20, "maxPack": 48 << 20}}, nil
	}
	b, err := s.session(token, in)
	if err != nil {
		return nil, err
	}
	switch op {
	case "MissingObjects":
		ids := raw(in["ids"])
		bits := make([]byte, (len(ids)/16+7)/8)
		for i := range len(ids) / 16 {
			if _, ok := s.objects[id.Object(ids[16*i:])]; !ok {
				bits[i/8] |= 1 << (i % 8)
			}
		}
		return map[string]any{"missingObjects": map[string]any{"missing": bits}}, nil
	case "ReportProgress":
		b.progress = map[string]any{}
		for _, k := range []string{"phase", "files", "bytes", "totalFiles", "totalBytes", "uploadedBytes", "problems"} {
			b.progress[k] = in[k]
		}
		s.publish(b, "ACTIVE")
		return map[string]any{"reportProgress": map[string]any{"ok": true}}, nil
	case "CommitSnapshot":
		return s.commit(b, in)
	}
	delete(s.sessions, b.id.String())
	s.publish(b, "ABORTED")
	return map[string]any{"abortBackup": map[string]any{"ok": true}}, nil
}

func (s *Server) session(token string, in map[string]any) (*session, error) {
	b := s.sessions[text(in["backup"])]
	fence, _ := in["fence"].(json.Number)
	if b == nil || b.device.token != token || fence.String() != "1" {
		return nil, fault.New(fault.SessionExpired, "this backup session is void")
	}
	if !b.device.revoked.IsZero() {
		return nil, unauthenticated()
	}
	return b, nil
}

func (s *Server) commit(b *session, in map[string]any) (any, error) {
	if b.done != nil {
		return map[string]any{"commitSnapshot": map[string]any{"snapshot": map[string]any{"id": b.done.id}}}, nil
	}
	var missing []byte
	for todo, seen := []id.Object{id.Object(raw(in["root"]))}, map[id.Object]bool{}; len(todo) > 0; {
		o := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[o] {
			continue
		}
		seen[o] = true
		p, ok := s.objects[o]
		if !ok {
			missing = append(missing, o[:]...)
			continue
		}
		todo = append(append(todo, p.e.Nodes...), p.e.Data...)
	}
	if len(missing) > 0 {
		f := fault.New(fault.ObjectsMissing, "objects are missing")
		f.Data = missing
		return nil, f
	}
	b.done = &snapshot{id: id.Snapshot{}.New(), device: b.device, at: time.Now(), root: raw(in["root"]), manifest: raw(in["manifest"]), input: in}
	s.snaps = append(s.snaps, b.done)
	s.publish(b, "COMMITTED")
	return map[string]any{"commitSnapshot": map[string]any{"snapshot": map[string]any{"id": b.done.id}}}, nil
}
