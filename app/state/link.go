package state

import "time"

// Link is whether the server can be reached, as far as the page can tell. The zero value has no reason to doubt it.
type Link struct {
	Model
	offline bool // the browser says that there is no network
	lost    bool // the socket stood once, and has been away for a while
	turn    int

	patience time.Duration // for tests; 0: linkPatience
}

// linkPatience is how long the socket may be away before anybody is told: servers are restarted.
const linkPatience = 4 * time.Second

// LinkView is what pages show of a [Link].
type LinkView struct{ Offline, Lost bool }

// View returns what to show.
func (l *Link) View() (v LinkView) {
	l.read(func() { v = LinkView{l.offline, l.lost} })
	return v
}

// Network takes in what the browser says about the network.
func (l *Link) Network(online bool) { l.change(func() { l.offline = !online }) }

// Socket takes in that the socket stands, or was lost.
func (l *Link) Socket(up bool) {
	turn := 0
	l.change(func() {
		l.turn++
		turn = l.turn
		if up {
			l.lost = false
		}
	})
	if up {
		return
	}
	patience := l.patience
	if patience == 0 {
		patience = linkPatience
	}
	time.AfterFunc(patience, func() { l.away(turn) })
}

// away says that the socket has been away for a while, if it still is.
func (l *Link) away(turn int) {
	l.change(func() {
		if l.turn == turn {
			l.lost = true
		}
	})
}
