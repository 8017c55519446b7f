package state

import (
	"context"
	"strings"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// FactorSetup is what the device that will show the codes needs.
type FactorSetup struct {
	Secret string // base32, to be typed
	URI    string // for its camera
}

// SecretGroups is a secret as people type it: in groups of four.
func SecretGroups(secret string) string {
	var b strings.Builder
	for i, r := range secret {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// ChangeEmail changes the address with which the person logs in. code is that of the second factor, if there is one. Where the server sends mail, the address
// is in a later View as one that waits for [Profile.ConfirmEmail].
func (p *Profile) ChangeEmail(email, password, code string) {
	p.do(FormEmail, func(ctx context.Context) (func(), error) {
		if email = strings.TrimSpace(email); email == "" {
			return nil, fault.New(fault.Invalid, "type the new address")
		}
		proof, err := p.proof(ctx, password, code)
		if err != nil {
			return nil, err
		}
		got, err := api.ChangeEmail(ctx, p.session.api, &api.ChangeEmailInput{Email: email, AuthKey: proof, Code: filled(code)})
		if err != nil {
			return nil, err
		}
		p.session.renamed(&got.ChangeEmail.User.AccountFields)
		return func() {
			p.v.PendingEmail = ""
			if got.ChangeEmail.Waits {
				p.v.PendingEmail = email
			}
		}, nil
	})
}

// ConfirmEmail takes the code that was mailed to the new address.
func (p *Profile) ConfirmEmail(code string) {
	p.do(FormEmailCode, func(ctx context.Context) (func(), error) {
		if filled(code) == nil {
			return nil, fault.New(fault.Invalid, "type the code from the mail")
		}
		got, err := api.ConfirmEmail(ctx, p.session.api, &api.ConfirmEmailInput{Code: code})
		if err != nil {
			return nil, err
		}
		p.session.renamed(&got.ConfirmEmail.User.AccountFields)
		return func() { p.v.PendingEmail = "" }, nil
	})
}

// CancelEmail gives up a change of the address that waits.
func (p *Profile) CancelEmail() {
	p.do(FormEmailStop, func(ctx context.Context) (func(), error) {
		if _, err := api.CancelEmail(ctx, p.session.api); err != nil {
			return nil, err
		}
		return func() {
			p.v.PendingEmail = ""
			delete(p.v.Err, FormEmailCode)
		}, nil
	})
}

// proof proves the password, once a code was typed where one is needed.
func (p *Profile) proof(ctx context.Context, password, code string) ([]byte, error) {
	if u := p.session.View().User; u != nil && u.SecondFactor && filled(code) == nil {
		return nil, fault.New(fault.Invalid, "type the code of your second factor")
	}
	_, proof, err := p.prove(ctx, password)
	return proof, err
}

// BeginFactor begins to set a second factor up. What the device needs is in a later View.
func (p *Profile) BeginFactor(password string) {
	p.do(FormBegin, func(ctx context.Context) (func(), error) {
		_, proof, err := p.prove(ctx, password)
		if err != nil {
			return nil, err
		}
		got, err := api.BeginSecondFactor(ctx, p.session.api, &api.BeginSecondFactorInput{AuthKey: proof})
		if err != nil {
			return nil, err
		}
		return func() {
			p.v.Setup = &FactorSetup{Secret: got.BeginSecondFactor.Secret, URI: got.BeginSecondFactor.Uri}
			delete(p.v.Err, FormFactor)
		}, nil
	})
}

// ConfirmFactor switches the second factor on with a code of it. Its backup codes are in a later View.
func (p *Profile) ConfirmFactor(code string) {
	p.do(FormFactor, func(ctx context.Context) (func(), error) {
		if filled(code) == nil {
			return nil, fault.New(fault.Invalid, "type the code that your device shows")
		}
		got, err := api.ConfirmSecondFactor(ctx, p.session.api, &api.ConfirmSecondFactorInput{Code: code})
		if err != nil {
			return nil, err
		}
		p.session.renamed(&got.ConfirmSecondFactor.User.AccountFields)
		p.load(ctx)
		return func() { p.v.Setup, p.v.BackupCodes = nil, got.ConfirmSecondFactor.BackupCodes }, nil
	})
}

// ForgetFactor gives up what was begun, and takes backup codes off the screen.
func (p *Profile) ForgetFactor() {
	p.change(func() {
		p.v.Setup, p.v.BackupCodes = nil, nil
		for _, form := range []string{FormBegin, FormFactor, FormBackup, FormDisable} {
			delete(p.v.Err, form)
		}
	})
}

// RenewBackupCodes replaces the backup codes. The new ones are in a later View.
func (p *Profile) RenewBackupCodes(password, code string) {
	p.do(FormBackup, func(ctx context.Context) (func(), error) {
		proof, err := p.proof(ctx, password, code)
		if err != nil {
			return nil, err
		}
		got, err := api.RenewBackupCodes(ctx, p.session.api, &api.RenewBackupCodesInput{AuthKey: proof, Code: code})
		if err != nil {
			return nil, err
		}
		p.load(ctx)
		return func() { p.v.BackupCodes = got.RenewBackupCodes.BackupCodes }, nil
	})
}

// DisableFactor switches the second factor off.
func (p *Profile) DisableFactor(password, code string) {
	p.do(FormDisable, func(ctx context.Context) (func(), error) {
		proof, err := p.proof(ctx, password, code)
		if err != nil {
			return nil, err
		}
		got, err := api.DisableSecondFactor(ctx, p.session.api, &api.DisableSecondFactorInput{AuthKey: proof, Code: code})
		if err != nil {
			return nil, err
		}
		p.session.renamed(&got.DisableSecondFactor.User.AccountFields)
		return nil, nil
	})
}
