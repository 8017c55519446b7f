//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"
)

// A shop is the database of a shop, as a plain dump by pg_dump shows it: five tables of numbers, texts, times and
// UUIDs. It is written from a seed, without a server: every row depends on its table, its number and whether it was
// changed since yesterday, and on nothing else.
type shop struct{ scale float64 }

// shopTable is a table of a shop. All rows but the changed ones are the same on both days; id is the row's number.
type shopTable struct {
	name    string
	rows    int // on the first day, at scale 1
	define  string
	columns string
	row     func(r *row, id int, changed bool)
}

// Tables come by name, as pg_dump has them.
var shopTables = []shopTable{
	{"customers", 72_000,
		"    id bigint NOT NULL,\n    public_id uuid NOT NULL,\n    name text NOT NULL,\n    email text NOT NULL,\n    street text,\n    city text,\n    balance numeric(12,2) NOT NULL,\n    created_at timestamp with time zone NOT NULL,\n    updated_at timestamp with time zone NOT NULL,\n    note text",
		"id, public_id, name, email, street, city, balance, created_at, updated_at, note", customer},
	{"events", 550_000,
		"    id bigint NOT NULL,\n    order_id bigint NOT NULL,\n    kind text NOT NULL,\n    actor uuid NOT NULL,\n    payload jsonb NOT NULL,\n    at timestamp with time zone NOT NULL",
		"id, order_id, kind, actor, payload, at", event},
	{"order_items", 1_650_000,
		"    id bigint NOT NULL,\n    order_id bigint NOT NULL,\n    product_id bigint NOT NULL,\n    quantity integer NOT NULL,\n    unit_price numeric(12,2) NOT NULL,\n    discount numeric(5,2)",
		"id, order_id, product_id, quantity, unit_price, discount", orderItem},
	{"orders", 550_000,
		"    id bigint NOT NULL,\n    public_id uuid NOT NULL,\n    customer_id bigint NOT NULL,\n    status text NOT NULL,\n    total numeric(12,2) NOT NULL,\n    currency character(3) NOT NULL,\n    ship_to text NOT NULL,\n    note text,\n    placed_at timestamp with time zone NOT NULL,\n    updated_at timestamp with time zone NOT NULL",
		"id, public_id, customer_id, status, total, currency, ship_to, note, placed_at, updated_at", order},
	{"products", 24_000,
		"    id bigint NOT NULL,\n    sku text NOT NULL,\n    name text NOT NULL,\n    description text NOT NULL,\n    price numeric(12,2) NOT NULL,\n    stock integer NOT NULL,\n    updated_at timestamp with time zone NOT NULL",
		"id, sku, name, description, price, stock, updated_at", product},
}

// A spread says which changed of n rows, one in a hundred. rng is seeded for the table.
type spread struct {
	name  string
	about string
	pick  func(rng *rand.Rand, n int) map[int]bool
}

// The spreads, from the one that suits chunks best.
var spreads = []spread{
	{"together", "the changed rows lie side by side in each table, such as those of one tenant that were loaded at once (where its rows lie among those of others, its changes are scattered)", func(rng *rand.Rand, n int) map[int]bool {
		return among(rng, rng.IntN(n-n/100+1), n/100, n/100)
	}},
	{"recent", "the changed rows are among the newest 5 % of each table, as orders that are still being worked on", func(rng *rand.Rand, n int) map[int]bool {
		return among(rng, n-n/20, n/20, n/100)
	}},
	{"scattered", "the changed rows are anywhere in each table, each row as likely as any other", func(rng *rand.Rand, n int) map[int]bool {
		return among(rng, 0, n, n/100)
	}},
}

// among picks count different numbers from [from, from+n).
func among(rng *rand.Rand, from, n, count int) map[int]bool {
	picked := make(map[int]bool, count)
	for len(picked) < count {
		picked[from+rng.IntN(n)] = true
	}
	return picked
}

// written says what a dump holds.
type written struct{ rows, changed, added int64 }

