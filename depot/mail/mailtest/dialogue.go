package mailtest

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strings"
)

func (s *Server) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		select {
		case <-s.closed:
			conn.Close()
		default:
			s.conns[conn] = true
		}
		s.mu.Unlock()
		s.wg.Go(func() {
			defer func() {
				conn.Close()
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			}()
			c := &client{s: s, conn: conn}
			if s.cfg.Implicit {
				c.conn, c.tls = tls.Server(conn, s.tls), true
			}
			c.text = textproto.NewConn(c.conn)
			c.serve()
		})
	}
}

// client is one connection.
type client struct {
	s    *Server
	conn net.Conn
	text *textproto.Conn
	tls  bool
	user string

	from string
	to   []string
}

// say answers at a step, or does what the test asked for instead. It reports whether the dialogue went as it should.
func (c *client) say(at Step, format string, args ...any) bool {
	c.s.mu.Lock()
	b, told := c.s.steps[at]
	c.s.mu.Unlock()
	switch {
	case told && b.hangUp:
		c.conn.Close()
		return false
	case told && b.stall:
		io.Copy(io.Discard, c.conn) // until the client goes
		return false
	case told:
		c.text.PrintfLine("%s", b.answer)
		return false
	}
	return c.text.PrintfLine(format, args...) == nil
}

func (c *client) serve() {
	c.say(Connect, "220 mailtest ready")
	for {
		text, err := c.text.ReadLine()
		if err != nil {
			return
		}
		c.s.mu.Lock()
		c.s.dialogue = append(c.s.dialogue, text)
		c.s.mu.Unlock()
		verb, rest, _ := strings.Cut(text, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			c.hello()
		case "STARTTLS":
			if !c.s.cfg.StartTLS || c.tls {
				c.text.PrintfLine("503 not now")
			} else if c.say(StartTLS, "220 go ahead") {
				c.conn, c.tls = tls.Server(c.conn, c.s.tls), true
				c.text = textproto.NewConn(c.conn)
			}
		case "AUTH":
			c.auth(rest)
		case "MAIL":
			c.mail(rest)
		case "RCPT":
			if to, ok := address(rest, "TO:"); c.from == "" || !ok {
				c.text.PrintfLine("503 not now")
			} else if c.say(Rcpt, "250 ok") {
				c.to = append(c.to, to)
			}
		case "DATA":
			if len(c.to) == 0 {
				c.text.PrintfLine("503 nobody to send it to")
			} else if c.say(Data, "354 go ahead") && !c.data() {
				return
			}
		case "QUIT":
			c.say(Quit, "221 goodbye")
			return
		default:
			c.text.PrintfLine("500 what is %s?", verb)
		}
	}
}

func (c *client) hello() {
	offers := []string{"mailtest", "8BITMIME", "ENHANCEDSTATUSCODES"}
	if c.s.cfg.UTF8 {
		offers = append(offers, "SMTPUTF8")
	}
	if c.s.cfg.StartTLS && !c.tls {
		offers = append(offers, "STARTTLS")
	} else if c.s.cfg.User != "" {
		offers = append(offers, "AUTH "+strings.Join(c.s.cfg.Mechanisms, " "))
	}
	var b strings.Builder
	for _, o := range offers[:len(offers)-1] {
		fmt.Fprintf(&b, "250-%s\r\n", o)
	}
	c.say(Hello, "%s250 %s", b.String(), offers[len(offers)-1])
}

func (c *client) auth(rest string) {
	mechanism, initial, _ := strings.Cut(rest, " ")
	if !slices.Contains(c.s.cfg.Mechanisms, mechanism) || c.s.cfg.StartTLS && !c.tls {
		c.text.PrintfLine("504 not that way")
		return
	}
	ask := func(question string) (string, bool) {
		c.text.PrintfLine("334 %s", base64.StdEncoding.EncodeToString([]byte(question)))
		text, err := c.text.ReadLine()
		b, bad := base64.StdEncoding.DecodeString(text)
		return string(b), err == nil && bad == nil
	}
	var user, password string
	ok := true
	switch mechanism {
	case "PLAIN":
		b, err := base64.StdEncoding.DecodeString(initial)
		fields := strings.Split(string(b), "\x00")
		if ok = err == nil && len(fields) == 3; ok {
			user, password = fields[1], fields[2]
		}
	case "LOGIN":
		if user, ok = ask("Username:"); ok {
			password, ok = ask("Password:")
		}
	}
	if !ok || user != c.s.cfg.User || password != c.s.cfg.Password {
		c.text.PrintfLine("535 5.7.8 wrong user or password")
		return
	}
	if c.say(Auth, "235 welcome") {
		c.user = user
	}
}

func (c *client) mail(rest string) {
	from, ok := address(rest, "FROM:")
	switch {
	case !ok:
		c.text.PrintfLine("501 from whom?")
	case c.s.cfg.User != "" && c.user == "":
		c.text.PrintfLine("530 5.7.0 log in first")
	case c.say(Mail, "250 ok"):
		c.from, c.to = from, nil
	}
}

// data reads a mail and keeps it.
func (c *client) data() bool {
	raw, err := io.ReadAll(c.text.DotReader())
	if err != nil {
		return false
	}
	// DotReader ends lines with \n: back to how they came.
	raw = bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
	m, err := parse(Message{User: c.user, TLS: c.tls, From: c.from, To: c.to, Raw: raw})
	if err != nil {
		return c.text.PrintfLine("554 this is no mail: %v", err) == nil
	}
	c.s.mu.Lock()
	told, ok := c.s.steps[Body]
	if !ok || told.hangUp || told.stall { // taken, though the client may not hear of it
		c.s.messages = append(c.s.messages, m)
		close(c.s.arrived)
		c.s.arrived = make(chan struct{})
	}
	c.s.mu.Unlock()
	c.from, c.to = "", nil
	c.say(Body, "250 taken")
	return true
}

// address reads FROM:<…> or TO:<…>.
func address(rest, prefix string) (string, bool) {
	if len(rest) < len(prefix) || !strings.EqualFold(rest[:len(prefix)], prefix) {
		return "", false
	}
	a, _, ok := strings.Cut(strings.TrimPrefix(rest[len(prefix):], "<"), ">")
	return a, ok
}
