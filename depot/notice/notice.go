package notice

import (
	"time"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// Severity is how much a notification matters. Its text is what PostgreSQL stores.
type Severity string

// The severities.
const (
	Info    Severity = "info"
	Success Severity = "success"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// MailMode is what a person wants by mail of a kind.
type MailMode string

// The modes.
const (
	None    MailMode = "none"
	Digest  MailMode = "digest"
	Instant MailMode = "instant"
)

// Notification is something that its reader should know.
type Notification struct {
	ID        id.Notice  `db:"id"`
	UserID    id.User    `db:"user_id"`
	Kind      string     `db:"kind"` // a stable word such as run.failed
	Severity  Severity   `db:"severity"`
	Title     string     `db:"title"`
	Body      string     `db:"body"`
	DeviceID  *id.Device `db:"device_id"`
	RunID     *id.Run    `db:"run_id"`
	CreatedAt time.Time  `db:"created_at"`
	ReadAt    *time.Time `db:"read_at"`
	Also      *string    `db:"also"` // see Event
}

// Preference is what a person wants by mail of one kind.
type Preference struct {
	Kind     string
	Title    string
	Severity Severity
	Mail     MailMode
	Default  MailMode
}

// Mail is a mail that was written.
type Mail struct {
	ID        id.Mail    `db:"id"`
	Address   string     `db:"address"`
	Kind      string     `db:"kind"` // notification, digest, admin-digest, test
	Subject   string     `db:"subject"`
	State     MailState  `db:"state"`
	Attempts  int        `db:"attempts"`
	Error     *string    `db:"error"`
	CreatedAt time.Time  `db:"created_at"`
	SentAt    *time.Time `db:"sent_at"`
}

// MailState is how far a mail is.
type MailState string

// The states of a mail.
const (
	MailWaiting MailState = "waiting"
	MailSent    MailState = "sent"
	MailFailed  MailState = "failed"
)