// dump writes the dump of the first day, or with a spread that of the next: one row in a hundred changed in its place,
// and one in a hundred new, at the end of its table. differ, which may be nil, gets the changed and the new rows alone.
func (s shop) dump(to io.Writer, next *spread, differ io.Writer) (written, error) {
	out := bufio.NewWriterSize(to, 1<<20)
	var w written
	r := newRow()
	fmt.Fprint(out, "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 17.5\n-- Dumped by pg_dump version 17.5\n\n"+
		"SET statement_timeout = 0;\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n"+
		"SELECT pg_catalog.set_config('search_path', '', false);\n\n")
	for _, t := range shopTables {
		fmt.Fprintf(out, "CREATE TABLE public.%s (\n%s\n);\n\n\n", t.name, t.define)
	}
	for i, t := range shopTables {
		r.n = max(100, int(float64(t.rows)*s.scale))
		var changed map[int]bool
		last := r.n
		if next != nil {
			changed = next.pick(rand.New(rand.NewPCG(uint64(i), 99)), r.n)
			last += r.n / 100
		}
		fmt.Fprintf(out, "COPY public.%s (%s) FROM stdin;\n", t.name, t.columns)
		for id := range last {
			r.pcg.Seed(uint64(i), uint64(id))
			r.line = r.line[:0]
			t.row(r, id, changed[id])
			r.line[len(r.line)-1] = '\n' // in place of the last tab
			if _, err := out.Write(r.line); err != nil {
				return w, err
			}
			w.rows++
			if !changed[id] && id < r.n {
				continue
			}
			if changed[id] {
				w.changed++
			} else {
				w.added++
			}
			if differ != nil {
				if _, err := differ.Write(r.line); err != nil {
					return w, err
				}
			}
		}
		fmt.Fprint(out, "\\.\n\n\n")
	}
	for _, t := range shopTables {
		fmt.Fprintf(out, "ALTER TABLE ONLY public.%s\n    ADD CONSTRAINT %s_pkey PRIMARY KEY (id);\n\n\n", t.name, t.name)
	}
	fmt.Fprint(out, "--\n-- PostgreSQL database dump complete\n--\n\n")
	return w, out.Flush()
}

func customer(r *row, id int, changed bool) {
	name := r.word() + " " + r.word()
	r.int(id).uuid().text(name).text(strconv.Itoa(id) + "." + r.word() + "@example.org")
	r.text(r.word() + " " + strconv.Itoa(r.rng.IntN(200))).text(r.word())
	balance, created, note := r.rng.IntN(1_000_000), r.time(id), r.words(r.rng.IntN(12))
	updated := created
	if changed {
		balance, updated = r.rng.IntN(1_000_000), r.today()
	}
	r.money(balance).at(created).at(updated).null(note)
}

func event(r *row, id int, changed bool) {
	kinds := []string{"created", "paid", "packed", "shipped", "delivered", "mail sent", "viewed"}
	r.int(id).int(id).text(kinds[r.rng.IntN(len(kinds))]).uuid()
	r.line = fmt.Appendf(r.line, `{"ip": "10.%d.%d.%d", "agent": "%s %s/%d", "note": "%s"`,
		r.rng.IntN(256), r.rng.IntN(256), r.rng.IntN(256), r.word(), r.word(), r.rng.IntN(100), r.words(4+r.rng.IntN(8)))
	at := r.time(id)
	if changed {
		r.line = append(r.line, `, "seen": "`...)
		r.line = r.today().AppendFormat(r.line, time.RFC3339Nano)
		r.line = append(r.line, '"')
	}
	r.text("}").at(at)
}

func orderItem(r *row, id int, changed bool) {
	r.int(id).int(id / 3).int(r.rng.IntN(24_000))
	quantity := 1 + r.rng.IntN(9)
	if changed {
		quantity = quantity%9 + 1
	}
	r.int(quantity).money(r.rng.IntN(50_000))
	if r.rng.IntN(4) == 0 {
		r.money(r.rng.IntN(3000))
	} else {
		r.null("")
	}
}

