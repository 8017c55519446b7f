package ui

import (
	"fmt"
	"math"
	"strconv"

	"github.com/maxence-charriere/go-app/v10/pkg/app"
)

// Series is one colour of a chart: its values stand at the chart's labels. Color is one of Bootstrap's: success, warning, danger, info,
// primary, secondary.
type Series struct {
	Name   string
	Color  string
	Values []float64
}

// Chart is a chart of values over labels: bars that stand on each other, or lines. A screen reader gets a table of the same numbers.
type Chart struct {
	Title  string // says to a screen reader what it shows
	Labels []string
	Series []Series
	Lines  bool
	Scale  func(most float64) (step float64, text func(float64) string) // of the axis; nil: counts
	Text   func(float64) string                                         // a value in words; nil: a number
}

// The drawing's units: it is scaled to the width that it gets.
const (
	chartWidth, chartHeight = 640, 240
	chartLeft, chartRight   = 76, 12
	chartTop, chartBottom   = 10, 30
	chartSteps              = 4 // of the axis, about
	chartLabels             = 7 // of the other, at most
)

const svg = "http://www.w3.org/2000/svg"

// UI returns the chart.
func (c Chart) UI() app.UI {
	if c.Scale == nil {
		c.Scale = Counts
	}
	if c.Text == nil {
		c.Text = number
	}
	most := c.most()
	step, axis := c.Scale(most)
	top := max(step, math.Ceil(most/step-1e-9)*step)
	y := func(v float64) float64 { return chartTop + (chartHeight-chartTop-chartBottom)*(1-v/top) }
	var body []app.UI
	for v := 0.0; v <= top*1.0001; v += step {
		body = append(body,
			shape("line", "hf-chart-grid", "x1", chartLeft, "x2", chartWidth-chartRight, "y1", y(v), "y2", y(v)),
			label(axis(v), "end", chartLeft-8, y(v)+4))
	}
	wide := float64(chartWidth-chartLeft-chartRight) / float64(max(1, len(c.Labels)))
	x := func(i int) float64 { return chartLeft + wide*(float64(i)+.5) }
	every := (len(c.Labels) + chartLabels - 1) / chartLabels
	for i, s := range c.Labels {
		if i%max(1, every) == 0 {
			body = append(body, label(s, "middle", x(i), chartHeight-8))
		}
	}
	if c.Lines {
		body = append(body, c.lines(x, y)...)
	} else {
		body = append(body, c.bars(x, y, wide)...)
	}
	return app.Figure().Class("hf-chart mb-0").Body(
		app.Elem("svg").XMLNS(svg).Attr("viewBox", fmt.Sprintf("0 0 %d %d", chartWidth, chartHeight)).Attr("aria-hidden", "true").
			Attr("class", "hf-chart-drawing").Body(body...),
		c.legend(),
		c.table(),
	)
}

func (c Chart) value(s Series, i int) float64 {
	if i >= len(s.Values) {
		return 0
	}
	return s.Values[i]
}

// most is the highest point.
func (c Chart) most() (most float64) {
	for i := range c.Labels {
		sum := 0.0
		for _, s := range c.Series {
			sum += c.value(s, i)
			if c.Lines {
				most, sum = max(most, sum), 0
			}
		}
		most = max(most, sum)
	}
	return most
}

func (c Chart) bars(x func(int) float64, y func(float64) float64, wide float64) (list []app.UI) {
	width := min(wide*.7, 40)
	for i, day := range c.Labels {
		sum := 0.0
		for _, s := range c.Series {
			v := c.value(s, i)
			if v == 0 {
				continue
			}
			list = append(list, shape("rect", "hf-chart-"+s.Color, "x", x(i)-width/2, "width", width, "y", y(sum+v), "height", y(sum)-y(sum+v)).
				Body(app.Elem("title").XMLNS(svg).Text(day+": "+c.Text(v)+" "+s.Name)))
			sum += v
		}
	}
	return list
}

func (c Chart) lines(x func(int) float64, y func(float64) float64) (list []app.UI) {
	for _, s := range c.Series {
		points := ""
		for i := range c.Labels {
			points += fmt.Sprintf("%.1f,%.1f ", x(i), y(c.value(s, i)))
		}
		list = append(list, app.Elem("polyline").XMLNS(svg).Attr("class", "hf-chart-line hf-chart-"+s.Color).Attr("points", points))
		for i, day := range c.Labels {
			list = append(list, shape("circle", "hf-chart-dot hf-chart-"+s.Color, "cx", x(i), "cy", y(c.value(s, i)), "r", 3).
				Body(app.Elem("title").XMLNS(svg).Text(day+": "+c.Text(c.value(s, i))+" "+s.Name)))
		}
	}
	return list
}

func (c Chart) legend() app.UI {
	return app.FigCaption().Class("d-flex flex-wrap justify-content-center gap-3 small text-body-secondary").Aria("hidden", "true").Body(
		app.Range(c.Series).Slice(func(i int) app.UI {
			return app.Span().Class("d-inline-flex align-items-center gap-1").Body(
				app.Elem("svg").XMLNS(svg).Attr("viewBox", "0 0 10 10").Attr("width", "10").Attr("height", "10").
					Body(shape("rect", "hf-chart-"+c.Series[i].Color, "width", 10, "height", 10, "rx", 2)),
				app.Text(c.Series[i].Name))
		}))
}

// table is the chart for whoever does not see it.
func (c Chart) table() app.UI {
	return app.Div().Class("visually-hidden").Body(app.Table().Body( // a table itself does not shrink
		app.Caption().Text(c.Title),
		app.THead().Body(app.Tr().Body(app.Th().Scope("col").Text("When"), app.Range(c.Series).Slice(func(i int) app.UI {
			return app.Th().Scope("col").Text(c.Series[i].Name)
		}))),
		app.TBody().Body(app.Range(c.Labels).Slice(func(i int) app.UI {
			return app.Tr().Body(app.Th().Scope("row").Text(c.Labels[i]), app.Range(c.Series).Slice(func(j int) app.UI {
				return app.Td().Text(c.Text(c.value(c.Series[j], i)))
			}))
		})),
	))
}

func shape(tag, class string, attrs ...any) app.HTMLElem {
	e := app.Elem(tag).XMLNS(svg).Attr("class", class)
	for i := 0; i < len(attrs); i += 2 {
		switch v := attrs[i+1].(type) {
		case int:
			e = e.Attr(attrs[i].(string), strconv.Itoa(v))
		case float64:
			e = e.Attr(attrs[i].(string), strconv.FormatFloat(v, 'f', 1, 64))
		}
	}
	return e
}

func label(text, anchor string, x, y float64) app.UI {
	return shape("text", "hf-chart-label", "x", x, "y", y).Attr("text-anchor", anchor).Text(text)
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// Counts is a scale of whole numbers.
func Counts(most float64) (step float64, text func(float64) string) {
	return max(1, nice(most/chartSteps)), number
}

// Bytes is a scale of sizes, which size writes.
func Bytes(size func(int64) string) func(most float64) (float64, func(float64) string) {
	return func(most float64) (float64, func(float64) string) {
		unit := 1.0
		for unit*1024 <= most {
			unit *= 1024
		}
		return max(1, nice(most/unit/chartSteps)*unit), func(v float64) string { return size(int64(v)) }
	}
}

// nice is the next of 1, 2, 5, 10, 20 … that is not below v.
func nice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5} {
		if v <= f*ten*1.0000001 {
			return f * ten
		}
	}
	return 10 * ten
}
