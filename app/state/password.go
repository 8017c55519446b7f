package state

import (
	"context"
	"sync"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
)

// Strength is how good a password is that somebody is choosing.
type Strength struct {
	talk.Verdict
	Known bool // false: nothing was typed yet
}

// judge asks the worker about passwords while they are typed, one at a time: what is typed meanwhile waits, and only the newest of it.
type judge struct {
	keys Keys
	tell func(Strength)

	mu      sync.Mutex
	busy    bool
	waiting *talk.Password
}

// ask judges a password. The answer goes to tell.
func (j *judge) ask(p talk.Password) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.waiting = &p
	if !j.busy {
		j.busy = true
		go j.run()
	}
}

func (j *judge) run() {
	for {
		j.mu.Lock()
		next := j.waiting
		j.waiting = nil
		j.busy = next != nil
		j.mu.Unlock()
		if next == nil {
			return
		}
		if next.Password == "" {
			j.tell(Strength{})
			continue
		}
		s := Strength{Known: true}
		if j.keys.Call(context.Background(), talk.MethodStrength, next, &s.Verdict) != nil {
			continue // the form says so when it is sent
		}
		j.tell(s)
	}
}

// chosen is a new password of somebody who is known by words.
func chosen(password string, words ...string) talk.Password {
	return talk.Password{Password: password, Words: append(words, "holdfast")}
}

// prove derives the authentication key of the password of an account. What opens its bundle stays with the worker.
func prove(ctx context.Context, client *api.Client, keys Keys, email, password string) ([]byte, error) {
	params, err := api.LoginParams(ctx, client, email)
	if err != nil {
		return nil, err
	}
	var out talk.AuthKey
	p := params.LoginParams
	err = keys.Call(ctx, talk.MethodDerive, talk.Derive{Password: password, Salt: p.Salt, Time: p.Time, Memory: p.Memory, Threads: p.Threads}, &out)
	return out.AuthKey, err
}

// passwordKeys are what the server keeps of a password.
func passwordKeys(k talk.PasswordKeys) *api.AccountKeysInput {
	return &api.AccountKeysInput{
		Params:  &api.LoginParamsInput{Salt: k.Params.Salt, Time: k.Params.Time, Memory: k.Params.Memory, Threads: k.Params.Threads},
		AuthKey: k.AuthKey, Bundle: k.Bundle,
	}
}

// recoveryKeys are what the server keeps of a recovery code.
func recoveryKeys(k talk.RecoveryKeys) *api.RecoveryKeysInput {
	return &api.RecoveryKeysInput{AuthKey: k.AuthKey, Bundle: k.Bundle}
}