func order(r *row, id int, changed bool) {
	states := []string{"new", "paid", "packed", "shipped", "delivered", "returned"}
	state := r.rng.IntN(len(states))
	r.int(id).uuid().int(r.rng.IntN(72_000))
	total, ship := r.rng.IntN(500_000), r.word()+" "+r.word()+", "+r.word()+" "+strconv.Itoa(r.rng.IntN(200))+", "+r.word()
	note, placed := "", r.time(id)
	if r.rng.IntN(3) == 0 {
		note = r.words(5 + r.rng.IntN(20))
	}
	updated := placed
	if changed {
		state, updated = (state+1)%len(states), r.today()
	}
	r.text(states[state]).money(total).text("EUR").text(ship).null(note).at(placed).at(updated)
}

func product(r *row, id int, changed bool) {
	r.int(id).text(fmt.Sprintf("SKU-%06d-%04X", id, r.rng.IntN(1<<16))).text(r.words(3)).text(r.words(20 + r.rng.IntN(60)))
	r.money(r.rng.IntN(50_000))
	stock, updated := r.rng.IntN(500), r.time(id)
	if changed {
		stock, updated = r.rng.IntN(500), r.today()
	}
	r.int(stock).at(updated)
}

// A row is being written, as COPY writes it: values, each with a tab behind it.
type row struct {
	pcg  *rand.PCG
	rng  *rand.Rand
	n    int // rows of the table on the first day
	line []byte
}

func newRow() *row {
	pcg := rand.NewPCG(0, 0)
	return &row{pcg: pcg, rng: rand.New(pcg)}
}

func (r *row) int(v int) *row {
	r.line = append(strconv.AppendInt(r.line, int64(v), 10), '\t')
	return r
}

func (r *row) money(cents int) *row {
	r.line = fmt.Appendf(r.line, "%d.%02d\t", cents/100, cents%100)
	return r
}

func (r *row) text(s string) *row {
	r.line = append(append(r.line, s...), '\t')
	return r
}

// null writes s, or the null of COPY if it is empty.
func (r *row) null(s string) *row {
	if s == "" {
		s = `\N`
	}
	return r.text(s)
}

func (r *row) uuid() *row {
	a, b := r.rng.Uint64(), r.rng.Uint64()
	r.line = fmt.Appendf(r.line, "%08x-%04x-4%03x-%04x-%012x\t", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&(1<<48-1))
	return r
}

func (r *row) at(t time.Time) *row {
	r.line = append(t.AppendFormat(r.line, "2006-01-02 15:04:05.000000-07"), '\t')
	return r
}

// The shop opened 400 days before the first dump.
var opened = time.Date(2025, 10, 22, 0, 0, 0, 0, time.UTC)

const openFor = 400 * 24 * time.Hour

// time returns when a row was made: one after the other, over all the days.
func (r *row) time(id int) time.Time {
	step := openFor / time.Duration(r.n)
	return opened.Add(step*time.Duration(id) + time.Duration(r.rng.Int64N(int64(step)))).Truncate(time.Microsecond)
}

// today returns a time between the two dumps.
func (r *row) today() time.Time {
	return opened.Add(openFor + time.Duration(r.rng.Int64N(int64(24*time.Hour)))).Truncate(time.Microsecond)
}

// vocabulary is 4,096 words that nobody speaks.
var vocabulary = func() (words [4096]string) {
	rng := rand.New(rand.NewPCG(20, 26))
	onsets := []string{"b", "br", "d", "f", "g", "gr", "h", "k", "l", "m", "n", "p", "r", "s", "sch", "st", "t", "tr", "v", "w", "z"}
	nuclei := []string{"a", "e", "i", "o", "u", "ä", "ö", "ei", "au", "ie", "é"}
	codas := []string{"", "", "", "n", "r", "l", "s", "ng", "rt", "ck"}
	for i := range words {
		for range 1 + rng.IntN(3) {
			words[i] += onsets[rng.IntN(len(onsets))] + nuclei[rng.IntN(len(nuclei))] + codas[rng.IntN(len(codas))]
		}
	}
	return words
}()

// word returns a word, some far more often than others.
func (r *row) word() string {
	u := r.rng.Float64()
	return vocabulary[int(u*u*u*float64(len(vocabulary)))]
}

func (r *row) words(n int) string {
	var b []byte
	for i := range n {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, r.word()...)
	}
	return string(b)
}
