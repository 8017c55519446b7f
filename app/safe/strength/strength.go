// Package strength says how hard a password is to guess.
//
// It takes the part of somebody who has the server's data, knows this program and tries the likely first: it cuts the password into pieces
// in whatever way costs the fewest guesses, and adds their costs in bits. A piece is a password that everybody knows, one
// of the words that the person is known by, a word as such, a row of keys, a sequence, a repetition, a date, or so many characters
// drawn at random. Words are not looked up, since a list that knows enough of them would double the program: any letters that can
// be pronounced count as a word, and cost what one of 30,000 words costs. That makes it strict with names and invented words, and right about
// what people are told to use: four words, or something long that a machine drew.
//
// What this package does not promise: that a password is not in a list that somebody stole elsewhere.
package strength

import (
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Costs in bits.
const (
	known   = 7.0  // one of the passwords that are tried first
	own     = 2.0  // a word that the person is known by
	word    = 15.0 // one of 30,000
	year    = 6.6  // one of the last hundred
	pattern = 6.0  // that it is a sequence or a row of keys, and where it begins
	digit   = 3.33
	letter  = 4.7
	other   = 6.0 // a character that is neither
	join    = 1.0 // that the pieces are so cut
)

// MaxLength is how many characters are looked at: the beginning of what is longer says enough.
const MaxLength = 64

// longest is how many characters a piece has at most, unless it repeats something.
const longest = 24

// first are what is tried first, in lower case and with its letters.
var first = set("password passwort passwd pass qwerty qwertz azerty letmein welcome willkommen admin administrator root master login access secret geheim " +
	"monkey dragon football baseball soccer hockey shadow sunshine princess superman batman iloveyou ichliebedich trustno hallo hello test guest user " +
	"changeme default abc summer winter spring autumn sommer herbst computer internet company office backup holdfast server school schule " +
	"love angel jesus money freedom whatever starwars pokemon michael jordan thomas daniel")

func set(list string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

// rows are keys that lie side by side, on several keyboards.
var rows = []string{"1234567890", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm", "qazwsxedc", "1qaz2wsx3edc"}

// Bits returns how many guesses a password takes, as a power of two. Words are what the person is known by.
func Bits(password string, words []string) float64 {
	text := []rune(password)
	text = text[:min(len(text), MaxLength)]
	known := map[string]bool{}
	for _, w := range words {
		for _, part := range strings.FieldsFunc(strings.ToLower(w), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			if utf8.RuneCountInString(part) >= 3 {
				known[part] = true
			}
		}
	}
	p := pieces{text: text, lower: plain(text), words: known}
	return p.cheapest(0, len(text))
}

// plain writes text in lower case, and what stands for letters as letters.
func plain(text []rune) []rune {
	stands := map[rune]rune{'@': 'a', '4': 'a', '3': 'e', '1': 'i', '!': 'i', '0': 'o', '$': 's', '5': 's', '7': 't'}
	out := make([]rune, len(text))
	for i, r := range text {
		out[i] = unicode.ToLower(r)
		if s, ok := stands[r]; ok {
			out[i] = s
		}
	}
	return out
}

// pieces prices the pieces of a password.
type pieces struct {
	text, lower []rune
	words       map[string]bool
}

// cheapest returns the bits of the characters from start to end, cut in the way that costs least.
func (p *pieces) cheapest(start, end int) float64 {
	best := make([]float64, end-start+1) // of the first so many characters
	for to := start + 1; to <= end; to++ {
		least := math.Inf(1)
		for from := start; from < to; from++ {
			cost := best[from-start] + p.cost(from, to)
			if from > start {
				cost += join
			}
			least = min(least, cost)
		}
		best[to-start] = least
	}
	return best[end-start]
}

// cost returns the least bits that the characters from start to end cost as one piece.
func (p *pieces) cost(start, end int) float64 {
	text := p.text[start:end]
	bits := random(text)
	if len(text) < 3 {
		return bits
	}
	if unit := repeated(text); unit > 0 {
		bits = min(bits, p.cheapest(start, start+unit)+math.Log2(float64(len(text)/unit)))
	}
	if len(text) > longest {
		return bits
	}
	lower, change := string(p.lower[start:end]), written(text)
	asIs := strings.ToLower(string(text))
	if p.words[lower] || p.words[asIs] {
		bits = min(bits, own+change)
	}
	if first[lower] {
		bits = min(bits, known+change)
	}
	if pronounceable(text) {
		bits = min(bits, word+change)
	}
	if isYear(text) {
		bits = min(bits, year)
	}
	if sequence(text) || row(asIs) {
		bits = min(bits, pattern+math.Log2(float64(len(text))))
	}
	return bits
}

// random returns what so many characters cost if they were drawn, from the kinds that they are of.
func random(text []rune) float64 {
	bits := 0.0
	upper, lower := false, false
	for _, r := range text {
		switch {
		case '0' <= r && r <= '9':
			bits += digit
		case unicode.IsLetter(r):
			bits += letter
			upper, lower = upper || unicode.IsUpper(r), lower || unicode.IsLower(r)
		default:
			bits += other
		}
	}
	if upper && lower {
		bits += float64(len(text)) / 2 // which of them are large
	}
	return bits
}

// written returns what the way in which a word is written adds: large letters, and others in place of letters.
func written(text []rune) float64 {
	large, small, stand := 0, 0, 0
	for _, r := range text {
		switch {
		case unicode.IsUpper(r):
			large++
		case unicode.IsLetter(r):
			small++
		default:
			stand++
		}
	}
	bits := 1.5 * float64(min(stand, 2))
	switch {
	case large == 0:
	case small == 0, large == 1 && unicode.IsUpper(text[0]):
		bits++
	default:
		bits += math.Log2(float64(1+min(large, small))) + 2
	}
	return bits
}

// pronounceable reports whether text may be a word: letters, no more than four consonants in a row, and vowels among them.
func pronounceable(text []rune) bool {
	run, vowels := 0, 0
	for _, r := range text {
		if !unicode.IsLetter(r) {
			return false
		}
		if strings.ContainsRune("aeiouyäöüåæøéèêëáàâíìîóòôúùû", unicode.ToLower(r)) || r > 0x24f { // other scripts: no telling
			run = 0
			vowels++
		} else if run++; run > 4 {
			return false
		}
	}
	return vowels > 0
}

func isYear(text []rune) bool {
	s := string(text)
	return len(text) == 4 && (strings.HasPrefix(s, "19") || strings.HasPrefix(s, "20")) && allDigits(text)
}

func allDigits(text []rune) bool {
	for _, r := range text {
		if r < '0' || r > '9' {
			return false
		}
	}
	return true
}

// repeated returns the length of what text is the repetition of; 0 if it repeats nothing.
func repeated(text []rune) int {
	for unit := 1; unit <= len(text)/2; unit++ {
		if len(text)%unit != 0 {
			continue
		}
		same := true
		for i := unit; same && i < len(text); i++ {
			same = text[i] == text[i-unit]
		}
		if same {
			return unit
		}
	}
	return 0
}

// sequence reports whether each character is the one after, or before, its neighbour.
func sequence(text []rune) bool {
	step := text[1] - text[0]
	if step != 1 && step != -1 {
		return false
	}
	for i := 2; i < len(text); i++ {
		if text[i]-text[i-1] != step {
			return false
		}
	}
	return true
}

// row reports whether text lies side by side on a keyboard, in either direction.
func row(text string) bool {
	if len(text) > len(rows[len(rows)-1]) {
		return false
	}
	back := []rune(text)
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	for _, r := range rows {
		if strings.Contains(r, text) || strings.Contains(r, string(back)) {
			return true
		}
	}
	return false
}

// Scores begin at so many bits. For 28, the least that a new password may have, one core tries for half a year on the average.
var scores = [...]float64{20, 28, 38, 48}

// guessTime is how long one guess takes on one core, in seconds: Argon2id with 64 MiB and 3 passes, on the machine that the project was measured on.
const guessTime = 0.13

// Judge returns a score from 0 to 4, and a sentence for the person.
func Judge(password string, words []string) (score int, sentence string) {
	if password == "" {
		return 0, "Type a password."
	}
	bits := Bits(password, words)
	for score < len(scores) && bits >= scores[score] {
		score++
	}
	// On the average half of the guesses are needed; a determined attacker has a thousand cores.
	return score, fmt.Sprintf("Whoever steals the server's data and tries with a thousand processors finds it %s.", duration(math.Exp2(bits-1)*guessTime/1000))
}

// duration writes seconds in the largest unit that fits.
func duration(s float64) string {
	for _, u := range []struct {
		below float64
		unit  float64
		name  string
	}{{60, 1, "second"}, {3600, 60, "minute"}, {86400, 3600, "hour"}, {30 * 86400, 86400, "day"}, {365 * 86400, 30 * 86400, "month"}, {100 * 365 * 86400, 365 * 86400, "year"}} {
		if s < 1 {
			return "at once"
		}
		if s < u.below {
			n := math.Round(s / u.unit)
			if n <= 1 {
				return "in about one " + u.name
			}
			return fmt.Sprintf("in about %d %ss", int(n), u.name)
		}
	}
	return "not in a lifetime"
}
