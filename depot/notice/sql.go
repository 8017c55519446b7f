package notice

import (
	"context"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/keyset"
	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The statements of notifications and mails. A row that is not there is a nil pointer, not an error.

// Writing.

func insert(ctx context.Context, tx *sqlx.Tx, e Event) error {
	severity := e.Severity
	if severity == "" {
		k, _ := kindOf(e.Kind)
		severity = k.Severity
	}
	var device *id.Device
	if !e.Device.IsZero() {
		device = &e.Device
	}
	var run *id.Run
	if !e.Run.IsZero() {
		run = &e.Run
	}
	var key *string
	if e.Key != "" {
		key = &e.Key
	}
	_, err := pg.Change(ctx, tx, `
		INSERT INTO notifications (id, user_id, kind, severity, title, body, device_id, run_id, key, also)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, nullif($10, '')) ON CONFLICT (key, user_id) WHERE key IS NOT NULL DO NOTHING`,
		id.Notice{}.New(), e.User, e.Kind, severity, e.Title, e.Body, device, run, key, e.Also)
	return err
}

func forget(ctx context.Context, tx *sqlx.Tx, user id.User, key string) error {
	_, err := pg.Change(ctx, tx, `UPDATE notifications SET key = NULL WHERE key = $2 AND user_id = $1`, user, key)
	return err
}

func forgetAll(ctx context.Context, tx *sqlx.Tx, key string) error {
	_, err := pg.Change(ctx, tx, `UPDATE notifications SET key = NULL WHERE key = $1`, key)
	return err
}

// admins returns those who look after the installation and can act.
func admins(ctx context.Context, tx *sqlx.Tx) ([]id.User, error) {
	return pg.Many[id.User](ctx, tx, `SELECT id FROM users WHERE role IN ('admin', 'superuser') AND suspended_at IS NULL ORDER BY id`)
}

func sweep(ctx context.Context, q sqlx.ExecerContext, read, all, mails time.Duration) error {
	if _, err := pg.Change(ctx, q, `
		DELETE FROM notifications
		WHERE read_at < clock_timestamp() - make_interval(secs => $1) OR created_at < clock_timestamp() - make_interval(secs => $2)`,
		read.Seconds(), all.Seconds()); err != nil {
		return err
	}
	_, err := pg.Change(ctx, q, `DELETE FROM mails WHERE state <> 'waiting' AND created_at < clock_timestamp() - make_interval(secs => $1)`, mails.Seconds())
	return err
}

// Reading.

const columns = `id, user_id, kind, severity, title, body, device_id, run_id, created_at, read_at, also`

func notifications(ctx context.Context, q sqlx.QueryerContext, query string, args ...any) ([]*Notification, error) {
	rows, err := pg.Many[*Notification](ctx, q, query, args...)
	for _, n := range rows {
		n.utc()
	}
	return rows, err
}

func (n *Notification) utc() *Notification {
	n.CreatedAt = n.CreatedAt.UTC()
	if n.ReadAt != nil {
		*n.ReadAt = n.ReadAt.UTC()
	}
	return n
}

func list(ctx context.Context, q sqlx.QueryerContext, user id.User, f Filter, from *keyset.Position[id.Notice], n int) ([]*Notification, error) {
	at, last := from.Args()
	return notifications(ctx, q, `
		SELECT `+columns+` FROM notifications
		WHERE user_id = $1 AND (NOT $2 OR read_at IS NULL) AND (cardinality($3::severity[]) = 0 OR severity = ANY ($3::severity[]))
			AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5::uuid))
		ORDER BY created_at DESC, id DESC LIMIT $6`, user, f.UnreadOnly, words(f.Severities), at, last, n)
}

func words[T ~string](list []T) any {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return pq.Array(out)
}

func byID(ctx context.Context, q sqlx.QueryerContext, user id.User, n id.Notice) (*Notification, error) {
	row, err := pg.One[Notification](ctx, q, `SELECT `+columns+` FROM notifications WHERE id = $2 AND user_id = $1`, user, n)
	if row != nil {
		row.utc()
	}
	return row, err
}

func unread(ctx context.Context, q sqlx.QueryerContext, user id.User) (int, error) {
	n, err := pg.One[int](ctx, q, `SELECT count(*) FROM notifications WHERE user_id = $1 AND read_at IS NULL`, user)
	if err != nil {
		return 0, err
	}
	return *n, nil
}

// markRead marks some, or with nil all.
func markRead(ctx context.Context, tx *sqlx.Tx, user id.User, ids []id.Notice) error {
	_, err := pg.Change(ctx, tx, `
		UPDATE notifications SET read_at = clock_timestamp()
		WHERE user_id = $1 AND read_at IS NULL AND ($2 OR id = ANY ($3::uuid[]))`, user, ids == nil, pq.Array(ids))
	return err
}

// recent returns what is newer than a time: id and time alone.
func recent(ctx context.Context, q sqlx.QueryerContext, user id.User, after time.Time) ([]*Notification, error) {
	return pg.Many[*Notification](ctx, q, `SELECT id, created_at FROM notifications WHERE user_id = $1 AND created_at > $2`, user, after)
}

// since returns up to n that are newer than a time, without some, oldest first.
func since(ctx context.Context, q sqlx.QueryerContext, user id.User, after time.Time, without []id.Notice, n int) ([]*Notification, error) {
	return notifications(ctx, q, `
		SELECT `+columns+` FROM notifications WHERE user_id = $1 AND created_at > $2 AND id <> ALL ($3::uuid[])
		ORDER BY created_at, id LIMIT $4`, user, after, pq.Array(without), n)
}

func between(ctx context.Context, tx *sqlx.Tx, user id.User, from, to time.Time) ([]*Notification, error) {
	return notifications(ctx, tx, `
		SELECT `+columns+` FROM notifications WHERE user_id = $1 AND created_at >= $2 AND created_at < $3 ORDER BY created_at DESC, id DESC`, user, from, to)
}

// Preferences.

func choices(ctx context.Context, q sqlx.QueryerContext, user id.User) (map[string]MailMode, error) {
	rows, err := pg.Many[Choice](ctx, q, `SELECT kind, mail FROM notification_preferences WHERE user_id = $1`, user)
	chosen := map[string]MailMode{}
	for _, c := range rows {
		chosen[c.Kind] = c.Mail
	}
	return chosen, err
}

func choose(ctx context.Context, tx *sqlx.Tx, user id.User, set []Choice) error {
	var kinds []string
	var modes []MailMode
	for _, c := range set {
		kinds, modes = append(kinds, c.Kind), append(modes, c.Mail)
	}
	_, err := pg.Change(ctx, tx, `
		INSERT INTO notification_preferences (user_id, kind, mail) SELECT $1, * FROM unnest($2::text[], $3::mail_mode[])
		ON CONFLICT (user_id, kind) DO UPDATE SET mail = excluded.mail`, user, pq.Array(kinds), words(modes))
	return err
}

// From notifications to mails.

// readers returns who has something that is pending, or waits for a digest.
func readers(ctx context.Context, q sqlx.QueryerContext, mailed string) ([]id.User, error) {
	return pg.Many[id.User](ctx, q, `
		SELECT DISTINCT user_id FROM notifications WHERE mailed IN ('pending', 'digest') AND mailed = $1 ORDER BY user_id`, mailed)
}

// lockReader makes others who make mail for a person pass by until tx ends. It returns nil if somebody does so already.
func lockReader(ctx context.Context, tx *sqlx.Tx, user id.User) (*reader, error) {
	free, err := pg.One[bool](ctx, tx, `SELECT pg_try_advisory_xact_lock(hashtextextended('holdfast mail ' || $1, 0))`, user.UUID())
	if err != nil || !*free {
		return nil, err
	}
	return pg.One[reader](ctx, tx, `SELECT id, email, name, role, suspended_at IS NOT NULL AS suspended FROM users WHERE id = $1`, user)
}

func toMail(ctx context.Context, tx *sqlx.Tx, user id.User, mailed string) ([]*Notification, error) {
	return notifications(ctx, tx, `
		SELECT `+columns+` FROM notifications
		WHERE user_id = $1 AND mailed IN ('pending', 'digest') AND mailed = $2 ORDER BY created_at, id`, user, mailed)
}

func settle(ctx context.Context, tx *sqlx.Tx, rows []*Notification, mailed string) error {
	if len(rows) == 0 {
		return nil
	}
	ids := make([]id.Notice, len(rows))
	for i, n := range rows {
		ids[i] = n.ID
	}
	_, err := pg.Change(ctx, tx, `UPDATE notifications SET mailed = $2 WHERE id = ANY ($1::uuid[])`, pq.Array(ids), mailed)
	return err
}

// settleAll is for installations without mail.
func settleAll(ctx context.Context, q sqlx.ExecerContext) error {
	_, err := pg.Change(ctx, q, `UPDATE notifications SET mailed = 'none' WHERE mailed IN ('pending', 'digest')`)
	return err
}

func mailsWithinHour(ctx context.Context, tx *sqlx.Tx, address string) (int, error) {
	n, err := pg.One[int](ctx, tx, `
		SELECT count(*) FROM mails WHERE address = $1 AND kind = 'notification' AND created_at > clock_timestamp() - interval '1 hour'`, address)
	if err != nil {
		return 0, err
	}
	return *n, nil
}

// insertMail writes a mail, and reports whether there was none with the key (empty: whatever there is).
func insertMail(ctx context.Context, tx *sqlx.Tx, r reader, kind string, c mail.Content, key string) (bool, error) {
	n, err := pg.Change(ctx, tx, `
		INSERT INTO mails (id, user_id, address, kind, subject, text, html, key) VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8, ''))
		ON CONFLICT (key) DO NOTHING`, id.Mail{}.New(), r.ID, r.Address, kind, c.Subject, c.Text, c.HTML, key)
	return n == 1, err
}

func hasMail(ctx context.Context, tx *sqlx.Tx, key string) (bool, error) {
	there, err := pg.One[bool](ctx, tx, `SELECT EXISTS (SELECT FROM mails WHERE key = $1)`, key)
	return there != nil && *there, err
}

// adminsWithoutMail returns administrators for whom there is no mail with the key made of before, their id and after.
func adminsWithoutMail(ctx context.Context, q sqlx.QueryerContext, before, after string) ([]id.User, error) {
	return pg.Many[id.User](ctx, q, `
		SELECT u.id FROM users u WHERE u.role IN ('admin', 'superuser') AND u.suspended_at IS NULL
			AND NOT EXISTS (SELECT FROM mails m WHERE m.key = $1 || u.id::text || $2) ORDER BY u.id`, before, after)
}

// Mails on their way.

const outColumns = `id, address, kind, subject, text, html, attempts`

// take claims the mail that is due for longest, and counts the attempt.
func take(ctx context.Context, q sqlx.QueryerContext, claim time.Duration) (*outgoing, error) {
	return pg.One[outgoing](ctx, q, `
		UPDATE mails SET attempts = attempts + 1, next_at = clock_timestamp() + make_interval(secs => $1)
		WHERE id = (SELECT id FROM mails WHERE state = 'waiting' AND next_at <= clock_timestamp() ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING `+outColumns+`, EXISTS (SELECT FROM users u WHERE u.id = mails.user_id AND u.suspended_at IS NOT NULL) AS suspended`, claim.Seconds())
}

// insertTest writes a test mail that is on its way already.
func insertTest(ctx context.Context, q sqlx.QueryerContext, user id.User, c mail.Content, claim time.Duration) (*outgoing, error) {
	m, err := pg.One[outgoing](ctx, q, `
		INSERT INTO mails (id, user_id, address, kind, subject, text, html, attempts, next_at)
		SELECT $1, id, email, 'test', $3, $4, $5, 1, clock_timestamp() + make_interval(secs => $6) FROM users WHERE id = $2
		RETURNING `+outColumns, id.Mail{}.New(), user, c.Subject, c.Text, c.HTML, claim.Seconds())
	if err == nil && m == nil {
		err = errors.New("notice: whoever asked for a test mail is gone")
	}
	return m, err
}

// The ends of an attempt. None of them changes a mail of which another attempt was counted meanwhile, or that has an end.
const ofAttempt = ` WHERE id = $1 AND attempts = $2 AND state = 'waiting'`

func sent(ctx context.Context, q sqlx.ExecerContext, m *outgoing) error {
	_, err := pg.Change(ctx, q, `UPDATE mails SET state = 'sent', sent_at = clock_timestamp(), error = NULL`+ofAttempt, m.ID, m.Attempts)
	return err
}

func failed(ctx context.Context, q sqlx.ExecerContext, m *outgoing, why string) error {
	_, err := pg.Change(ctx, q, `UPDATE mails SET state = 'failed', error = $3`+ofAttempt, m.ID, m.Attempts, why)
	return err
}

// untried gives a mail back that nobody knows anything about.
func untried(ctx context.Context, q sqlx.ExecerContext, m *outgoing) error {
	_, err := pg.Change(ctx, q, `UPDATE mails SET next_at = clock_timestamp()`+ofAttempt, m.ID, m.Attempts)
	return err
}

func postpone(ctx context.Context, q sqlx.ExecerContext, m *outgoing, why string, wait, giveUp time.Duration) error {
	_, err := pg.Change(ctx, q, `
		UPDATE mails SET error = $3, next_at = clock_timestamp() + make_interval(secs => $4),
			state = CASE WHEN created_at <= clock_timestamp() - make_interval(secs => $5) THEN 'failed' ELSE 'waiting' END::mail_state`+ofAttempt,
		m.ID, m.Attempts, why, wait.Seconds(), giveUp.Seconds())
	return err
}

const mailColumns = `id, address, kind, subject, state, attempts, error, created_at, sent_at`

func (m *Mail) utc() *Mail {
	m.CreatedAt = m.CreatedAt.UTC()
	if m.SentAt != nil {
		*m.SentAt = m.SentAt.UTC()
	}
	return m
}

func listMails(ctx context.Context, q sqlx.QueryerContext, failedOnly bool, from *keyset.Position[id.Mail], n int) ([]*Mail, error) {
	at, last := from.Args()
	rows, err := pg.Many[*Mail](ctx, q, `
		SELECT `+mailColumns+` FROM mails
		WHERE (NOT $1 OR state = 'failed') AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
		ORDER BY created_at DESC, id DESC LIMIT $4`, failedOnly, at, last, n)
	for _, m := range rows {
		m.utc()
	}
	return rows, err
}

func mailByID(ctx context.Context, q sqlx.QueryerContext, m id.Mail) (*Mail, error) {
	row, err := pg.One[Mail](ctx, q, `SELECT `+mailColumns+` FROM mails WHERE id = $1`, m)
	if row != nil {
		row.utc()
	}
	return row, err
}
